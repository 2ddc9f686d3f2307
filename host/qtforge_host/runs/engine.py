"""The engine under every orchestrator: starts runs, takes them up again, ends them."""

from __future__ import annotations

import datetime
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.clock import SystemClock
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.policies.cache import ResultCache
from qtforge_host.runs.amendments import Amending, as_document
from qtforge_host.runs.children import Children
from qtforge_host.runs.control import Control
from qtforge_host.runs.evaluating import ExpressionEvaluator
from qtforge_host.runs.execution import RunExecution
from qtforge_host.runs.history import History
from qtforge_host.runs.log import RunListener, RunLog
from qtforge_host.runs.run import ActiveRun
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.state import RunState
from qtforge_host.runs.steps import StepRequester
from qtforge_host.runs.supervisor import Reaches
from qtforge_host.runs.versions import VersionPolicy, stays_blocked, version_problem
from qtforge_host.workflows.checking import checked_input
from qtforge_host.workflows.definitions import Problem, Workflow
from qtforge_sdk import Record
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import OperationError
from qtforge_sdk.journal import InboxEntry, Journal, Ownership
from qtforge_sdk.records import RunBlocked, RunResumed, RunStarted

__all__ = ["Engine", "RunIds", "Silent"]


class RunIds:
    """Makes names for runs.

    Their random part is begun anew with each object; to ask the system for each costs a short
    run as much as one of its steps. They are no secrets, and the journal takes none twice.
    """

    def __init__(self) -> None:
        self._numbers = random.Random()  # noqa: S311

    def new(self, now: datetime.datetime) -> str:
        """Return a run's name: sortable by time, unique, and short enough to type.

        >>> RunIds().new(datetime.datetime(2026, 1, 2, 3, 4, 5)).rpartition("-")[0]
        '20260102-030405'
        """
        return f"{now:%Y%m%d-%H%M%S}-{self._numbers.getrandbits(40):010x}"


_LOG = logging.getLogger("qtforge.runs")


class Workflows(Protocol):
    """Finds workflows: by name, or from what a run's journal holds."""

    def named(self, name: str) -> Workflow:
        """Return a workflow that can run here and now."""

    def recorded(self, history: History) -> Workflow:
        """Return the workflow of a run, with its definition as it is now."""

    def check(self, workflow: Workflow) -> Sequence[Problem]:
        """Return everything that is wrong with a workflow's names and expressions."""


