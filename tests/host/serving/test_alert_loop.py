"""The loop behind alerts reads every record once, whatever processes do."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from qtforge_host.config.alerts import Alert, AlertReason
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.serving.alert_loop import AlertLoop
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Journal
from qtforge_sdk.records import ErrorInfo, RunBlocked, RunFinished, RunStarted
from qtforge_sdk.testing.clock import VirtualClock

BOTH: frozenset[AlertReason] = frozenset({"run.failed", "run.blocked"})
OPS = {"ops": Alert(name="ops", on=BOTH, to=("email:a@b", "webhook:http://c"), recovered=True)}


class Runs:
    """Notes what is started; can refuse."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, str]] = []
        self.ids: set[str] = set()
        self.is_away = False

    async def start(self, run_id: str, given: Mapping[str, Any]) -> None:
        if self.is_away:
            raise StateDirectoryError("journal", "it is away", "wait")
        if run_id not in self.ids:  # as a journal does
            self.ids.add(run_id)
            message = given["message"]
            self.started.append((message["type"], message["run_id"], given["destination"]))


async def end(
    journal: Journal,
    clock: VirtualClock,
    name: str,
    status: str = "failed",
    workflow: str = "nightly",
    parent: str | None = None,
) -> None:
    first = RunStarted(
        run_id=name, at=clock.now(), workflow=workflow, kind="sequential",
        workflow_version="1.0.0", input=None, plugins={}, parent=parent,
    )  # fmt: skip
    last: RunBlocked | RunFinished
    if status == "blocked":
        last = RunBlocked(run_id=name, at=clock.now(), reason="no plugin")
    else:
        last = RunFinished(
            run_id=name, at=clock.now(), status=status, degraded=False, result=None, summary="",
            error=ErrorInfo(code="x.y", message="it failed") if status == "failed" else None,
        )  # fmt: skip
    ownership = await journal.create(first)
    await journal.append(ownership, [last])
    if status == "blocked":
        await journal.release(ownership)


@contextlib.asynccontextmanager
async def loops(
    clock: VirtualClock, runs: Runs, *journals: Journal, alerts: Mapping[str, Alert] = OPS
) -> AsyncIterator[None]:
    made = [AlertLoop(alerts, each, runs, clock) for each in journals]
    for one in made:
        await one.begin()
    tasks = [asyncio.create_task(one.run()) for one in made]
    try:
        await clock.advance(0)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def told(runs: Runs) -> list[tuple[str, str]]:
    return [(kind, run_id) for kind, run_id, to in runs.started if to == "email:a@b"]


def test_each_destination_is_told_once_by_several_processes() -> None:
    async def case() -> None:
        clock, store, runs = VirtualClock(), MemoryStore(), Runs()
        journals = [MemoryJournal(store) for _ in range(3)]
        for each in journals:
            await each.open()
        await end(journals[0], clock, "before")
        async with loops(clock, runs, *journals):
            for name, status in (("a", "failed"), ("b", "blocked"), ("c", "succeeded")):
                await end(journals[0], clock, name, status)
            await clock.advance(10)
        expected = [("run.failed", "a"), ("run.blocked", "b"), ("run.recovered", "c")]
        assert told(runs) == expected
        assert len(runs.started) == 2 * len(expected)

    asyncio.run(case())


def test_what_could_not_be_started_is_started_later() -> None:
    async def case() -> None:
        clock, journal, runs = VirtualClock(), MemoryJournal(MemoryStore()), Runs()
        await journal.open()
        async with loops(clock, runs, journal):
            runs.is_away = True
            await end(journal, clock, "a")
            await clock.advance(10)
            runs.is_away = False
        await end(journal, clock, "while-nobody-is-there")
        async with loops(clock, runs, journal):
            await clock.advance(10)
        assert told(runs) == [("run.failed", "a"), ("run.failed", "while-nobody-is-there")]

    asyncio.run(case())


def test_children_and_deliveries_lead_to_no_message(caplog: pytest.LogCaptureFixture) -> None:
    async def case() -> None:
        clock, journal, runs = VirtualClock(), MemoryJournal(MemoryStore()), Runs()
        await journal.open()
        async with loops(clock, runs, journal):
            await end(journal, clock, "child", parent="other")
            await end(journal, clock, "delivery", workflow="alert-delivery")
            await clock.advance(10)
        assert not runs.started

    with caplog.at_level(logging.ERROR):
        asyncio.run(case())
    assert "the alert of delivery was not delivered: it failed" in caplog.text


def test_alerts_that_are_configured_later_are_not_about_long_ago() -> None:
    async def case() -> None:
        clock, journal, runs = VirtualClock(), MemoryJournal(MemoryStore()), Runs()
        await journal.open()
        async with loops(clock, runs, journal):
            await clock.advance(2)
        async with loops(clock, runs, journal, alerts={}):
            await end(journal, clock, "unobserved")
            await clock.advance(2)
        async with loops(clock, runs, journal):
            await end(journal, clock, "a")
            await clock.advance(datetime.timedelta(minutes=1).total_seconds())
        assert told(runs) == [("run.failed", "a")]

    asyncio.run(case())


def test_a_page_that_is_full_is_followed_by_the_next() -> None:
    async def case() -> None:
        clock, journal, runs = VirtualClock(), MemoryJournal(MemoryStore()), Runs()
        await journal.open()
        async with loops(clock, runs, journal):
            for number in range(700):
                await end(journal, clock, f"r{number}")
            await clock.advance(2)
            assert len(told(runs)) == 700

    asyncio.run(case())
