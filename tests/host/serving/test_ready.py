"""Whether the process is ready is said over HTTP, with the reason where it is not."""

from __future__ import annotations

from tests.serving import Serving, until


def test_readiness_says_why_while_the_store_is_gone_and_is_back_with_it(
    serving: Serving,
) -> None:
    server = serving.serve("--grace", "1s", "--rate", "10000/s")
    assert server.get("/readyz").status_code == 200
    run_id = server.start("steps", word="x")["run_id"]
    until(lambda: serving.done)
    journal = serving.folder / "state" / "runs" / "journal.sqlite3"
    journal.rename(journal.with_suffix(".away"))
    (serving.folder / "go").touch()
    refused = until(lambda: found if (found := server.get("/readyz")).status_code != 200 else None)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "http.not_ready"
    assert str(journal.parent) in refused.text
    assert server.get("/healthz").status_code == 200
    journal.with_suffix(".away").rename(journal)
    until(lambda: server.get("/readyz").status_code == 200)
    until(lambda: server.run(run_id)["status"] == "succeeded")
