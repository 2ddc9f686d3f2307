"""``document-approval`` as its users meet it: commands, mail, timers due while nobody runs."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.forked_commands import run_command

from qtforge_host.app import Host
from qtforge_host.clock import SystemClock
from qtforge_host.config.settings import load_settings
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_sdk.journal import RunQuery

STAFF = """
[plugins.reviewers.config]
reviewers = [
  { name = "Anna", email = "anna@example.org" },
  { name = "Ben", email = "ben@example.org" },
]
escalation = [{ name = "Chief", email = "chief@example.org" }]
"""
MAIL = """
[plugins.notifier.config.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "host@example.org"
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """The command line in a state directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        self.config.write_text(STAFF)
        self.offer = folder / "offer.md"
        self.offer.write_text("# Offer\n\nTen pieces.\n")

    def __call__(self, *words: str | Path) -> Said:
        state = ["--config", str(self.config), "--state-dir", str(self.folder / "state")]
        done = run_command(
            [*state, *map(str, words)],
            timeout=120,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONUTF8": "1"},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *options: str) -> Any:
        said = self("run", "document-approval", self.offer, "--json", *options)
        assert said.code == 0, said.err
        return said.json

    def send(self, run: Any, *words: str) -> Any:
        return self("send", run["run_id"], *words, "--json").json


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Mailbox:
    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        letter = message_from_bytes(content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def mailbox(desk: Desk) -> Iterator[Mailbox]:
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    desk.config.write_text(STAFF + MAIL.format(port=port))
    controller.start()
    yield mailbox
    controller.stop()


def test_a_run_says_what_it_waits_for_and_the_command_that_it_offers_approves_it(
    desk: Desk,
) -> None:
    run = desk.start()
    assert (run["status"], run["machine"]["state"]) == ("waiting", "under_review")
    commands = {each["transition"]: each["command"] for each in run["machine"]["accepts"]}
    assert commands["escalate"] is None  # only a timer does that
    words = shlex.split(commands["approve"])
    assert words[0] == "qtforge-host"
    said = desk(*words[1:], "--set", "by=Ben", "--set", "comment=well done")
    assert said.code == 0
    assert "approve: under_review → approved" in said.out
    assert "offer.md was approved and archived by Ben: well done" in said.out
    shown = desk("runs", "show", run["run_id"], "--json").json
    receipt = shown["result"]["receipt"]
    assert Path(receipt["path"]).read_bytes() == desk.offer.read_bytes()
    assert (receipt["approved_by"], receipt["comment"]) == ("Ben", "well done")


def test_people_get_mail_and_it_names_the_commands(desk: Desk, mailbox: Mailbox) -> None:
    run = desk.start("--set", "submitter.email=sub@example.org")
    desk.send(run, "user.action", "--set", "action=reject", "--set", "comment=too dear")
    subjects = [(letter["To"], letter["Subject"]) for letter in mailbox.letters]
    assert subjects == [
        ("sub@example.org", "Submitted for approval: offer.md"),
        ("Anna <anna@example.org>", "Please review: offer.md"),
        ("sub@example.org", "Rejected: offer.md"),
    ]
    body = mailbox.letters[1].get_content()
    assert f"send {run['run_id']} user.action --set action=approve" in body
    assert "too dear" in mailbox.letters[2].get_content()


def test_mail_that_cannot_be_sent_is_tried_again_and_then_done_without(desk: Desk) -> None:
    desk.config.write_text(STAFF + MAIL.format(port=free_port()))
    run = desk.start("--set", "submitter.email=sub@example.org")
    assert (run["status"], run["machine"]["state"]) == ("waiting", "under_review")
    records = [
        json.loads(line)
        for line in desk("runs", "show", run["run_id"], "--records").out.splitlines()
    ]
    failed = [each for each in records if each["record"] == "step_failed"]
    assert {each["error"]["code"] for each in failed} == {"notification.unreachable"}
    assert [each["attempt"] for each in failed if each["step"] == "1.notify_submitter"] == [
        1, 2, 3, 4,
    ]  # fmt: skip
    said = desk("runs", "show", run["run_id"]).out
    assert "without notify_submitter" in said


def test_who_does_not_answer_is_reminded_and_then_the_next_one_is_asked(
    desk: Desk, mailbox: Mailbox
) -> None:
    run = desk.start("--set", "review_timeout=200ms", "--set", "submitter.email=anna@example.org")
    time.sleep(0.5)  # nobody runs; the timers are due all the same
    resumed = desk("runs", "resume", run["run_id"], "--json")
    assert (resumed.code, resumed.json["status"]) == (0, "waiting")
    told = [(letter["To"], letter["Subject"].partition(":")[0]) for letter in mailbox.letters]
    assert told[1:4] == [  # Anna handed it in herself
        ("Ben <ben@example.org>", "Please review"),
        ("Ben <ben@example.org>", "Reminder"),
        ("Chief <chief@example.org>", "Overdue, now assigned to you"),
    ]
    path = desk("runs", "show", run["run_id"], "--json").json["path"]
    timers = [each for each in path if each["timer"]]
    assert [each["transitions"] for each in timers[:2]] == [["remind"], ["escalate"]]
    assert all(each["late_s"] > 0 for each in timers)


def test_changes_are_asked_for_and_the_same_reviewer_sees_it_again(
    desk: Desk, mailbox: Mailbox
) -> None:
    run = desk.start("--set", "submitter.email=sub@example.org")
    sent = desk.send(
        run, "user.action", "--set", "action=request_changes", "--set", "comment=a date"
    )
    assert sent["run"]["machine"]["state"] == "changes_requested"
    assert "a date" in mailbox.letters[-1].get_content()
    desk.offer.unlink()
    sent = desk.send(run, "document.submitted")
    assert sent["run"]["machine"]["state"] == "changes_requested"  # it is not there
    assert "does not exist" in mailbox.letters[-1].get_content()
    desk.offer.write_text("# Offer\n\n1 December. Ten pieces.\n")
    sent = desk.send(run, "document.submitted")
    assert sent["run"]["machine"]["state"] == "under_review"
    assert mailbox.letters[-1]["To"] == "Anna <anna@example.org>"
    sent = desk.send(run, "user.action", "--set", "action=approve")
    archived = sent["run"]["result"]["receipt"]["path"]
    assert Path(archived).read_text() == desk.offer.read_text()


def test_an_event_that_does_not_fit_changes_nothing_and_says_why(desk: Desk) -> None:
    run = desk.start()
    said = desk("send", run["run_id"], "user.action", "--set", "action=aprove")
    assert said.code == 1
    assert "event.data.action is 'aprove'" in said.out
    said = desk("send", run["run_id"], "user.action")
    assert said.code == 1
    assert "has no 'action'" in said.out
    sent = desk.send(run, "document.submitted")
    assert (sent["taken"], sent["run"]["machine"]["state"]) == (False, "under_review")
    assert "no transition from 'under_review' takes 'document.submitted'" in sent["reason"]
    path = desk("runs", "show", run["run_id"], "--json").json["path"]
    assert [each["reason"] != "" for each in path] == [False, False, True, True, True]


@pytest.mark.parametrize("by", ["by=5", "by=[1]", "comment.x=1"])
def test_data_of_another_type_than_expected_does_not_end_the_run(desk: Desk, by: str) -> None:
    run = desk.start()
    sent = desk.send(run, "user.action", "--set", "action=approve", "--set", by)
    assert (sent["taken"], sent["run"]["status"]) == (True, "succeeded")


def test_what_was_changed_behind_the_reviewers_back_is_not_archived(desk: Desk) -> None:
    run = desk.start()
    desk.offer.write_text("# Offer\n\nAll of it, for nothing.\n")
    said = desk("send", run["run_id"], "user.action", "--set", "action=approve")
    assert (said.code, "differs from the approved content" in said.out) == (1, True)
    shown = desk("runs", "show", run["run_id"], "--json").json
    assert (shown["status"], shown["error"]["code"]) == ("failed", "machine.failed")


def test_an_approval_that_could_not_be_archived_is_retried_from_there(desk: Desk) -> None:
    run = desk.start()
    approved = desk.offer.read_text()
    desk.offer.write_text("# Another offer\n")
    desk("send", "last", "user.action", "--set", "action=approve", "--set", "by=Ben")
    refused = desk("runs", "retry", "last", "--from", "6.archive_document")
    assert (refused.code, "error[run.stateful]" in refused.err) == (1, True)
    assert desk("runs", "retry", "last", "--json").json["status"] == "failed"
    desk.offer.write_text(approved)
    said = desk("runs", "retry", "last")
    assert (said.code, "approved and archived by Ben" in said.out) == (0, True)
    assert "again: 6.archive_document" in said.err
    history = desk("runs", "show", run["run_id"]).out
    assert "is restored in approved" in history
    assert history.count("requests reviewer.release") == 1
    assert history.count("requests notification.send") == 3


def test_an_amended_approval_shows_at_once_what_it_waits_for(desk: Desk) -> None:
    desk.start()
    value = {"name": "park", "from": "under_review", "to": "rejected", "trigger": "user.parked"}
    patch = desk.folder / "patch.json"
    patch.write_text(json.dumps([{"op": "add", "path": "/transitions/-", "value": value}]))
    assert desk("runs", "amend", "last", "--patch", patch).code == 0
    assert "user.parked" in desk("inbox").out
    assert "user.parked" in desk("runs", "show", "last").out
    assert len(desk("runs", "list", "--waiting-for", "user.parked", "--json").json["runs"]) == 1


def test_a_document_that_is_not_there_fails_at_once(desk: Desk) -> None:
    said = desk("run", "document-approval", "nowhere.md")
    assert said.code == 1
    assert "nowhere.md does not exist" in said.out


def test_a_run_without_a_document_waits_for_one(desk: Desk) -> None:
    run = desk("run", "document-approval", "--json").json
    assert run["machine"]["state"] == "started"
    wrong = desk.send(run, "document.submitted", "--set", "document=offer.md")
    assert not wrong["taken"]
    sent = desk.send(
        run, "document.submitted",
        "--set", "document.name=offer.md", "--set", f"document.path={desk.offer}",
    )  # fmt: skip
    assert sent["run"]["machine"]["state"] == "under_review"


def test_the_inbox_shows_what_waits_for_a_person_oldest_first(desk: Desk) -> None:
    assert desk("inbox").out == "nothing waits for a person\n"
    first, second = desk.start(), desk.start()
    third = desk("run", "document-approval", "--json").json  # waits for a document, not a person
    listed = desk("inbox", "--json").json["inbox"]
    assert [each["run_id"] for each in listed] == [first["run_id"], second["run_id"]]
    assert [each["document"] for each in listed] == ["offer.md", "offer.md"]
    offered = [each["transition"] for each in listed[0]["machine"]["accepts"]]
    assert offered == ["approve", "reject", "request_changes"]
    text = desk("inbox").out
    assert text.index(first["run_id"]) < text.index(second["run_id"])
    assert third["run_id"] not in text
    found = desk("runs", "list", "--waiting-for", "document.submitted", "--json").json["runs"]
    assert [(each["run_id"], each["state"]) for each in found] == [(third["run_id"], "started")]
    desk.send(first, "user.action", "--set", "action=reject")
    listed = desk("inbox", "--json").json["inbox"]
    assert [each["run_id"] for each in listed] == [second["run_id"]]


def test_the_inbox_is_read_in_pages(desk: Desk) -> None:
    runs = [desk.start()["run_id"] for _ in range(3)]
    page = desk("inbox", "--limit", "2", "--json").json
    assert ([each["run_id"] for each in page["inbox"]], page["next"]) == (runs[:2], runs[1])
    said = desk("inbox", "--limit", "2", "--workflow", "document-approval")
    following = f"inbox --workflow document-approval --limit 2 --after {runs[1]}"
    assert f"there is more: qtforge-host {following}" in said.err
    rest = desk(*following.split(), "--json").json
    assert ([each["run_id"] for each in rest["inbox"]], rest["next"]) == (runs[2:], None)
    refused = desk("inbox", "--after", "nobody")
    assert refused.code == 3
    assert "there is no run 'nobody'" in refused.err


def test_the_inbox_tells_since_when_a_run_is_in_its_state_also_after_a_refusal(desk: Desk) -> None:
    run = desk.start()
    (before,) = desk("inbox", "--json").json["inbox"]
    desk("send", run["run_id"], "user.action", "--set", "action=dance")
    (after,) = desk("inbox", "--json").json["inbox"]
    assert after == before


def test_a_picture_shows_where_a_run_is_and_how_it_came_there(desk: Desk) -> None:
    run = desk.start()
    drawn = desk("runs", "show", run["run_id"], "--graph", "mermaid").out
    names = {
        line.split("(")[0].split("[")[0].strip(): line
        for line in drawn.splitlines()
        if "under_review<br>" in line or '"rejected' in line
    }
    under_review = next(node for node, line in names.items() if "under_review" in line)
    rejected = next(node for node, line in names.items() if "rejected" in line)
    assert f"class {under_review} current" in drawn
    assert f"class {rejected} " not in drawn


def test_a_run_that_ended_takes_no_more_events(desk: Desk) -> None:
    run = desk.start()
    desk.send(run, "user.action", "--set", "action=reject")
    said = desk("send", run["run_id"], "user.action", "--set", "action=approve")
    assert said.code == 1
    assert "error[run.ended]" in said.err


def test_an_event_is_handled_by_the_process_that_executes_the_run(desk: Desk) -> None:
    async def main() -> tuple[Said, str]:
        settings = load_settings(desk.config, environ={}, state_dir=desk.folder / "state")
        async with Host(settings) as host:
            engine = (await host.durable()).engine
            began: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            async def on_started(run_id: str) -> None:
                began.set_result(run_id)

            document = {"name": "offer.md", "path": str(desk.offer)}
            workflow = host.workflow("document-approval")
            running = asyncio.create_task(
                engine.execute(workflow, {"document": document}, stays=True, on_started=on_started)
            )
            async with asyncio.timeout(60):
                words = ("send", await began, "user.action", "--set", "action=approve")
                said = await asyncio.to_thread(desk, *words)
                return said, (await running).status

    said, status = asyncio.run(main())
    assert (said.code, status) == (0, "succeeded")
    assert "approve: under_review → approved" in said.out


@pytest.mark.parametrize("timeout", ["soon", "1d", "-1h", "0s", "1ms"])
def test_a_review_timeout_that_is_none_is_refused_before_anything_begins(
    desk: Desk, mailbox: Mailbox, timeout: str
) -> None:
    said = desk("run", "document-approval", desk.offer, "--set", f"review_timeout={timeout}")
    assert said.code == 2
    assert f"the input 'review_timeout' of 'document-approval' can't be '{timeout}'" in said.err
    assert "fix: give a duration of 100ms or more, such as 24h, 90m or 1h30m" in said.err
    assert desk("runs", "list", "--json").json["runs"] == []
    assert mailbox.letters == []


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("reviewtimeout=5s", "did you mean 'review_timeout'?"),
        ("submitter=Ben", "give a name, an email or both"),
        ("submitter.nam=Ben", "give a name, an email or both"),
    ],
)
def test_an_input_that_nobody_would_look_at_is_refused(desk: Desk, given: str, fix: str) -> None:
    said = desk("run", "document-approval", desk.offer, "--set", given)
    assert (said.code, "error[run.invalid_input]" in said.err, fix in said.err) == (2, True, True)


def test_an_event_without_a_name_is_wrong_usage(desk: Desk) -> None:
    desk.start()
    said = desk("send", "last", "")
    assert (said.code, "an event has a name" in said.err) == (2, True)


def test_a_reader_who_has_seen_enough_is_no_error(desk: Desk) -> None:
    words = ["--state-dir", str(desk.folder / "state"), "run", "document-approval", str(desk.offer)]
    with subprocess.Popen(
        [sys.executable, "-m", "qtforge_host.cli.main", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=desk.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(desk.folder), "PYTHONUTF8": "1"},
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait(60) == 0


def test_a_decision_that_is_published_on_the_bus_reaches_its_run(desk: Desk) -> None:
    run_id = desk.start()["run_id"]

    async def main() -> None:
        settings = load_settings(desk.config, environ={}, state_dir=desk.folder / "state")
        async with Host(settings) as host:
            durable = await host.durable()
            recovery = RecoveryLoop(durable.supervisor, durable.journal, SystemClock())
            async with asyncio.TaskGroup() as group:
                resuming = group.create_task(recovery.run())
                await host.bus.publish("user.action", {"action": "approve"})  # for nobody
                await host.bus.publish("user.action", {"action": "approve", "run_id": run_id})
                async with asyncio.timeout(60):
                    query = RunQuery(statuses=frozenset({"succeeded"}))
                    while not await durable.journal.runs(query):  # noqa: ASYNC110 - a task ends it
                        await asyncio.sleep(0.02)
                resuming.cancel()

    asyncio.run(main())
    path = desk("runs", "show", run_id, "--json").json["path"]
    assert (path[-1]["transitions"], path[-1]["by"]) == (["approve"], "the topic user.action")
