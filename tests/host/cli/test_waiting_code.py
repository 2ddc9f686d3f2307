"""A run in Python that waits for events is listed and shown like a state machine."""

from __future__ import annotations

import asyncio
import datetime
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.cli.progress import RunPrinter, progress_display
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.state import RunState
from qtforge_sdk.records import RunStarted, RunWaiting, StepStarted

NOW = datetime.datetime.now(datetime.UTC)
RUN = "20260101-000000-0000000001"


class Waiting:
    """The commands of a state directory with a run that waits for a person."""

    def __init__(self, cli: Any, folder: Path) -> None:
        self._cli = cli
        self._state = folder / "state"
        self._state.mkdir()

    def __call__(self, *words: str) -> Any:
        return self._cli("--state-dir", self._state, *words)

    async def store(self) -> None:
        journal = SqliteJournal(self._state / "runs")
        await journal.open()
        about: Any = {"run_id": RUN, "at": NOW}
        started = RunStarted(
            **about, workflow="order", kind="python", workflow_version="1.0.0", input={}, plugins={}
        )
        events = ("paid", "user.cancelled")
        ownership = await journal.create(started)
        await journal.append(ownership, [StepStarted(**about, step="event paid", topic="")])
        await journal.append(ownership, [RunWaiting(**about, events=events)])
        await journal.release(ownership)
        await journal.close()


@pytest.fixture
def waiting(cli: Any, tmp_path: Path) -> Waiting:
    found = Waiting(cli, tmp_path)
    asyncio.run(found.store())
    return found


def test_it_is_listed_and_shown_with_what_it_waits_for(waiting: Waiting) -> None:
    for words in (("--status", "waiting"), ("--waiting-for", "paid")):
        (line,) = waiting("runs", "list", *words).out.splitlines()[1:]
        assert line.endswith("waits for paid, user.cancelled")
    shown = waiting("runs", "show", "last").out
    assert f"  waits for paid            qtforge-host send {RUN} paid\n" in shown
    assert f"  waits for user.cancelled  qtforge-host send {RUN} user.cancelled\n" in shown


def test_it_is_in_the_inbox_with_the_events_of_a_person(waiting: Waiting) -> None:
    shown = waiting("inbox").out.splitlines()
    assert shown[0].startswith("order  waits since ")
    assert shown[1:] == [f"  qtforge-host send {RUN} user.cancelled"]
    (row,) = waiting("inbox", "--json").json["inbox"]
    assert (row["machine"], row["accepts"]) == (None, ["user.cancelled"])
    assert (row["title"], row["tags"], row["due"]) == ("", {}, None)


def test_send_says_what_becomes_of_an_event(waiting: Waiting) -> None:
    other = waiting("send", "last", "shipped")
    assert other.code == 0
    assert "now waits for 'paid' or 'user.cancelled', and is kept until" in other.out
    awaited = waiting("send", "last", "paid", "--timeout", "10ms")
    assert "continues with it once a process" in awaited.out
    sent = waiting("send", "last", "paid", "--timeout", "10ms", "--json").json
    assert (sent["received"], sent["waits_for"]) == (False, ["paid", "user.cancelled"])


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_command_that_stays_with_it_says_once_what_it_waits_for(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, said = io.StringIO(), io.StringIO()
    monkeypatch.setattr(said, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", said)
    about: Any = {"run_id": RUN, "at": NOW}
    started = RunStarted(
        **about, workflow="order", kind="python", workflow_version="1.0.0", input={}, plugins={}
    )
    waits = RunWaiting(**about, events=("paid", "user.cancelled"))
    with progress_display(1, RunPrinter(data, as_json=True)) as display:
        records: list[Any] = [started, waits, RunWaiting(**about, over=True), waits]
        for count, record in enumerate(records, start=1):
            display.on_record(RunState.from_records(RUN, records[:count]), record)
    assert data.getvalue() == ""  # it is no result
    for event in ("paid", "user.cancelled"):
        told = f"{RUN} waits for {event}: qtforge-host send {RUN} {event}\n"
        assert said.getvalue().count(told) == 1