class Silent:
    """Listens to nothing."""

    def on_record(self, view: RunState, record: Record) -> None:
        """Nobody listens."""

    def on_progress(
        self, view: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        """Nobody listens."""


class Engine(Reaches):
    """Executes workflows.

    Args:
        bus: Where steps ask.
        expressions: For templates and conditions.
        journal: Where records are kept; open.
        workflows: Finds workflows, for resuming and for children.
        observe: Told of every record; None for nobody.
        plugins: Gives the active plugins' versions by name.
        cache: Keeps the answers of steps that say so; None for none.
        clock: The time.
    """

    def __init__(
        self,
        bus: MessageBus,
        expressions: Expressions,
        journal: Journal,
        workflows: Workflows,
        *,
        observe: Callable[[Record], None] | None = None,
        plugins: Callable[[], dict[str, str]] = dict,
        cache: ResultCache | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        super().__init__(journal, clock)
        self._evaluator = ExpressionEvaluator(expressions)
        self._workflows = workflows
        self._observe = observe
        self._plugins = plugins
        self._clock = clock
        self._ask = StepRequester(bus, cache)
        self._children = Children(self, journal, workflows.named, clock)
        self._ids = RunIds()

    @property
    def workflows(self) -> Workflows:
        """Where it finds workflows."""
        return self._workflows

    async def execute(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        listener: RunListener | None = None,
        *,
        run_id: str | None = None,
        parent: str | None = None,
        parent_step: str | None = None,
        depth: int = 0,
        notify: str = "",
        stays: bool = False,
        on_started: Callable[[str], Awaitable[None]] | None = None,
    ) -> RunState:
        """Start a run, and go on until it ends or rests.

        Args:
            workflow: A valid one.
            given: Its input, over the definition's defaults.
            listener: Hears what happens.
            run_id: Its name; None for a new one. One that is taken already is refused, so that
                whoever derives it from what asked for the run starts it once.
            parent: The run that starts it.
            parent_step: That run's step.
            depth: How many runs stand above it.
            notify: The event by which the parent hears of its end.
            stays: It does not rest while it waits for events.
            on_started: Awaited with the run's id once the journal has it.

        Returns:
            What became of it, also when it failed.

        Raises:
            asyncio.CancelledError: The caller was cancelled, and the run with it; the journal
                says so.
            RunExistsError: There is a run of that name.
            RunInputError: The input is not what the definition wants; nothing was started.
            RunError: The journal refused it.
        """
        definition = workflow.definition
        await self._active_runs.ready()
        started = RunStarted(
            run_id=run_id or self._ids.new(self._clock.now()),
            at=self._clock.now(),
            workflow=definition.name,
            kind=definition.kind,
            workflow_version=definition.version,
            input=_plain_input(checked_input(workflow, given, self._evaluator)),
            plugins=self._plugins(),
            definition=None if workflow.text == "" else as_document(definition),
            definition_text=workflow.text,
            parent=parent,
            parent_step=parent_step,
            depth=depth,
            notify=notify,
        )
        changes = self._active_runs.changes
        ownership = await self._journal.create(started)
        with self._going_on(started.run_id):
            if on_started is not None:
                await on_started(started.run_id)
            view = await self._go_on(
                workflow, ownership, [started], listener, changes=changes, older=[], stays=stays
            )
            waits = view.status == "waiting"
            return await self._until_rest(view, listener, stays) if waits else view

    async def resume(
        self,
        run_id: str,
        listener: RunListener | None = None,
        *,
        versions: VersionPolicy = "same-major",
        note: str = "",
        stays: bool = False,
    ) -> RunState:
        """Take up a run that has no live owner; steps that the journal holds are not redone.

        One that this engine executes already, such as a child that was taken up before its
        parent, is waited for.

        Args:
            run_id: The run.
            listener: Hears what happens.
            versions: Which other plugin versions than those that served it may go on.
            note: Why, for its history.
            stays: It does not rest while it waits for events.

        Returns:
            What became of it; at once when it had ended.

        Raises:
            RunNotFoundError: There is none.
            RunOwnedError: A live process executes it.
            WorkflowError: Its workflow can't be run here.
        """
        while (going := self._going.get(run_id)) is not None:
            await going.until_ended()
            view = RunState.from_records(run_id, await self._journal.records(run_id))
            if not stays or view.status != "waiting":
                return view
        with self._going_on(run_id):
            view = await self._take_up(run_id, listener, versions, note, stays)
            return await self._until_rest(view, listener, stays)

    async def _take_up(
        self,
        run_id: str,
        listener: RunListener | None,
        versions: VersionPolicy,
        note: str,
        stays: bool,
    ) -> RunState:
        await self._active_runs.ready()
        records = list(await self._journal.tail(run_id))
        history = History.of(records)
        if history.finished is not None or stays_blocked(
            history.blocked, history.served_by, self._plugins(), versions
        ):
            return RunState.from_records(run_id, records)
        self._workflows.recorded(history)  # it is not taken up where it can't be run
        ownership = await self._journal.claim(run_id)
        records = list(await self._journal.tail(run_id))  # what its last owner still wrote
        history, view = History.of(records), RunState.from_records(run_id, records)
        if history.finished is not None:
            await self._journal.release(ownership)
            return view
        workflow = self._workflows.recorded(history)
        active = self._plugins()
        problem = version_problem(history.served_by, active, versions)
        if problem is not None and problem.blocks:
            return await self._block(ownership, records, problem.text, active)
        text = "; ".join(filter(None, (note, problem.text if problem else "")))
        changes = self._active_runs.changes
        unread = self._journal.pending if stateful(workflow) else self._journal.inbox
        older = list(await unread(run_id))
        waited = view.status == "waiting"
        if text or not waited:
            now, owner = self._clock.now(), ownership.owner
            resumed = RunResumed(run_id=run_id, at=now, owner=owner, plugins=active, note=text)
            await self._journal.append(ownership, [resumed])
            records.append(resumed)
        return await self._go_on(
            workflow,
            ownership,
            records,
            listener,
            changes=changes,
            older=older,
            resumed=not waited,
            stays=stays,
        )

    async def _block(
        self, ownership: Ownership, records: list[Record], why: str, active: dict[str, str]
    ) -> RunState:
        run_id = ownership.run_id
        blocked = RunBlocked(run_id=run_id, at=self._clock.now(), reason=why, plugins=active)
        await self._journal.append(ownership, [blocked])
        await self._journal.release(ownership)
        return RunState.from_records(run_id, [*records, blocked])

    async def _go_on(
        self,
        workflow: Workflow,
        ownership: Ownership,
        records: list[Record],
        listener: RunListener | None,
        *,
        changes: int,
        older: list[InboxEntry],
        stays: bool,
        resumed: bool = False,
    ) -> RunState:
        """Execute a run that this engine owns.

        Args:
            workflow: Its workflow.
            ownership: Of the run.
            records: The run's; the last says that it is executed now.
            listener: Hears what happens.
            changes: How often the watch had looked when the inbox was read.
            older: What was in the inbox.
            stays: It does not rest while it waits for events.
            resumed: Somebody wants it to go on: that it was to be paused no longer counts.
        """
        run_id = ownership.run_id
        heard = listener or Silent()
        view, history = RunState.from_records(run_id, records), History.of(records)
        log = RunLog(self._journal, ownership, view, history, heard, self._observe)
        amending = Amending(log, workflow, self._clock, self._workflows.check)
        parent = history.started.parent if history.started is not None else None
        tell = self._active_runs.checkpoint_saved if stateful(workflow) else None
        control = Control(log, amending.apply, self._active_runs.get(parent), tell)
        run = ActiveRun(
            log,
            control,
            amending=amending,
            ask=self._ask,
            publish=self._ask.publish,
            evaluator=self._evaluator,
            clock=self._clock,
            children=self._children,
        )
        if self._observe is not None:
            self._observe(records[-1])
        heard.on_record(view, records[-1])
        self._active_runs.enter(run_id, control, stays=stays)
        try:
            if older:
                await control.deliver(older, resumed=resumed)
            if (
                changes != self._active_runs.changes
            ):  # the watch can't have told it of what came then
                await self._active_runs.look(run_id)
            driver = RunExecution(workflow, run, log, control, self._journal, self._clock)
            await driver.drive()
        finally:
            self._active_runs.leave(run_id)
            await log.close()
        return view


def stateful(workflow: Workflow) -> bool:
    """Tell whether runs of a workflow keep their state, and wait."""
    return bool(getattr(workflow.orchestrator, "stateful", False))


def _plain_input(given: Mapping[str, Any]) -> Any:
    try:
        return normalize(given)
    except (TypeError, msgspec.ValidationError) as error:
        raise OperationError(
            "run.not_storable", "the run's input can't be kept", str(error), "give plain values"
        ) from error
