"""A run that has ended is gone: nothing of it waits for a collection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Run


class Remembers(Orchestrator[Any]):
    kind: ClassVar[str] = "remembers"

    def __init__(self) -> None:
        self.runs: list[weakref.ref[Run]] = []
        self.controls: list[weakref.ref[Any]] = []

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Nothing can be wrong."""

    async def execute(self, run: Run) -> Any:
        self.runs.append(weakref.ref(run))
        self.controls.append(weakref.ref(vars(run)["_control"]))
        answer = await run.step("one", lambda: 1)
        assert self.runs[-1]() is run
        return answer


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("timeout", [None, "1h"])
def test_a_run_is_freed_when_it_ends_without_a_collection(timeout: str | None) -> None:
    orchestrator = Remembers()
    definition = Definition(name="w", kind="remembers", timeout=timeout)
    workflow = Workflow(definition=definition, orchestrator=orchestrator, source="", text="")

    async def main() -> None:
        threads, expressions = WorkerThreads(1), Expressions()
        bus = MessageBus(expressions.compile, threads)
        workflows = RecordedWorkflows({}, lambda name: workflow, lambda known: ())
        journal = MemoryJournal()
        engine = Engine(bus, expressions, journal, workflows)
        for _ in range(3):
            state = await engine.execute(workflow, {})
            assert (state.status, state.result) == ("succeeded", 1)
        assert [run() for run in orchestrator.runs] == [None, None, None]
        assert [control() for control in orchestrator.controls] == [None, None, None]
        await engine.close()
        await journal.close()
        await bus.close()
        threads.close()

    asyncio.run(main())
