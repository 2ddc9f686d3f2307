"""`document-approval` over HTTP, through a kill of the process that serves it."""

from __future__ import annotations

import signal
from typing import Any

from tests.serving import Server, Serving, until


def start(serving: Serving, server: Server, **given: Any) -> str:
    file = serving.folder / "contract.md"
    file.write_text("# Contract\n\nBetween A and B.\n")
    document = {"name": "contract.md", "path": str(file)}
    run = server.start("document-approval", document=document, wait="20s", **given)
    run_id: str = run["run_id"]
    return run_id


def waits(server: Server, run_id: str) -> Any:
    run = server.run(run_id)
    assert run["status"] in ("waiting", "running"), run
    return run if run["status"] == "waiting" and run["machine"]["accepts"] else None


def test_a_decision_is_made_after_the_server_was_killed(serving: Serving, server: Server) -> None:
    run_id = start(serving, server)
    run = until(lambda: waits(server, run_id))
    assert run["machine"]["state"] == "under_review"
    assert {each["event"] for each in run["machine"]["accepts"]} >= {"user.action"}
    server.end(signal.SIGKILL)

    again = serving.serve("--grace", "1s")
    inbox = again.get("/v1/inbox").json()["inbox"]
    assert [(each["run_id"], each["state"]) for each in inbox] == [(run_id, "under_review")]
    assert again.get("/v1/inbox").json() == serving.json("inbox", "--json")
    page = again.get("/v1/inbox", params={"limit": "1", "after": run_id}).json()
    assert (page["inbox"], page["next"]) == ([], None)
    assert again.get("/v1/inbox", params={"after": "nobody"}).status_code == 404
    listed = again.get("/v1/runs", params={"waiting_for": "user.action"}).json()["runs"]
    assert [each["run_id"] for each in listed] == [run_id]

    path = f"/v1/runs/{run_id}/events"
    nothing = {"name": "user.action", "data": {"action": "dance"}}
    refused = again.post(path, nothing, params={"wait": "20s"}).json()
    assert (refused["received"], refused["taken"]) == (True, False)
    assert refused["reason"]
    approved = {"name": "user.action", "data": {"action": "approve", "by": "Anna"}}
    taken = again.post(path, approved, params={"wait": "20s"})
    assert taken.status_code == 200
    assert (taken.json()["taken"], taken.json()["entered"]) == (True, ["approved"])
    until(lambda: again.run(run_id)["status"] == "succeeded")
    assert again.get("/v1/inbox").json()["inbox"] == []


def test_a_time_that_is_over_while_nothing_runs_counts_when_it_is_served_again(
    serving: Serving, server: Server
) -> None:
    run_id = start(serving, server, review_timeout="2s")
    until(lambda: waits(server, run_id))
    server.end(signal.SIGKILL)
    again = serving.serve("--grace", "1s")

    def escalated() -> bool:
        path = again.run(run_id)["path"]
        return any(each["timer"] and each["transitions"] == ["escalate"] for each in path)

    until(escalated)
    assert again.run(run_id)["status"] in ("waiting", "running")


def test_an_event_that_the_command_line_sends_reaches_the_run_that_is_served(
    serving: Serving, server: Server
) -> None:
    run_id = start(serving, server)
    until(lambda: waits(server, run_id))
    sent = serving.cli("send", run_id, "user.action", "--set", "action=reject", "--json")
    assert sent.returncode == 0, sent.stderr
    until(lambda: server.run(run_id)["status"] == "succeeded")


def test_an_event_without_a_wait_is_handled_all_the_same(serving: Serving, server: Server) -> None:
    run_id = start(serving, server)
    until(lambda: waits(server, run_id))
    event = {"name": "user.action", "data": {"action": "approve"}, "event_id": "e1"}
    for _ in range(2):
        posted = server.post(f"/v1/runs/{run_id}/events", event)
        assert posted.status_code in (202, 409)
    until(lambda: server.run(run_id)["status"] == "succeeded")
