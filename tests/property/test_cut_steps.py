"""What a step that was cut off has done is undone, wherever the process dies meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    OperationContext,
    OperationError,
    Orchestrator,
    Plugin,
    Run,
    operation,
)
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.records import RunFinished, StepFailed, StepStarted

LATE_S = 0.03  # after which a thread that was cut off still does what it was asked for


class World(Plugin):
    """Bookings, of which some are made only after the caller has gone."""

    def __init__(self) -> None:
        self.booked: set[str] = set()
        self.in_progress: set[str] = set()  # in threads of the process that is there
        self.journals: list[Any] = []  # one for each process
        self._lock = threading.Lock()

    @operation("model.book")
    async def book(self, message: Mapping[str, Any]) -> str:
        self.booked.add(message["name"])
        await asyncio.sleep(60)
        return "booked"

    @operation("model.book_in_thread")
    def book_in_thread(self, message: Mapping[str, Any]) -> str:
        process = self.journals[-1]
        with self._lock:
            self.in_progress.add(message["name"])
        time.sleep(LATE_S)
        with self._lock:
            if self.journals[-1] is process:  # else it died, and this thread with it
                self.booked.add(message["name"])
                self.in_progress.discard(message["name"])
        return "booked"

    @operation("model.quick")
    async def quick(self, message: Mapping[str, Any]) -> str:
        self.booked.add(message["name"])
        return "booked"

    @operation("model.fail")
    async def fail(self, message: Mapping[str, Any]) -> None:
        await asyncio.sleep(0.01)  # the bookings beside it are in progress
        raise OperationError("model.refused", "no")

    @operation("model.cancel")
    async def cancel(self, message: Mapping[str, Any], context: OperationContext) -> None:
        await asyncio.sleep(0.01)
        run_id = context.run_id or ""
        await self.journals[-1].post(
            run_id, InboxMessage(message_id="c", kind="cancel", at=message["at"], by="a test")
        )
        await asyncio.sleep(60)

    @operation("model.undo")
    async def undo(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            assert message["name"] not in self.in_progress, "its call was in progress"
            self.booked.discard(message["name"])

    def begin_process(self, journal: Any) -> None:
        with self._lock:
            self.journals.append(journal)
            self.in_progress = set()


class Code(Orchestrator[Any]):
    kind: ClassVar[str] = "model"

    def __init__(self, code: Any) -> None:
        self._code = code

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Nothing can be wrong with it."""

    async def execute(self, run: Run) -> None:
        await self._code(run)


async def book(run: Run, name: str, topic: str) -> None:
    undo = Compensation(topic="model.undo", message={"name": name}, on_failure=True)
    await run.request(name, topic, {"name": name}, compensation=undo, timeout=50)


async def fail(run: Run) -> None:
    await run.request("bad", "model.fail", {})


async def cancel(run: Run) -> None:
    await run.request("cancel", "model.cancel", {"at": run.now()}, timeout=50)


SLOW = ("model.book", "model.book_in_thread")


async def sibling(run: Run) -> None:
    await book(run, "first", "model.quick")
    await run.gather(*(book(run, topic, topic) for topic in SLOW), fail(run))


async def nested(run: Run) -> None:
    await run.gather(
        run.gather(*(book(run, topic, topic) for topic in SLOW), concurrency=2), fail(run)
    )


async def first_two(run: Run) -> None:
    await run.gather(book(run, "a", "model.book"), fail(run), first=2)


async def timeout(run: Run) -> None:
    await run.gather(*(book(run, topic, topic) for topic in SLOW), book(run, "c", "model.book"))


async def cancelled(run: Run) -> None:
    await run.gather(*(book(run, topic, topic) for topic in SLOW), cancel(run))


CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a parallel step fails": (sibling, {}, "compensated"),
    "a step beside nested ones fails": (nested, {}, "compensated"),
    "a step fails of a gather that needs two": (first_two, {}, "compensated"),
    "the time of the run is over": (timeout, {"timeout": "200ms"}, "compensated"),
    "the run is cancelled": (cancelled, {"on_cancel": "compensate"}, "cancelled"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_that_was_cut_off_is_undone_wherever_the_process_dies(
    processes: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    code, options, status = CASES[case]
    monkeypatch.setattr("qtforge_host.runs.run._FAIL_S", 0.1)

    async def play(write: int, *, after: bool) -> Any:
        world = World()
        begin = MemoryJournal.__init__

        def beginning(self: Any, *, store: Any) -> None:
            begin(self, store=store)
            world.begin_process(self)

        monkeypatch.setattr(MemoryJournal, "__init__", beginning)
        workflow = Workflow(
            definition=Definition(name="w", kind="model", **options),
            orchestrator=Code(code),
            source="test",
            text="",
        )
        try:
            return await processes(workflow, world, [(write, after)]), world
        finally:
            monkeypatch.setattr(MemoryJournal, "__init__", begin)

    write, died = 0, True
    while died:
        write += 1
        for after in (False, True):
            ended, world = asyncio.run(play(write, after=after))
            died = ended.kills == 1
            where = f"killed {'after' if after else 'before'} write {write}"
            begun = any(isinstance(each, StepStarted) for each in ended.records)
            assert ended.state.status == (status if begun else "failed"), where
            assert world.booked == set(), where
            assert isinstance(ended.records[-1], RunFinished)
    assert write > 5
    assert any(isinstance(each, StepFailed) and each.cut for each in ended.records)
