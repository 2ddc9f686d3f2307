"""The engine under every orchestrator: starts runs, resumes them, and ends them."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.clock import SystemClock
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.major_versions import major
from qtforge_host.policies.cache import ResultCache
from qtforge_host.runs.active_runs import ActiveRuns, OnStarted, RunHandle
from qtforge_host.runs.amendments import Amendments, as_document
from qtforge_host.runs.children import Children, ParentStep
from qtforge_host.runs.control import Control
from qtforge_host.runs.deaths import CRASH_LIMIT
from qtforge_host.runs.execution import RunExecution
from qtforge_host.runs.log import RunListener, RunLog
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.run_keys import (
    NO_START,
    Start,
    default_title,
    evaluate_keys,
    evaluate_priority,
    has_keys,
    without_secrets,
)
from qtforge_host.runs.run_secrets import RunSecrets
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.state import RunState
from qtforge_host.runs.stateful_run import StatefulRun
from qtforge_host.runs.steps import StepRequester
from qtforge_host.runs.tracing import Tracing
from qtforge_host.runs.versions import (
    VersionPolicy,
    majors,
    needs_of,
    stays_blocked,
    version_problem,
)
from qtforge_host.workflows.checking import checked_input
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Record
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import (
    OperationError,
    RunDivergedError,
    WorkflowError,
    WorkflowVersionError,
)
from qtforge_sdk.journal import Admission, InboxEntry, Journal, Ownership
from qtforge_sdk.journal_errors import (
    RunExistsError,
    RunNotFoundError,
    RunOwnedError,
    StaleOwnerError,
)
from qtforge_sdk.records import QueueEntry, RunBlocked, RunKeys, RunQueued, RunResumed, RunStarted
from qtforge_sdk.secrets import Secrets

__all__ = ["Engine", "RunIds"]


class RunIds:
    """Makes ids for runs.

    The random generator is seeded once for each object: to ask the operating system for every
    id costs a short run as much as one of its steps. Ids are not secret, and the journal
    refuses one that exists.

    Args:
        seed: Where the ids have to be the same again, as in a test; None for other ones each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._numbers = random.Random(seed)  # noqa: S311

    def new(self, now: datetime.datetime) -> str:
        """Return a run's id: sortable by time, unique, and short enough to type.

        >>> RunIds().new(datetime.datetime(2026, 1, 2, 3, 4, 5)).rpartition("-")[0]
        '20260102-030405'
        """
        return f"{now:%Y%m%d-%H%M%S}-{self._numbers.getrandbits(40):010x}"


