"""Runs on the real engine and bus, with processes that can be made to die at any write."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar, cast

import pytest

from qtforge_builtin_plugins.orchestrators.graph import GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import (
    ReactiveOrchestrator,
)
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.peers import Peers
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.runs.tracing import Tracing
from qtforge_host.testing.mortal_journal import Crash, MortalJournal
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk import (
    Definition,
    DefinitionChecker,
    OperationContext,
    OperationError,
    Orchestrator,
    Plugin,
    Record,
    Run,
    operation,
)
from qtforge_sdk.errors import WorkflowNotFoundError, WorkflowUnmetError
from qtforge_sdk.journal import InboxMessage, Journal, MessageKind, RunQuery
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing import VirtualClock

WAIT_S = 60  # against hanging alone
ALL = RunQuery(limit=1000)
Code = Callable[[Run], Awaitable[Any]]
Dies = Callable[[Record], bool]


class Script(Orchestrator[Any]):
    """A workflow in Python: one function of the run."""

    kind: ClassVar[str] = "script"

    def __init__(self, code: Code) -> None:
        self._code = code

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Nothing can be wrong with it."""

    async def execute(self, run: Run) -> Any:
        return await self._code(run)


class Desk(Plugin):
    """Answers ``do.*``; ``asked`` holds the key of every call, in order, without the run."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.times: list[float] = []
        self.clock: VirtualClock | None = None
        self.failures: dict[str, int] = {}  # how often a key fails before it succeeds
        self.pending = asyncio.Event()
        self.gate = asyncio.Event()

    def _note(self, context: OperationContext) -> str:
        key = (context.idempotency_key or "").partition("/")[2]
        self.asked.append(key)
        if self.clock is not None:
            self.times.append(self.clock.monotonic())
        return key

    @operation("do.ok")
    async def ok(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        key = self._note(context)
        if self.failures.get(key, 0) > 0:
            self.failures[key] -= 1
            raise OperationError("desk.busy", "the desk is busy", retryable=True)
        return {"done": key, **message}

    @operation("do.fail")
    async def fail(self, message: Mapping[str, Any], context: OperationContext) -> None:
        self._note(context)
        raise OperationError("desk.closed", "the desk is closed")

    @operation("do.wait")
    async def wait(self, message: Mapping[str, Any], context: OperationContext) -> str:
        self._note(context)
        self.pending.set()
        await self.gate.wait()
        return "waited"


class Lab:
    """One state, the processes that use it one after the other, and a clock."""

    def __init__(self, it: Any, desk: Desk, clock: VirtualClock) -> None:
        self.clock = clock
        self.desk = desk
        self.store = MemoryStore()
        self.versions = {"desk": "1.0.0"}
        self.workflows: dict[str, Workflow] = {}
        self.journal: Journal = MemoryJournal(store=self.store)
        self.engine: Engine
        self.supervisor: Supervisor
        self.tracing: Tracing | None = None
        self.peers: list[Peers] = []  # of the processes that take runs
        self.bus = it.bus
        self.expressions = it.parts.expressions
        self._it = it
        self._messages = 0
        self._beside: list[Supervisor] = []
        self._others: list[Journal] = []
        self._mortal: MortalJournal | None = None

    async def add(self, plugin: Any, name: str, version: str) -> Any:
        """Add a plugin."""
        return await self._it.add(plugin, name, version)

    def script(self, code: Code, name: str = "w", **definition: Any) -> Workflow:
        """Make a workflow in Python known; the same name again replaces its code."""
        self.workflows[name] = Workflow(
            definition=Definition(name=name, kind="script", **definition),
            orchestrator=Script(code),
            source="test",
            text="",
        )
        return self.workflows[name]

    def machine(self, text: str, name: str = "m") -> Workflow:
        """Read a machine, and make it known."""
        parsed = parse(f'name = "{name}"\nkind = "reactive"\n{text}', f"{name}.toml", _kinds())
        assert parsed.workflow is not None, parsed.problems
        self.workflows[name] = parsed.workflow
        return parsed.workflow

    @contextlib.asynccontextmanager
    async def dispatching(self, max_runs: int | None = None) -> AsyncIterator[None]:
        """Keep every run going meanwhile, as ``serve`` does."""
        loop = RecoveryLoop(self.supervisor, self.mortal, self.clock, max_runs=max_runs)
        work = asyncio.ensure_future(loop.run())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.wait({work})

    @property
    def mortal(self) -> Journal:
        """The journal of the process that is there."""
        return cast(Journal, self._mortal)

    async def status(self, run_id: str) -> str:
        """Return a run's status, as its row tells it."""
        (found,) = [each for each in await self.journal.runs(ALL) if each.run_id == run_id]
        return found.status

    async def has(self, run_id: str, status: str) -> None:
        """Wait until a run has a status."""

        async def holds() -> bool:
            return await self.status(run_id) == status

        await self.until(holds)

    async def kept(self, run_id: str) -> CheckpointSaved:
        """Return what a run kept last."""
        return cast(CheckpointSaved, (await self.records(run_id, CheckpointSaved))[-1])

    def sequential(self, text: str) -> Workflow:
        """Read a sequential workflow ``w``."""
        return self.staged("sequential", text)

    def staged(self, kind: str, text: str) -> Workflow:
        """Read a workflow ``w`` of a kind that has stages."""
        parsed = parse(f'name = "w"\nkind = "{kind}"\n{text}', "w.toml", _kinds())
        assert parsed.workflow is not None, parsed.problems
        return parsed.workflow

    async def start(
        self,
        dies: Dies = lambda record: False,
        *,
        after: bool = True,
        journal: Journal | None = None,
    ) -> Engine:
        """Start a process; the one before it is gone."""
        await self.end()
        self._mortal = MortalJournal(
            MemoryJournal(store=self.store),
            lambda moment: moment.after == after and any(map(dies, moment.records)),
        )
        self.engine = self._engine(journal or cast(Journal, self._mortal))
        self.supervisor = Supervisor(self.engine)
        return self.engine

    def _engine(self, journal: Journal, versions: dict[str, str] | None = None) -> Engine:
        return Engine(
            self.bus,
            self.expressions,
            journal,
            RecordedWorkflows(
                _kinds(), self._able, lambda workflow: [], self._named, self._require
            ),
            plugins=lambda: self.versions if versions is None else versions,
            clock=self.clock,
            tracing=self.tracing,
        )

    def client(self) -> Journal:
        """Open the journal once more, as another process does."""
        journal = MemoryJournal(store=self.store)
        self._others.append(journal)
        return journal

    async def beside(self, versions: dict[str, str] | None = None) -> Supervisor:
        """Start a process beside the one that is there; with other plugins, if given."""
        self._beside.append(Supervisor(self._engine(self.client(), versions)))
        return self._beside[-1]

    async def end(self) -> None:
        """End the process, and those beside it."""
        while self._beside:
            await asyncio.wait_for(self._beside.pop().close(), WAIT_S)
        while self._others:
            await self._others.pop().close()
        if self._mortal is not None:
            # Less patient than `Engine.close`, since what a test leaves in hand does not end.
            await asyncio.wait_for(self.engine.active_runs.close(0.0, rest_s=0.2), WAIT_S)
            await self._mortal.inner.close()
            self._mortal = None

    async def crash(self, workflow: Workflow, dies: Dies, *, after: bool = True) -> str:
        """Execute a workflow in a process that dies; return the run's id."""
        await self.start(dies, after=after)
        await self.dies(self.engine.execute(workflow, {}))
        return next(iter(self.store.runs))

    async def dies(self, work: Awaitable[object]) -> None:
        """Wait until what this process does ends with its death."""
        with pytest.raises(Crash):
            await asyncio.wait_for(work, WAIT_S)

    async def resume(self, run_id: str, **how: Any) -> RunState:
        """Take a run up in a new process."""
        await self.start()
        return await asyncio.wait_for(self.engine.resume(run_id, **how), WAIT_S)

    async def post(
        self,
        run_id: str,
        kind: MessageKind,
        name: str = "",
        data: Any = None,
        message_id: str = "",
    ) -> InboxMessage:
        """Send to a run."""
        self._messages += 1
        message = InboxMessage(
            message_id=message_id or f"m{self._messages}",
            kind=kind,
            at=datetime.datetime.now(datetime.UTC),
            name=name,
            data=data,
            by="ada",
        )
        await self.journal.post(run_id, message)
        return message

    async def records(self, run_id: str, kind: type[Any]) -> list[Any]:
        """Return a run's records of a kind."""
        return [each for each in await self.journal.records(run_id) if isinstance(each, kind)]

    async def until(self, condition: Callable[[], Awaitable[object]]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(WAIT_S):
            while not await condition():  # noqa: ASYNC110 - anything may be the condition
                await asyncio.sleep(0.001)

    def _able(self, name: str) -> Workflow:
        workflow = self._named(name)
        self._require(workflow)
        return workflow

    def _require(self, workflow: Workflow) -> None:
        for name in workflow.definition.requires:
            if name not in self.versions:
                raise WorkflowUnmetError(workflow.definition.name, name)

    def _named(self, name: str) -> Workflow:
        if name not in self.workflows:
            raise WorkflowNotFoundError(name)
        return self.workflows[name]


def _kinds() -> dict[str, Orchestrator[Any]]:
    return {
        "graph": GraphOrchestrator(),
        "reactive": ReactiveOrchestrator(),
        "sequential": SequentialOrchestrator(),
    }


@pytest.fixture
def lab(bench: Any) -> Any:
    """A function that gives a fresh `Lab` as an async context manager."""

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[Lab]:
        async with bench() as it:
            clock = VirtualClock()
            desk = await it.add(Desk(), "desk", "1.0.0")
            desk.clock = clock
            made = Lab(it, desk, clock)
            await made.start()
            try:
                yield made
            finally:
                await made.end()

    return make


@pytest.fixture
def play(lab: Any) -> Callable[[Callable[[Lab], Awaitable[None]]], None]:
    """A function that plays a case in a fresh `Lab`."""

    def run(case: Callable[[Lab], Awaitable[None]]) -> None:
        async def main() -> None:
            async with lab() as it:
                await case(it)

        asyncio.run(main())

    return run
