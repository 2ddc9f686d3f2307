"""The inbox over HTTP: who may decide what, and what a decision sends."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from tests.pages import HOSTILE, SAME, browser
from tests.serving import Server, Serving, until

from qtforge_host.serving.http.application import PAGES as ROOT

INBOX = f"{ROOT}/inbox"


def asked(server: Server, folder: Path, name: str = "letter.txt") -> str:
    """Start a run that waits for a decision about a document."""
    path = folder / "letter.txt"
    path.write_text("Dear reader\n")
    given = {
        "document": {"name": name, "path": str(path)},
        "submitter": {"name": "Zoe", "email": "zoe@example.org"},
    }
    body = {"workflow": "document-approval", "input": given}
    run = server.client.post("/v1/runs?wait=20s", json=body).json()
    assert run["status"] == "waiting", run
    return str(run["run_id"])


def decide(client: httpx2.Client, run_id: str, **form: str) -> httpx2.Response:
    return client.post(f"{INBOX}/{run_id}/decide", data=form)


def test_a_decision_is_made_in_the_persons_name_and_leaves_the_inbox(
    module_server: Server, tmp_path: Path
) -> None:
    run_id = asked(module_server, tmp_path, HOSTILE)
    with browser(module_server) as client:
        page = client.get(INBOX)
        assert run_id in page.text
        assert HOSTILE not in page.text
        assert re.findall(r'name="pick" value="(\w+)"', client.get(f"{INBOX}/{run_id}").text) == [
            "approve", "reject", "request_changes",
        ]  # fmt: skip
        done = decide(client, run_id, pick="request_changes", comment=HOSTILE)
        assert done.status_code == 200
        assert "request changes" in done.text
        assert run_id not in re.sub(r'id="notices".*?</div></div>', "", done.text)
    run = module_server.run(run_id)
    assert run["machine"]["state"] == "changes_requested"
    moved = next(each for each in reversed(run["path"]) if each["event"] == "user.action")
    assert moved["data"]["comment"] == HOSTILE
    assert moved["data"]["by"] == moved["by"]


@pytest.mark.parametrize("pick", ["approved", "validation_passed", "user.action", HOSTILE])
def test_an_old_page_sends_nothing_that_the_run_does_not_take(
    pick: str, module_server: Server, tmp_path: Path
) -> None:
    run_id = asked(module_server, tmp_path)
    with browser(module_server) as client:
        done = decide(client, run_id, pick=pick)
        assert "does not wait for that any more" in done.text
    assert module_server.run(run_id)["machine"]["state"] == "under_review"


def test_code_in_python_is_answered_with_data(module_server: Server) -> None:
    run_id = str(module_server.start("asks", wait="0s")["run_id"])
    until(lambda: module_server.run(run_id)["status"] == "waiting")
    with browser(module_server) as client:
        assert 'name="data"' in client.get(f"{INBOX}/{run_id}").text
        refused = decide(client, run_id, pick="user.answer", data='{"amount": ')
        assert "data is not JSON" in refused.text
        decide(client, run_id, pick="user.answer", data='{"amount": 12}')
        ended = until(lambda: (run := module_server.run(run_id))["finished_at"] and run)
        assert ended["result"] == {"answer": {"amount": 12}}
        assert "waits for no decision" in client.get(f"{INBOX}/{run_id}").text
        assert "any more" in decide(client, run_id, pick="user.answer").text


def test_who_may_only_read_sees_no_choices_and_decides_nothing(
    module_server: Server, module_serving: Serving, tmp_path: Path
) -> None:
    run_id = asked(module_server, tmp_path)
    words = ("tokens", "create", "--json", "--scope")
    with browser(module_server, module_serving.json(*words, "read")["token"]) as reader:
        assert 'name="pick"' not in reader.get(f"{INBOX}/{run_id}").text
        assert decide(reader, run_id, pick="approve").status_code == 403
    assert module_server.run(run_id)["machine"]["state"] == "under_review"
    with browser(module_server, module_serving.json(*words, "approve")["token"]) as approver:
        assert decide(approver, run_id, pick="approve").status_code == 200
    until(lambda: module_server.run(run_id)["machine"]["state"] != "under_review")


def test_a_run_that_is_not_there_is_no_page(module_server: Server) -> None:
    with browser(module_server) as client:
        for path in (f"{INBOX}/none", f"{INBOX}?after=none", f"{INBOX}?x=1"):
            assert client.get(path, headers=SAME).status_code in (400, 404), path