class _NoListener:
    """A listener that ignores everything."""

    def on_record(self, state: RunState, record: Record) -> None:
        """Do nothing."""

    def on_progress(
        self, state: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        """Do nothing."""


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is executed; see `Engine.execute` and `Engine.resume`."""

    listener: RunListener
    stays: bool
    unpause: bool = True
    versions: VersionPolicy = "same-major"
    note: str = ""
    ownership: Ownership | None = None


class Engine:
    """Executes workflows: starts runs, resumes them, and ends them.

    Args:
        bus: The message bus that steps request.
        expressions: For templates and conditions.
        journal: Holds the records of runs; open.
        workflows: Finds workflows, for resuming and for children.
        observe: Called with every record, or None.
        plugins: Returns the active plugins' versions by name.
        cache: Holds the answers of steps that ask for it, or None.
        clock: The time.
        crash_limit: How many processes may die in a step before it fails.
        secrets: The secrets that this process knows; None for none.
        ids: Makes the ids of runs; None for unique ones.
        tracing: Traces runs; None for no traces.

    Attributes:
        journal: Holds the records of runs.
        active_runs: The runs that execute in this process.
        on_ended: Called with the state of each run that has ended here, or None.
        has_peer_with: Whether another live process has some plugins, by name with the first number
            of their version: it continues what was taken here, and can't be continued here.
    """

    def __init__(
        self,
        bus: MessageBus,
        expressions: Expressions,
        journal: Journal,
        workflows: RecordedWorkflows,
        *,
        observe: Callable[[Record], None] | None = None,
        plugins: Callable[[], dict[str, str]] = dict,
        cache: ResultCache | None = None,
        clock: Clock | None = None,
        crash_limit: int = CRASH_LIMIT,
        secrets: Secrets | None = None,
        ids: RunIds | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.journal = journal
        self._evaluator = Evaluator(expressions)
        self._workflows = workflows
        self._observe = observe
        self._plugins = plugins
        self._requester = StepRequester(bus, cache, crash_limit)
        self._secrets = secrets or Secrets(lambda name: None)
        self._diverged: set[str] = set()  # runs that this process's code does not fit
        self._ids = ids or RunIds()
        self._tracing = tracing
        self.active_runs = ActiveRuns(journal, self._clock)
        self.has_peer_with: Callable[[Mapping[str, str]], bool] = lambda needs: False
        self.on_ended: Callable[[RunState], None] | None = None
        self._children = Children(self, self.active_runs, journal, workflows, self._clock)

    def plugins(self) -> dict[str, str]:
        """Return the active plugins' versions by name."""
        return self._plugins()

    @property
    def workflows(self) -> RecordedWorkflows:
        """Finds the workflows of runs."""
        return self._workflows

    async def _refuse_existing(self, run_id: str) -> None:
        try:
            await self.journal.summary(run_id)
        except RunNotFoundError:
            return
        raise RunExistsError(run_id)

    def secrets_of(self, run_id: str) -> RunSecrets:
        """Return the secrets of a run, none of which are read yet; close them in the end."""
        return RunSecrets(run_id, self.journal, self._secrets)

    async def execute(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        listener: RunListener | None = None,
        *,
        run_id: str | None = None,
        parent: ParentStep | None = None,
        stays: bool = False,
        on_started: OnStarted | None = None,
        start: Start = NO_START,
    ) -> RunState:
        """Start a run, and execute it until it ends or rests.

        A run that needs a place of a concurrency key is queued first; where it gets none now, it
        is returned as it waits in the queue.

        Args:
            workflow: A valid workflow.
            given: The input; it takes precedence over the definition's defaults.
            listener: Called with the run's records and progress.
            run_id: The run's id; None for a new one. An id that exists already is refused, so
                that a caller that derives it from a request starts that run once.
            parent: The step of another run that starts this one.
            stays: Whether the run stays in memory while it waits for events.
            on_started: Awaited with the run's id once the journal holds the run.
            start: What its starter gives it, besides the input.

        Returns:
            The run's state, also when it failed.

        Raises:
            asyncio.CancelledError: The caller was cancelled, and the run with it; the journal
                says so.
            RunExistsError: There is a run of that id.
            RunDuplicateError: There is a run with the same unique key.
            RunConcurrencyError: There is no place for it, and it does not wait for one.
            RunInputError: The input does not fit the definition; nothing was started.
            RunError: The journal refused the run.
        """
        await self.active_runs.ensure_watching()
        started, secrets = await self._new(workflow, given, run_id, parent, start)
        if started.place is not None:
            secrets.close()
            options = _Options(listener=listener or _NoListener(), stays=stays)
            return await self._execute_in_turn(started, options, on_started)
        inbox_reads = self.active_runs.inbox_reads
        try:
            ownership = await self.journal.create(started)
        except BaseException:
            secrets.close()
            raise
        options = _Options(listener=listener or _NoListener(), stays=stays)
        with self.active_runs.executing(started.run_id) as handle:
            if on_started is not None:
                await on_started(started.run_id)
            try:
                state = await self._drive(
                    workflow,
                    ownership,
                    RunState.from_records(started.run_id, [started]),
                    [started],
                    options,
                    secrets=secrets,
                    inbox_reads=inbox_reads,
                    inbox=[],
                )
                state = await self._until_rest(state, handle, options)
            except Exception as error:
                self._leave(started.run_id, error)
                raise
        self._tell_end(state)
        return state

    async def enqueue(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        queue: QueueEntry,
        *,
        run_id: str | None = None,
        parent: ParentStep | None = None,
        start: Start = NO_START,
    ) -> str:
        """Store a run that a process with room for it executes; return its id.

        Args:
            workflow: A valid workflow.
            given: The input; it takes precedence over the definition's defaults.
            queue: How it waits; without a priority, with that of the definition. The plugins that
                the workflow requires are added to what it needs, and the one that contributed a
                workflow in Python.
            run_id: As of `execute`.
            parent: As of `execute`.
            start: As of `execute`.

        Raises:
            RunExistsError: There is a run of that id.
            RunDuplicateError: There is a run with the same unique key.
            RunConcurrencyError: There is no place for it, and it does not wait for one.
            RunInputError: The input does not fit the definition; nothing was stored.
            RunError: The journal refused the run.
        """
        started, secrets = await self._new(workflow, given, run_id, parent, start, queue)
        secrets.close()
        cancelled = await self.journal.enqueue(started)
        for each in cancelled:
            self.active_runs.spawn(self._children.make_room(each, f"the run {started.run_id}"))
        return started.run_id

    async def plan(
        self, workflow: Workflow, given: Mapping[str, Any], start: Start = NO_START
    ) -> tuple[RunStarted, Admission]:
        """Return how a run would be started, and what that would mean now; nothing is written.

        Args:
            workflow: A valid workflow.
            given: The input.
            start: As of `execute`.

        Raises:
            RunInputError: The input does not fit the definition.
            RunError: A tag or key can't be used.
        """
        plain = await self.accepted_input(workflow, given)
        plain = without_secrets(plain, workflow.definition.secret_names)
        started = await self._first_record(workflow, plain, "planned", None, start, None)
        return started, await self.journal.admission(started)

    async def _execute_in_turn(
        self, started: RunStarted, options: _Options, on_started: OnStarted | None
    ) -> RunState:
        """Queue a run that needs a place, and execute it where it gets one now."""
        run_id = started.run_id
        with self.active_runs.executing(run_id) as handle:
            cancelled = await self.journal.enqueue(started)
            if on_started is not None:
                await on_started(run_id)
            for each in cancelled:
                await self._children.make_room(each, f"the run {run_id}")
            try:
                state = await self._resume(run_id, options)
                state = await self._until_rest(state, handle, options)
            except RunOwnedError:  # another process has taken it from the queue
                return RunState.from_records(run_id, await self.journal.tail(run_id))
            except Exception as error:
                self._leave(run_id, error)
                raise
        self._tell_end(state)
        return state

    def _queue_of(self, workflow: Workflow, queue: QueueEntry, priority: int) -> QueueEntry:
        """Return how a run waits, with the plugins that it needs and its priority."""
        plugin, version = workflow.author
        active = self._plugins()
        needs = {**queue.needs, **needs_of(workflow.definition.requires, active)}
        if plugin in active:  # that of a kind of workflow is part of the host
            needs[plugin] = major(version)
        return msgspec.structs.replace(queue, needs=needs, priority=queue.priority or priority)

    async def accepted_input(self, workflow: Workflow, given: Mapping[str, Any]) -> Any:
        """Return the input of a new run, checked and as plain values; secrets are still in it.

        Args:
            workflow: The run's workflow.
            given: The caller's values.

        Raises:
            RunInputError: An input is unknown, missing or not accepted.
            OperationError: It can't be stored.
        """
        checked = await self._evaluator.compute(
            lambda: checked_input(workflow.definition, given, self._evaluator)
        )
        return _plain_input(checked)

    async def _new(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        run_id: str | None,
        parent: ParentStep | None,
        start: Start,
        queue: QueueEntry | None = None,
    ) -> tuple[RunStarted, RunSecrets]:
        """Return the first record of a new run, whose input was checked, and its secrets."""
        definition = workflow.definition
        plain = await self.accepted_input(workflow, given)
        secrets = self.secrets_of(run_id or self._ids.new(self._clock.now()))
        if definition.secret_names or secrets.known.any_hidden:
            if run_id is not None:  # else its secrets would get more with each attempt
                await self._refuse_existing(run_id)
            plain = await secrets.conceal_inputs(plain, definition.secret_names)
        if parent is not None and parent.secrets:
            await secrets.take(parent.secrets)
        try:
            started = await self._first_record(
                workflow, plain, secrets.run_id, parent, start, queue
            )
        except BaseException:
            secrets.close()
            raise
        return started, secrets

    async def _first_record(
        self,
        workflow: Workflow,
        plain: Any,
        run_id: str,
        parent: ParentStep | None,
        start: Start,
        queue: QueueEntry | None,
    ) -> RunStarted:
        """Return the first record of a run with this input."""
        definition = workflow.definition
        keys = None
        if has_keys(definition, start):
            keys = await self._evaluator.compute(
                lambda: evaluate_keys(
                    definition, plain, start, self._evaluator, is_child=parent is not None
                )
            )
        elif title := default_title(plain):
            keys = RunKeys(title=title)
        if queue is None and keys is not None and keys.place is not None:
            queue = QueueEntry()
        if queue is not None:
            priority = 0
            if definition.priority != 0:
                priority = await self._evaluator.compute(
                    lambda: evaluate_priority(definition, plain, self._evaluator)
                )
            queue = self._queue_of(workflow, queue, priority)
        trace = None
        if self._tracing is not None:
            trace = self._tracing.started(run_id, start, is_child=parent is not None)
        return RunStarted(
            run_id=run_id,
            at=self._clock.now(),
            workflow=definition.name,
            kind=definition.kind,
            workflow_version=definition.version,
            input=plain,
            plugins=self._plugins(),
            definition=None if workflow.text == "" else as_document(definition),
            definition_text=workflow.text,
            parent=parent.run_id if parent is not None else None,
            parent_step=parent.step if parent is not None else None,
            depth=parent.depth + 1 if parent is not None else 0,
            notify=parent.notify if parent is not None else "",
            independent=parent is not None and parent.independent,
            queue=queue,
            keys=keys,
            started_by=start.by,
            trace=trace,
        )

    async def resume(
        self,
        run_id: str,
        listener: RunListener | None = None,
        *,
        versions: VersionPolicy = "same-major",
        note: str = "",
        stays: bool = False,
        unpause: bool = True,
        ownership: Ownership | None = None,
    ) -> RunState:
        """Resume a run that has no live owner; steps that the journal holds are not redone.

        A run that this engine executes already, such as a child that was resumed before its
        parent, is waited for.

        Args:
            run_id: The run.
            listener: Called with the run's records and progress.
            versions: Which plugin versions may resume it, besides those that served it.
            note: The reason, for the run's history.
            stays: Whether the run stays in memory while it waits for events.
            unpause: Whether this was requested; else a paused run stays paused, with what was
                sent to it, unless it is to be cancelled.
            ownership: Of the run, where this process has taken it already. It is released when
                the run is not executed after all, but not when an error is raised.

        Returns:
            The run's state; at once when it had ended, or stays paused.

        Raises:
            RunNotFoundError: There is no such run.
            RunOwnedError: Another live process executes it.
            WorkflowError: Its workflow can't be run here.
        """
        while (executing := self.active_runs.handle(run_id)) is not None:
            before = await self.journal.summary(run_id)
            await executing.until_ended()
            state = RunState.from_records(run_id, await self.journal.tail(run_id))
            if unpause and before.status == state.status == "paused":
                after = await self.journal.summary(run_id)
                if before.records == after.records:  # it was just coming to rest
                    continue
            if not stays or state.status != "waiting":
                return state
        options = _Options(
            listener=listener or _NoListener(),
            stays=stays,
            versions=versions,
            note=note,
            unpause=unpause,
            ownership=ownership,
        )
        with self.active_runs.executing(run_id) as handle:
            try:
                state = await self._resume(run_id, options)
                state = await self._until_rest(state, handle, options)
            except Exception as error:
                self._leave(run_id, error)
                raise
        self.active_runs.left.pop(run_id, None)
        self._tell_end(state)
        return state

    def _tell_end(self, state: RunState) -> None:
        if state.finished is None:
            return
        if self.on_ended is not None:
            self.on_ended(state)
        if state.started is not None and state.started.place is not None:
            for notice in tuple(self.active_runs.on_change):  # another run may get its place
                notice()

    def now(self) -> datetime.datetime:
        """Return the time, by the engine's clock."""
        return self._clock.now()

    async def close(self, grace_s: float = 0.0) -> None:
        """End every run that executes here; the next process resumes what is not done.

        Args:
            grace_s: Seconds that working runs have to end.
        """
        await self.active_runs.close(grace_s)

    async def abandon(self) -> None:
        """Leave every run that executes here as it is, at once; the next process resumes it."""
        await self.active_runs.close(0.0, rest_s=0.0)

    def _leave(self, run_id: str, error: Exception) -> None:
        """Note that a run is to be resumed by time, unless it is for another process to do so."""
        if isinstance(error, RunOwnedError | RunNotFoundError | StaleOwnerError | WorkflowError):
            self.active_runs.left.pop(run_id, None)
        else:
            self.active_runs.left[run_id] = error

    async def _until_rest(self, state: RunState, handle: RunHandle, options: _Options) -> RunState:
        """Resume a run that was sent something just as it went to rest."""
        run_id = state.run_id
        again = _Options(listener=options.listener, stays=options.stays, unpause=False)
        while state.status == "waiting" and not self.active_runs.closing:
            handle.wanted_again = False
            pending = await self.journal.pending(run_id)
            if not (pending or handle.wanted_again or self.active_runs.has_direct_events(run_id)):
                break
            try:
                state = await self._resume(run_id, again)
            except RunOwnedError:
                break  # another process was faster
        return state

    async def _resume(self, run_id: str, options: _Options) -> RunState:
        """Resume a run that this engine does not execute, until it ends or rests."""
        await self.active_runs.ensure_watching()
        records = list(await self.journal.tail(run_id))
        state = RunState.from_records(run_id, records)
        if state.finished is not None or self._stays_blocked(state, options):
            return await self._rests(state, options.ownership)
        if not options.unpause and await self._stays_paused(state):
            return await self._rests(state, options.ownership)
        any_version = options.versions == "any"
        try:  # before the run is claimed
            workflow = self._workflows.recorded(state, any_version=any_version)
        except WorkflowVersionError as error:
            return await self._block_version(state, error.why, options)
        if state.status == "queued":
            self._workflows.require(workflow)
        ownership = options.ownership
        if ownership is None:
            ownership = await self.journal.claim(run_id)
            records = list(await self.journal.tail(run_id))  # with the last owner's last records
            state = RunState.from_records(run_id, records)
            if state.finished is not None or (
                not options.unpause and await self._stays_paused(state)
            ):
                return await self._rests(state, ownership)
            workflow = self._workflows.recorded(state, any_version=any_version)
        active = self._plugins()
        problem = version_problem(state.served_by, active, options.versions)
        if problem is not None and problem.blocks:
            needs = majors(state.served_by)
            if options.ownership is not None and self.has_peer_with(needs):
                await self.journal.release(ownership, needs=needs, unused=True)
                return state
            return await self._block(ownership, records, problem.text, active)
        if not await self._has_place(ownership, state, records):
            return await self._rests(state, ownership)
        note = "; ".join(filter(None, (options.note, problem.text if problem else "")))
        inbox_reads = self.active_runs.inbox_reads
        read_inbox = self.journal.pending if stateful(workflow) else self.journal.inbox
        inbox = list(await read_inbox(run_id))
        waited = state.status == "waiting"
        if note or not waited or ownership.took_over or state.checkpoint is None:
            resumed = RunResumed(
                run_id=run_id,
                at=self._clock.now(),
                owner=ownership.owner,
                plugins=active,
                note=note,
                died=ownership.took_over,
            )
            await self.journal.append(ownership, [resumed])
            records.append(resumed)
            state.apply(resumed)
        secrets = self.secrets_of(run_id)
        await secrets.load()
        return await self._drive(
            workflow,
            ownership,
            state,
            records,
            options,
            secrets=secrets,
            inbox_reads=inbox_reads,
            inbox=inbox,
            has_rested=len(records) > 1,
            resumed=not waited and options.unpause,
        )

    async def _has_place(
        self, ownership: Ownership, state: RunState, records: list[Record]
    ) -> bool:
        """Let a run have a place of its concurrency key; return whether it may be executed.

        A run that has begun, and has none, such as one that is retried, waits in the queue as
        others do. One that is to be cancelled needs none.
        """
        run_id = ownership.run_id
        if state.started is None or state.started.place is None:
            return True
        if (await self.journal.summary(run_id)).holds_place:
            return True
        pending = await self.journal.pending(run_id)
        is_cancelled = any(entry.message.kind == "cancel" for entry in pending)
        if is_cancelled or state.cancel_requested is not None:
            return True
        if state.status != "queued":  # first: so that it can't be left with a place it does not use
            queued = RunQueued(run_id=run_id, at=self._clock.now())
            await self.journal.append(ownership, [queued])
            records.append(queued)
            state.apply(queued)
        return not await self.journal.admit(ownership)

    async def _rests(self, state: RunState, ownership: Ownership | None) -> RunState:
        """Release a run that is not to be executed, where it is owned."""
        if ownership is not None:
            await self.journal.release(ownership)
        return state

    def _stays_blocked(self, state: RunState, options: _Options) -> bool:
        """Return whether a run would be blocked again for the same reason."""
        active = self._plugins()
        if state.blocked is None or state.blocked.plugins != active:
            return False
        if state.blocked.code == RunDivergedError.code:  # tried once by each process, or on request
            return not options.unpause and state.run_id in self._diverged
        return stays_blocked(state.blocked, state.served_by, active, options.versions)

    async def _stays_paused(self, state: RunState) -> bool:
        """Return whether a run is left only by a request to resume it, or to cancel it."""
        if state.status != "paused":
            return False
        pending = await self.journal.pending(state.run_id)
        return not any(entry.message.kind == "cancel" for entry in pending)

    async def _block_version(self, state: RunState, why: str, options: _Options) -> RunState:
        """Block a run that no function here continues, unless it is blocked for that already.

        Where another process has the plugin that the run was started with, it is left to that.
        """
        if state.blocked is not None and state.blocked.reason == why:
            return await self._rests(state, options.ownership)
        plugin, _ = self._workflows.declared(state.workflow).author
        began_with = {} if state.started is None else state.started.plugins
        if options.ownership is not None and plugin in began_with:
            needs = majors({plugin: began_with[plugin]})
            if self.has_peer_with(needs):
                await self.journal.release(options.ownership, needs=needs, unused=True)
                return state
        ownership = options.ownership or await self.journal.claim(state.run_id)
        records = list(await self.journal.tail(state.run_id))
        return await self._block(ownership, records, why, self._plugins())

    async def _block(
        self, ownership: Ownership, records: list[Record], why: str, active: dict[str, str]
    ) -> RunState:
        run_id = ownership.run_id
        blocked = RunBlocked(run_id=run_id, at=self._clock.now(), reason=why, plugins=active)
        await self.journal.append(ownership, [blocked])
        await self.journal.release(ownership)
        return RunState.from_records(run_id, [*records, blocked])

    async def _drive(
        self,
        workflow: Workflow,
        ownership: Ownership,
        state: RunState,
        records: Sequence[Record],
        options: _Options,
        *,
        secrets: RunSecrets,
        inbox_reads: int,
        inbox: list[InboxEntry],
        has_rested: bool = False,
        resumed: bool = False,
    ) -> RunState:
        """Execute a run that this engine owns.

        Args:
            workflow: Its workflow.
            ownership: Of the run.
            state: What the run's records add up to.
            records: From its last checkpoint on; the last one says that it executes now.
            options: How it is executed.
            secrets: Its secrets.
            inbox_reads: How often the watch had read the inboxes when the inbox was read.
            inbox: What the inbox held.
            has_rested: Whether the run has executed before.
            resumed: Whether it was requested to resume the run; older requests to pause are void.
        """
        run_id, last, tracing = ownership.run_id, records[-1], self._tracing
        tracer = None if tracing is None else tracing.tracer(state, records)
        log = RunLog(
            self.journal, ownership, state, options.listener, self._observe, secrets, tracer
        )
        amendments = Amendments(log, workflow, self._clock, self._workflows.check)
        on_checkpoint = self.active_runs.checkpoint_saved if stateful(workflow) else None
        awaiting = self.active_runs.get(_awaited_by(state.started))
        control = Control(log, amendments.apply, awaiting, on_checkpoint)
        run = StatefulRun(
            log,
            control,
            amendments=amendments,
            requester=self._requester,
            evaluator=self._evaluator,
            clock=self._clock,
            children=self._children,
            author=workflow.author,
            unpauses=options.unpause,
        )
        if self._observe is not None:
            self._observe(last)
        options.listener.on_record(state, last)
        self.active_runs.add(run_id, control, stays=options.stays)
        try:
            if inbox:
                await control.deliver(inbox, resumed=resumed)
            if inbox_reads != self.active_runs.inbox_reads or control.missed:
                # The watch read messages before it knew this run's control.
                await self.active_runs.deliver_pending(run_id)
            else:
                control.caught_up = True
            execution = RunExecution(
                workflow,
                run,
                log,
                control,
                self.journal,
                self._clock,
                plugins=self._plugins(),
                has_rested=has_rested,
            )
            if tracing is None:
                await execution.drive()
            else:
                with tracing.executing(tracer):
                    await execution.drive()
                if tracer is not None:
                    tracer.rested()
            if state.blocked is not None:
                self._diverged.add(run_id)
        finally:
            self.active_runs.remove(run_id)
            await log.close()
            secrets.close()
        return state


def stateful(workflow: Workflow) -> bool:
    """Return whether runs of a workflow save checkpoints and wait for events."""
    return workflow.orchestrator.stateful


def _awaited_by(started: RunStarted | None) -> str | None:
    """Return the run that awaits this one, and decides whether it is left as it is."""
    return None if started is None else started.awaited_by


def _plain_input(given: Mapping[str, Any]) -> Any:
    try:
        return normalize(given)
    except (TypeError, msgspec.ValidationError) as error:
        raise OperationError(
            "run.not_storable",
            "the run's input can't be stored",
            str(error),
            "use text, numbers, lists, mappings and dates",
        ) from error
