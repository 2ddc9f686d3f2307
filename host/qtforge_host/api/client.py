"""Every use case of runs, once: the command line, the HTTP interface and applications call it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime
import functools
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

import msgspec
from msgspec.structs import replace

from qtforge_host.api.answers import (
    POLL_S,
    answered,
    is_awaited,
    refuse_ended,
    refuse_finished,
    until_paused,
)
from qtforge_host.api.documents import Amended, BulkDone, Patches, RunPlan
from qtforge_host.api.errors import TooManyRunsError
from qtforge_host.api.extras import SCHEDULES, check_installed
from qtforge_host.api.idempotency import check_same, run_id_of
from qtforge_host.api.lookup import shown_status
from qtforge_host.api.parts import Parts
from qtforge_host.api.queueing import queue_entry
from qtforge_host.api.snapshots import RunSnapshot, look
from qtforge_host.api.store import RunStore
from qtforge_host.config.settings import Settings, load_settings
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.runs.amendments import amend as check_amendment
from qtforge_host.runs.amendments import amend_resting, amendment_outcome
from qtforge_host.runs.children import cancel_family
from qtforge_host.runs.engine import Engine, RunIds
from qtforge_host.runs.log import RunListener
from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Durable
from qtforge_host.runs.versions import VersionPolicy
from qtforge_host.trace_context import traceparent_of
from qtforge_host.workflows.catalog import PythonOrchestrator
from qtforge_host.workflows.checking import checked_input
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Record
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import (
    AmendmentRefusedError,
    QtForgeError,
    RunError,
    WorkflowNotFoundError,
)
from qtforge_sdk.journal import (
    MOST_HOLDERS,
    Admission,
    InboxMessage,
    Journal,
    MessageKind,
    Posted,
    RunQuery,
    RunSummary,
)
from qtforge_sdk.journal_errors import RunDuplicateError, RunExistsError, RunOwnedError
from qtforge_sdk.records import (
    AmendmentRefused,
    QueueEntry,
    RunAmended,
    RunCancelRequested,
    RunKeys,
    RunPaused,
    RunResumed,
    RunStarted,
    StartedBy,
)
from qtforge_sdk.run_status import RECOVERABLE, RESTING

if TYPE_CHECKING:  # imported where they are used: a run needs none of them, and one an extra
    from qtforge_host.api.bulk import Selection
    from qtforge_host.api.event_outcome import EventOutcome
    from qtforge_host.api.host_client import HostClient
    from qtforge_host.api.nodes import NodeClient
    from qtforge_host.api.schedules import ScheduleClient

__all__ = ["RunClient"]

_BRIEF_S: Final = 2.0  # in which a process that is there handles what a resting run waits for
_ANSWER_RECORDS: Final = 100  # of a run, for the answer to an event: the cost of each is bounded
_BEGIN_S: Final = 10.0  # in which a run that is resumed begins to execute
_BEGIN_POLL_S: Final = 0.005
_SETTLE_S: Final = 5.0  # in which the workflows that a run has started may end with a command
_TURN_S: Final = 0.25  # between two looks whether a run gets its place
_ALL: Final = 1_000_000
_EXECUTED: Final = frozenset({"running", "waiting"})
_IDLE: Final = RESTING | {"waiting", "interrupted"}

T = TypeVar("T")
Patch = Sequence[Mapping[str, Any]]
"""A JSON Patch (RFC 6902)."""

PatchOf = Callable[[Workflow], Patch]
InputOf = Callable[[Workflow], Mapping[str, Any]]
"""Makes a JSON Patch for a workflow with its definition as it is now."""


def _ignore(_: object) -> None:
    """Nobody wants to know that a run waits, or was there already."""


class RunClient(RunStore):
    """Starts runs, waits for them and changes them, in this process or whichever executes them.

    Make one with `open`; `BlockingRunClient` is for programs without an event loop. A run is named
    by its id; `find` gives the id for the beginning of one. A time is in seconds, a
    `datetime.timedelta`, or a text such as ``"1h30m"``.

    Args:
        parts: The journal and the host; the caller closes them.
        by: Who asks, for the history of runs.
        stays: Whether this process stays to execute what a call resumes. Where it does not,
            such as in a command, a call that resumes a run returns when that run rests.
        max_runs: So many runs execute in this process at once; None for any number.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        by: str = "an application",
        stays: bool = True,
        max_runs: int | None = None,
    ) -> None:
        super().__init__(parts)
        self._by = by
        self._stays = stays
        self._max_runs = max_runs
        self._ids = RunIds()

    @functools.cached_property
    def host(self) -> HostClient:
        """The use cases of the host itself: topics, requests, health, plugins."""
        from qtforge_host.api.host_client import HostClient  # see above

        return HostClient(self._parts)

    @functools.cached_property
    def nodes(self) -> NodeClient:
        """The use cases of the processes that take runs, and of pools."""
        from qtforge_host.api.nodes import NodeClient  # see above

        return NodeClient(self._parts)

    async def patches(self, workflow: str) -> Patches:
        """Count what a workflow's unfinished runs do with the changes of its code.

        Args:
            workflow: The workflow's name.

        Raises:
            WorkflowNotFoundError: It has no runs, and is not here.
            WorkflowInvalidError: It has no runs, and its definition has problems.
        """
        found = await super().patches(workflow)
        journal = await self._parts.journal()
        if not found.patches and not await journal.runs(RunQuery(workflow=workflow, limit=1)):
            await self.host.definition(workflow)  # else a misspelt name would have no runs
        return found

    @property
    def schedules(self) -> ScheduleClient:
        """The use cases of schedules.

        Raises:
            ServeNotInstalledError: The libraries of the extra ``serve`` are not installed.
        """
        check_installed(SCHEDULES)
        # It imports the library that reads cron expressions, which may not be there.
        from qtforge_host.api.schedules import ScheduleClient

        return ScheduleClient(self._parts)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        state_dir: Path | str | None = None,
        *,
        config: Path | str | None = None,
        journal: str | None = None,
        by: str = "an application",
        recover: bool = False,
        grace: Duration = 10.0,
    ) -> AsyncIterator[Self]:
        """Start a host, and give a client of it.

        At the end, runs that execute here have ``grace`` to end; the others are left to the
        next process, which resumes them.

        Args:
            state_dir: The state directory; None for ``QTFORGE_STATE_DIR`` or the platform's.
            config: The configuration's file; None for ``QTFORGE_CONFIG`` or the platform's.
            journal: Where the runs are: ``sqlite``, or an address such as
                ``postgresql://HOST/DATABASE``; None for ``QTFORGE_JOURNAL`` or the configuration's.
            by: Who asks, for the history of runs.
            recover: Resume interrupted runs, fire timers and let published events start runs,
                as ``serve`` does. One process of a state directory does that.
            grace: How long runs may execute at the end.

        Raises:
            ConfigError: The configuration is not valid.
            StateDirectoryError: The state directory can't be used.
        """
        settings = load_settings(
            None if config is None else Path(config),
            environ=os.environ,
            state_dir=None if state_dir is None else Path(state_dir),
            journal=journal,
        )
        async with cls.of_settings(settings, by=by, stays=True) as client:
            durable = await client._parts.durable()
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(durable.supervisor.close, wait_seconds(grace))
                if recover:
                    from qtforge_host.api.recovery import recovering  # few need its imports

                    await stack.enter_async_context(recovering(client._parts))
                yield client

    @classmethod
    @contextlib.asynccontextmanager
    async def of_settings(
        cls, settings: Settings, *, by: str, stays: bool = False
    ) -> AsyncIterator[Self]:
        """Give a client that opens the journal and starts the host when it first needs them.

        Args:
            settings: The configuration.
            by: Who asks, for the history of runs.
            stays: See the class.
        """
        parts = Parts(settings)
        try:
            yield cls(parts, by=by, stays=stays)
        finally:
            await parts.close()

    def executes(self, run_id: str) -> bool:
        """Return whether this process executes a run."""
        durable = self._parts.open_durable
        return durable is not None and durable.supervisor.executes(run_id)

    async def workflow(
        self, workflow: str | Path, *, files: bool = False, queued: bool = False
    ) -> Workflow:
        """Return a workflow that can run here and now.

        Args:
            workflow: Its name, or the path of a TOML file.
            files: Whether a text may be a path too; a text that is not trusted may not.
            queued: Whether another node may execute it, with its plugins.

        Raises:
            WorkflowNotFoundError: There is none.
            WorkflowUnmetError: A plugin that it requires is not active.
            WorkflowInvalidError: The definition has problems.
        """
        host = await self._parts.host()
        files = files or isinstance(workflow, Path)
        return await host.started_workflow(str(workflow), files=files, queued=queued)

    async def check_input(self, workflow: Workflow, given: Mapping[str, Any]) -> None:
        """Check a run's input before the run is started.

        Raises:
            RunInputError: The input is not what the workflow accepts.
        """
        await self._accepted(workflow, given)

    async def _accepted(self, workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given input in the form in which a run keeps it."""
        host = await self._parts.host()
        evaluator = Evaluator(host.expressions)
        whole = await evaluator.compute(
            lambda: checked_input(workflow.definition, given, evaluator)
        )
        return {key: whole[key] for key in given}

    async def start(
        self,
        workflow: str | Path,
        given: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Start a run that executes in this process; return its id.

        The journal holds the run then: it is resumed after a crash. Where the workflow has a unique
        key, and there is a run with it, that run's id is returned.

        Args:
            workflow: The workflow's name, or the path of a TOML file.
            given: The run's input.
            key: An idempotency key: the same key starts one run, however often it is used.
            run_id: The run's id; None for a new one.
            tags: Tags besides those of the workflow.

        Raises:
            WorkflowError: There is no such workflow, or it can't run here.
            RunInputError: The input is not what the workflow accepts.
            TagsInvalidError: A tag can't be used.
            RunConcurrencyError: There is no place for it, and it does not wait for one.
            TooManyRunsError: This process executes as many runs as it may.
            KeyInvalidError: The key can't be used.
            KeyReusedError: The key has started another workflow, or with another input.
            RunExistsError: There is a run with that id.
        """
        found = await self.workflow(workflow)
        durable = await self._parts.durable()
        given = given or {}
        wanted = run_id if key is None else run_id_of(key)
        self._check_room(durable)
        start = self._requested(tags)
        try:
            if durable.supervisor.active_runs.drains:  # another process begins it
                return await durable.engine.enqueue(
                    found, given, QueueEntry(), run_id=wanted, start=start
                )
            return await durable.supervisor.start(found, given, run_id=wanted, start=start)
        except RunDuplicateError as error:
            return error.run_id
        except RunExistsError:
            if key is None or wanted is None:
                raise
            await check_same(durable, found, await self._accepted(found, given), wanted)
            return wanted

    async def enqueue(
        self,
        workflow: str | Path | Workflow,
        given: Mapping[str, Any] | None = None,
        *,
        pool: str = "default",
        priority: int = 0,
        not_before: datetime.datetime | None = None,
        key: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        on_there: Callable[[str], None] = _ignore,
    ) -> str:
        """Store a run that ``serve`` executes when it has room for it; return the run's id.

        Args:
            workflow: The workflow, its name, or the path of a TOML file.
            given: The run's input.
            pool: The pool of processes that may execute it.
            priority: From -100 to 100; of the runs of a pool, those of a higher one are first.
            not_before: When it may begin; None for at once.
            key: As of `start`.
            tags: As of `start`.
            on_there: Called with the run's id where it was there already.

        Raises:
            WorkflowError: There is no such workflow, or it is not valid.
            RunInputError: The input is not what the workflow accepts.
            QueueInvalidError: The pool is no name, or the priority is out of range.
            KeyInvalidError: The key can't be used.
            KeyReusedError: The key has started another workflow, or with another input.
        """
        queue = queue_entry(pool, priority, not_before)
        found = (
            workflow
            if isinstance(workflow, Workflow)
            else await self.workflow(workflow, queued=True)
        )
        durable = await self._parts.durable()
        given = given or {}
        wanted = None if key is None else run_id_of(key)
        try:
            return await durable.engine.enqueue(
                found, given, queue, run_id=wanted, start=self._requested(tags)
            )
        except RunDuplicateError as error:
            on_there(error.run_id)
            return error.run_id
        except RunExistsError:
            if wanted is None:
                raise
            await check_same(durable, found, await self._accepted(found, given), wanted)
            on_there(wanted)
            return wanted

    async def run(
        self,
        workflow: str | Path | Workflow,
        given: Mapping[str, Any] | None = None,
        *,
        listener: RunListener | None = None,
        key: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        on_queued: Callable[[RunSummary], None] = _ignore,
    ) -> RunSnapshot:
        """Execute a run in this task until it ends or rests; cancelling the task cancels it.

        A run that has to wait for a place of its concurrency key is executed when it gets one, here
        or in another process. Where there is a run with the key already, that run is returned as it
        is (`RunSnapshot.is_there_already`).

        Args:
            workflow: The workflow, its name, or the path of a TOML file.
            given: The run's input.
            listener: Called with the run's records and progress.
            key: As of `start`.
            tags: As of `start`.
            on_queued: Called where the run has to wait, with the runs that hold the places.

        Raises:
            WorkflowError: There is no such workflow, or it can't run here.
            RunInputError: The input is not what the workflow accepts.
            TagsInvalidError: A tag can't be used.
            RunConcurrencyError: There is no place for it, and it does not wait for one.
            KeyInvalidError: The key can't be used.
            KeyReusedError: The key has started another workflow, or with another input.
        """
        found = workflow if isinstance(workflow, Workflow) else await self.workflow(workflow)
        return await self._run(found, given or {}, listener, key, self._requested(tags), on_queued)

    async def _run(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        listener: RunListener | None,
        key: str | None,
        start: Start,
        on_queued: Callable[[RunSummary], None],
    ) -> RunSnapshot:
        durable = await self._parts.durable()
        wanted = None if key is None else run_id_of(key)
        try:
            state = await durable.engine.execute(
                workflow, given, listener, run_id=wanted, start=start
            )
        except RunDuplicateError as error:
            return msgspec.structs.replace(await self._whole(error.run_id), is_there_already=True)
        except RunExistsError:
            if wanted is None:
                raise
            await check_same(durable, workflow, await self._accepted(workflow, given), wanted)
            return msgspec.structs.replace(await self._whole(wanted), is_there_already=True)
        await self._in_turn(durable, state, listener, on_queued)
        await self._settle(durable, state.run_id)
        return await self._whole(state.run_id)

    async def _in_turn(
        self,
        durable: Durable,
        state: RunState,
        listener: RunListener | None,
        on_queued: Callable[[RunSummary], None],
    ) -> None:
        """Wait for the place that a queued run needs, and execute it, until it ends or rests.

        Another process may take it from the queue meanwhile.
        """
        run_id = state.run_id
        place = None if state.started is None else state.started.place
        if state.status != "queued" or place is None:
            return
        is_told = False
        try:
            while True:
                run = await durable.journal.summary(run_id)
                if run.status != "queued" or run.owner_alive:
                    await self.wait(run_id)
                    return
                if len(run.held_by) < min(place.limit, MOST_HOLDERS):
                    with contextlib.suppress(RunOwnedError):
                        if (await durable.engine.resume(run_id, listener)).status != "queued":
                            return
                elif not is_told:
                    is_told = True
                    on_queued(run)
                await asyncio.sleep(_TURN_S)
        except asyncio.CancelledError:
            with contextlib.suppress(RunError):
                await self.cancel(run_id, timeout=0)
            raise

    async def plan(
        self,
        workflow: str | Path | Workflow,
        given: Mapping[str, Any] | None = None,
        *,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> RunPlan:
        """Return what the start of a run would do now; nothing is written.

        Args:
            workflow: The workflow, its name, or the path of a TOML file.
            given: The run's input.
            tags: As of `start`.

        Raises:
            WorkflowError: There is no such workflow, or it can't run here.
            RunInputError: The input is not what the workflow accepts.
            TagsInvalidError: A tag can't be used.
        """
        found = workflow if isinstance(workflow, Workflow) else await self.workflow(workflow)
        durable = await self._parts.durable()
        started, admission = await durable.engine.plan(found, given or {}, self._requested(tags))
        return run_plan(started, admission)

    async def rerun(
        self,
        run_id: str,
        given: Mapping[str, Any] | InputOf | None = None,
        *,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Start a new run with the input of another, in this process; return its id.

        It is a run of the workflow as it is now, where that is there; else as the other run has it.

        Args:
            run_id: The other run.
            given: What changes in the input, or what makes it; tables are merged, other values
                replaced.
            tags: Tags besides those of the other run, and in their place.

        Raises:
            RunNotFoundError: There is no such run.
            WorkflowError: Its workflow can't run here.
            RunInputError: The input is not what the workflow accepts.
            TagsInvalidError: A tag can't be used.
            RunConcurrencyError: There is no place for it, and it does not wait for one.
            TooManyRunsError: This process executes as many runs as it may.
        """
        durable = await self._parts.durable()
        workflow, whole, start = await self._again(durable, run_id, given, tags)
        self._check_room(durable)
        try:
            if durable.supervisor.active_runs.drains:
                return await durable.engine.enqueue(workflow, whole, QueueEntry(), start=start)
            return await durable.supervisor.start(workflow, whole, start=start)
        except RunDuplicateError as error:
            return error.run_id

    async def run_again(
        self,
        run_id: str,
        given: Mapping[str, Any] | InputOf | None = None,
        *,
        tags: Mapping[str, str] = MappingProxyType({}),
        listener: RunListener | None = None,
        on_queued: Callable[[RunSummary], None] = _ignore,
    ) -> RunSnapshot:
        """Execute a new run with the input of another in this task; see `rerun` and `run`.

        Args:
            run_id: The other run.
            given: What changes in the input, or what makes it; tables are merged, other values
                replaced.
            tags: Tags besides those of the other run, and in their place.
            listener: Called with the run's records and progress.
            on_queued: As of `run`.
        """
        durable = await self._parts.durable()
        workflow, whole, start = await self._again(durable, run_id, given, tags)
        return await self._run(workflow, whole, listener, None, start, on_queued)

    async def _again(
        self,
        durable: Durable,
        run_id: str,
        given: Mapping[str, Any] | InputOf | None,
        tags: Mapping[str, str],
    ) -> tuple[Workflow, dict[str, Any], Start]:
        """Return the workflow, the input and the origin of a new run like another."""
        state = RunState.from_records(run_id, await durable.journal.records(run_id, limit=1))
        host = await self._parts.host()
        try:
            workflow = await host.started_workflow(state.workflow, files=False)
        except WorkflowNotFoundError:  # such as a file
            workflow = durable.engine.workflows.recorded(state)
        secrets = durable.engine.secrets_of(run_id)
        try:
            await secrets.load()
            before = secrets.fill(state.input)
        finally:
            secrets.close()
        changes = given(workflow) if callable(given) else given or {}
        whole = _merged(before if isinstance(before, Mapping) else {}, changes)
        by = StartedBy(kind="rerun", name=run_id)
        trace = None if state.started is None else state.started.trace
        like = "" if trace is None else traceparent_of(run_id, trace)
        return workflow, whole, Start(by=by, tags={**state.tags, **tags}, like=like)

    def _requested(self, tags: Mapping[str, str]) -> Start:
        return Start(by=StartedBy(kind="request", name=self._by), tags=dict(tags))

    async def execute(
        self,
        run_id: str,
        *,
        listener: RunListener | None = None,
        versions: VersionPolicy = "same-major",
        note: str = "",
        unpause: bool = True,
        on_queued: Callable[[RunSummary], None] = _ignore,
    ) -> RunSnapshot:
        """Resume a run in this task until it ends or rests; what it has done is not repeated.

        Args:
            run_id: The run.
            listener: Called with the run's records and progress.
            versions: Which plugin versions may resume it, besides those that served it.
            note: The reason, for the run's history.
            unpause: Whether a paused run is resumed too, and a paused child of the run.
            on_queued: As of `run`.

        Raises:
            RunNotFoundError: There is no such run.
            RunOwnedError: Another live process executes it.
            WorkflowError: Its workflow can't run here.
        """
        durable = await self._parts.durable()
        state = await durable.engine.resume(
            run_id, listener, versions=versions, note=note, unpause=unpause
        )
        await self._in_turn(durable, state, listener, on_queued)
        await self._settle(durable, run_id)
        return await self._whole(state.run_id)

    async def wait(
        self, run_id: str, timeout: Duration | None = None, *, until_end: bool = False
    ) -> RunSnapshot:
        """Wait until a run ends or rests, whichever process executes it; return it.

        A run rests when it waits for an event or a timer, is paused, is blocked, or when the
        process that executed it has ended.

        Args:
            run_id: The run.
            timeout: How long at most; the run is returned as it is then. None for no limit.
            until_end: Wait for its end, also while it rests.

        Raises:
            RunNotFoundError: There is no such run.
        """
        timeout_s = None if timeout is None else wait_seconds(timeout)
        journal = await self._parts.journal()
        if timeout_s == 0:
            return await self._whole(run_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    durable = self._parts.open_durable
                    if durable is not None:
                        await durable.supervisor.until_resting(run_id, _ALL)
                    run = await journal.summary(run_id)
                    # A run without checkpoints that waits is in the middle of its code.
                    is_amid = run.status == "waiting" and not run.stateful
                    is_idle = shown_status(run) in _IDLE and not is_amid
                    if run.finished_at is not None or (is_idle and not until_end):
                        break
                    await asyncio.sleep(POLL_S)
        return await self._whole(run_id)

    async def send(
        self,
        run_id: str,
        event: str,
        data: Any = None,
        *,
        event_id: str | None = None,
        timeout: Duration = 30.0,
        receipt_timeout: Duration | None = None,
    ) -> EventOutcome:
        """Send an event to a run, and wait until the run has handled it.

        A state machine is resumed for it, here or in the process that executes it, and handles
        it at once; any other run receives it when it waits for it. An event that is not handled
        in time stays in the run's inbox, and is handled later; so does an event to a paused run,
        which handles it once it is resumed.

        Args:
            run_id: The run.
            event: The event's name.
            data: The event's data.
            event_id: An event with the same id is handled once; None for a new id.
            timeout: How long to wait.
            receipt_timeout: How long to wait for a run that is not a state machine; None for
                ``timeout``. One that rests and waits for the event is given two seconds at least.

        Raises:
            RunNotFoundError: There is no such run.
            RunEndedError: The run has ended.
        """
        from qtforge_host.api.event_outcome import EventOutcome  # see above

        journal = await self._parts.journal()
        before = await refuse_finished(journal, run_id)
        message = self._message("event", name=event, data=data, message_id=event_id)
        timeout_s = wait_seconds(timeout)
        if before.status == "paused" and not before.owner_alive:
            await self._post(run_id, message)
            return EventOutcome.of(run_id, message, received=False, paused=True)
        if before.stateful and timeout_s:
            return await self._send_to_machine(run_id, message, timeout_s)
        if not (await self._post(run_id, message)).is_new:
            before = replace(before, records=0)
        durable = self._parts.open_durable
        if before.stateful and durable is not None and self._stays:
            durable.supervisor.wake(run_id)
        receipt_s = timeout_s if receipt_timeout is None else wait_seconds(receipt_timeout)
        awaited = before.accepts if before.status == "waiting" else ()
        is_code = before.kind == PythonOrchestrator.kind
        is_executed = is_code and before.status in _EXECUTED and before.owner_alive
        if event in awaited or is_executed:  # a run that waits for it takes it at once
            receipt_s = max(receipt_s, min(timeout_s, _BRIEF_S))

        def received(records: Sequence[Record]) -> bool | None:
            return message.message_id in RunState.from_records(run_id, records).handled or None

        is_received = bool(await answered(journal, before, receipt_s, received))
        return EventOutcome.of(run_id, message, received=is_received, waits_for=awaited)

    async def cancel(
        self, run_id: str, *, reason: str = "", timeout: Duration = 10.0
    ) -> RunSnapshot:
        """Cancel a run; what it did is compensated where its definition says so.

        Its unfinished children are cancelled with it. A run that no process executes is
        cancelled here.

        Args:
            run_id: The run.
            reason: Why, for the run's history.
            timeout: How long to wait for its end.

        Returns:
            The run; it has not ended where that takes longer.

        Raises:
            RunNotFoundError: There is no such run.
            RunEndedError: The run has ended.
            WorkflowError: It is to be compensated, and its workflow is not here.
        """
        journal = await self._parts.journal()
        await refuse_finished(journal, run_id)
        try:
            with self._reserved(run_id):
                ended = await cancel_family(journal, run_id, by=self._by, reason=reason, at=_now())
        except RunOwnedError:
            await self._post(run_id, self._message("cancel", data={"reason": reason}))
            return await self.wait(run_id, timeout, until_end=True)
        if ended:
            return await self.show(run_id)
        return await self._cancel_and_compensate(run_id, reason, timeout)

    async def pause(
        self, run_id: str, *, reason: str = "", timeout: Duration = 10.0
    ) -> RunSnapshot:
        """Pause a run before its next step, until it is resumed.

        Args:
            run_id: The run.
            reason: Why, for the run's history.
            timeout: How long to wait until it is paused.

        Returns:
            The run; it is not paused yet where that takes longer.

        Raises:
            RunNotFoundError: There is no such run.
            RunEndedError: The run has ended.
        """
        journal = await self._parts.journal()
        await refuse_finished(journal, run_id)
        message = self._message("pause", data={"reason": reason})
        try:
            with self._reserved(run_id):
                await self._pause_here(journal, run_id, message, reason)
        except RunOwnedError:
            await self._post(run_id, message)
            await until_paused(journal, run_id, wait_seconds(timeout))
        return await self.show(run_id)

    async def cancel_all(
        self, selection: Selection, *, reason: str = "", dry_run: bool = False
    ) -> BulkDone:
        """Cancel unfinished runs that have something in common, without waiting for their ends.

        Args:
            selection: Which runs.
            reason: Why, for the runs' histories.
            dry_run: Only say which.

        Raises:
            SelectionError: Which runs are meant is not said, or can't be.
        """
        from qtforge_host.api.bulk import OPEN, do_with_all  # see above

        return await do_with_all(
            await self._parts.journal(),
            selection,
            OPEN,
            lambda each: self.cancel(each, reason=reason, timeout=0),
            dry_run=dry_run,
        )

    async def pause_all(
        self, selection: Selection, *, reason: str = "", dry_run: bool = False
    ) -> BulkDone:
        """Pause unfinished runs that have something in common, without waiting until they are.

        Args:
            selection: Which runs.
            reason: Why, for the runs' histories.
            dry_run: Only say which.

        Raises:
            SelectionError: Which runs are meant is not said, or can't be.
        """
        from qtforge_host.api.bulk import OPEN, do_with_all  # see above

        return await do_with_all(
            await self._parts.journal(),
            selection,
            OPEN,
            lambda each: self.pause(each, reason=reason, timeout=0),
            dry_run=dry_run,
        )

    async def resume(
        self,
        run_id: str,
        *,
        versions: VersionPolicy = "same-major",
        note: str = "",
        timeout: Duration | None = None,
    ) -> RunSnapshot:
        """Resume a paused, blocked or interrupted run in this process.

        Args:
            run_id: The run.
            versions: Which plugin versions may resume it, besides those that served it.
            note: The reason, for the run's history.
            timeout: How long to wait until it ends or rests again; None for no limit.

        Raises:
            RunNotFoundError: There is no such run.
            RunEndedError: The run has ended.
            WorkflowError: Its workflow can't run here.
        """
        durable = await self._parts.durable()
        state = refuse_ended(run_id, await durable.journal.tail(run_id))
        durable.engine.workflows.recorded(state)  # refused now rather than in the log
        await self._resume(durable, run_id, versions, note)
        return await self.wait(run_id, timeout)

    async def resumable(self) -> Sequence[str]:
        """Return the runs that no process executes although there is something to do.

        They were interrupted, are blocked, or wait although they were sent something or a timer
        is due; oldest first. A child that its parent awaits is not among them where the parent
        is: it is resumed with its parent.
        """
        journal = await self._parts.journal()
        query = RunQuery(statuses=RECOVERABLE, limit=_ALL)
        free = {each.run_id: each for each in await journal.runs(query) if not each.owner_alive}
        found = [
            run_id
            for run_id, each in reversed(free.items())
            if each.parent not in free or not await is_awaited(journal, run_id)
        ]
        found += await journal.runs_with_pending(_ALL)
        found += await journal.due(await journal.now(), _ALL)
        return list(dict.fromkeys(found))

    async def resume_all(
        self,
        selection: Selection | None = None,
        *,
        versions: VersionPolicy = "same-major",
        dry_run: bool = False,
    ) -> BulkDone:
        """Resume runs that have something in common, without waiting until they rest again.

        Args:
            selection: Which runs, of those that are paused, blocked or interrupted; None for
                all of `resumable`, which leaves paused ones as they are.
            versions: Which plugin versions may resume them, besides those that served them.
            dry_run: Only say which.

        Raises:
            SelectionError: Which runs are meant is not said, or can't be.
        """
        from qtforge_host.api.bulk import RESUMABLE, do_with_all, do_with_each  # see above

        durable = await self._parts.durable()

        async def resume(run_id: str) -> None:
            self._check_room(durable)
            await self._resume(durable, run_id, versions, "", unpause=selection is not None)

        if selection is None:
            return await do_with_each(await self.resumable(), resume, dry_run=dry_run)
        return await do_with_all(durable.journal, selection, RESUMABLE, resume, dry_run=dry_run)

    async def retry(
        self,
        run_id: str,
        *,
        from_step: str | None = None,
        patch: Patch | PatchOf = (),
        reason: str = "",
        versions: VersionPolicy = "same-major",
    ) -> Sequence[str]:
        """Open a run again that failed, was compensated or was cancelled.

        What failed is done again, and what depends on it, and whatever was compensated. Where
        this process stays, it executes the run; else the caller does with `execute`.

        Args:
            run_id: The run.
            from_step: Do this step again, and what depends on it.
            patch: How the definition changes for what is done again: a JSON Patch (RFC 6902),
                or what makes one.
            reason: Why it changes, for the run's history.
            versions: Which plugin versions may resume it, besides those that served it.

        Returns:
            The steps that are done again, and the events that are handled again.

        Raises:
            RunNotFoundError: There is no such run.
            RunNotEndedError: It has not ended.
            RunSucceededError: It has succeeded.
            UnknownStepError: It has begun no such step.
            AmendmentRefusedError: The patch is not possible; nothing was changed.
            WorkflowError: Its workflow can't run here.
        """
        from qtforge_host.runs.reset import ResetAmendment, reset_run  # see above

        durable = await self._parts.durable()
        workflows = durable.engine.workflows
        records = await durable.journal.records(run_id)
        workflow = workflows.recorded(RunState.from_records(run_id, records))
        changes = None
        if operations := _operations(patch, workflow):
            changes = ResetAmendment(workflows.recorded, operations, workflows.check, reason)
        self._check_room(durable)
        with self._reserved(run_id):
            again = await reset_run(
                durable.journal,
                run_id,
                from_step,
                at=_now(),
                by=self._by,
                amend=changes,
                records=records,
                workflow=workflow,
            )
        if self._stays:
            await self._resume(durable, run_id, versions, "retried")
        return again

    async def retry_all(
        self,
        selection: Selection,
        *,
        from_step: str | None = None,
        patch: Patch | Callable[[str, Workflow], Patch] = (),
        reason: str = "",
        versions: VersionPolicy = "same-major",
        dry_run: bool = False,
    ) -> BulkDone:
        """Open runs again that failed or were compensated, and have something in common.

        Those that were cancelled are meant where the selection has that status. Where this process
        stays, it executes the runs, and those for which it has no room stay as they are; else the
        caller does with `execute`.

        Args:
            selection: Which runs.
            from_step: As of `retry`.
            patch: As of `retry`; what makes one is given the run's id, too.
            reason: As of `retry`.
            versions: As of `retry`.
            dry_run: Only say which.

        Raises:
            SelectionError: Which runs are meant is not said, or can't be.
        """
        from qtforge_host.api.bulk import RETRIABLE, do_with_all  # see above

        durable = await self._parts.durable()

        async def retry(run_id: str) -> None:
            of_run = functools.partial(patch, run_id) if callable(patch) else patch
            await self.retry(
                run_id, from_step=from_step, patch=of_run, reason=reason, versions=versions
            )

        return await do_with_all(durable.journal, selection, RETRIABLE, retry, dry_run=dry_run)

    async def fork(
        self,
        run_id: str,
        *,
        from_step: str | None = None,
        given: Mapping[str, Any] | InputOf | None = None,
        versions: VersionPolicy = "same-major",
    ) -> str:
        """Make a new run of another, which stays as it is; return the new run's id.

        Where this process stays, it executes the new run; else the caller does with `execute`.

        Args:
            run_id: The other run.
            from_step: Keep the results of what does not depend on this step; None keeps none.
            given: What changes in the input, or what makes it; tables are merged, other values
                replaced. A changed input is checked like that of any new run.
            versions: Which plugin versions may execute it, besides those that served the other.

        Raises:
            RunNotFoundError: There is no such run.
            UnknownStepError: It has begun no such step.
            StatefulRunError: A step is given, and the run is a state machine.
            WorkflowError: Its workflow can't run here.
            RunInputError: The changed input is not what the workflow accepts.
            OperationError: ``secret.missing``: the run was imported, and a secret that stays in
                a changed input is not here.
        """
        from qtforge_host.run_files import RunFiles  # see above
        from qtforge_host.runs.reset import forked

        durable = await self._parts.durable()
        records = await durable.journal.records(run_id)
        state = RunState.from_records(run_id, records)
        workflow = durable.engine.workflows.recorded(state)  # refused now rather than half done
        self._check_room(durable)
        before = state.started.input if state.started is not None else {}
        changes = given(workflow) if callable(given) else given or {}
        whole = _merged(before if isinstance(before, Mapping) else {}, changes)
        if changes:
            whole = await _accepted_with_secrets(durable.engine, run_id, workflow, whole)
        now = _now()
        new_id = self._ids.new(now)
        started, copies = forked(records, new_id, whole, at=now, stage=from_step, workflow=workflow)
        secrets = durable.engine.secrets_of(new_id)  # last, so that nothing refused leaves any
        try:
            await secrets.take(await durable.journal.secrets(run_id))
            whole = await secrets.conceal_inputs(whole, workflow.definition.secret_names)
        finally:
            secrets.close()
        started = replace(started, input=dict(whole))
        RunFiles(self._parts.settings.run_files_dir).share(run_id, new_id)
        # At once: were this process to die between, the next one would redo the kept steps.
        await durable.journal.create(started, copies)
        if self._stays:
            await self._resume(durable, new_id, versions, fork_note(run_id, from_step))
        return new_id

    async def amend(
        self, run_id: str, patch: Patch | PatchOf, *, reason: str = "", timeout: Duration = 10.0
    ) -> Amended:
        """Change a run's definition for what is still to come.

        Args:
            run_id: The run.
            patch: A JSON Patch (RFC 6902) of the definition, or what makes one.
            reason: Why, for the run's history.
            timeout: How long to wait for the process that executes the run.

        Returns:
            Whether the definition is changed; where it is not, that is still pending.

        Raises:
            RunNotFoundError: There is no such run.
            RunEndedError: The run has ended.
            AmendmentRefusedError: The patch is not possible; nothing was changed.
            WorkflowError: The run's workflow is not here.
        """
        durable = await self._parts.durable()
        journal = durable.journal
        state = refuse_ended(run_id, await journal.tail(run_id))
        workflows = durable.engine.workflows
        workflow = workflows.recorded(state)
        changes = _operations(patch, workflow)
        # Only for its refusal, which is immediate: the owner of the run amends it.
        check_amendment(run_id, workflow, changes, state.steps, workflows.check)
        message = self._message("amend", data={"patch": changes, "reason": reason})
        answer: RunAmended | AmendmentRefused | None
        try:
            with self._reserved(run_id):
                answer = await amend_resting(journal, workflows, run_id, changes, message, reason)
        except RunOwnedError:
            before = await refuse_finished(journal, run_id)
            await self._post(run_id, message)
            answer = await answered(
                journal,
                before,
                wait_seconds(timeout),
                lambda records: amendment_outcome(records, message.message_id),
            )
        if isinstance(answer, AmendmentRefused):
            raise AmendmentRefusedError(run_id, answer.reason, "change what is still to come")
        return Amended(run_id=run_id, amended=answer is not None, patch=[*changes])

    def _check_room(self, durable: Durable) -> None:
        count = durable.supervisor.count()
        if self._max_runs is not None and count >= self._max_runs:
            raise TooManyRunsError(count)

    def _message(
        self, kind: MessageKind, *, name: str = "", data: Any = None, message_id: str | None = None
    ) -> InboxMessage:
        return InboxMessage(
            message_id=message_id or uuid.uuid4().hex,
            kind=kind,
            at=_now(),
            name=name,
            data=data,
            by=self._by,
        )

    @contextlib.contextmanager
    def _reserved(self, run_id: str) -> Iterator[None]:
        """Keep this process from executing a run while its journal is written here.

        Raises:
            RunOwnedError: This process executes it.
        """
        durable = self._parts.open_durable
        if durable is None:
            yield
            return
        with durable.supervisor.reserved(run_id):
            yield

    async def _settle(self, durable: Durable, run_id: str) -> None:
        """Let what a run has started end before this process does, and the run handle that.

        What takes longer is left as it is: the recovery of interrupted runs continues it.
        """
        if not self._stays:
            await durable.supervisor.settle(run_id, _SETTLE_S)

    async def _whole(self, run_id: str) -> RunSnapshot:
        """Return a run as `show` does, with every step."""
        return await look(await self._parts.journal(), run_id, self._workflow_of, every_step=True)

    async def _post(self, run_id: str, message: InboxMessage) -> Posted:
        """Put a message into a run's inbox, and let this process look at it at once."""
        posted = await (await self._parts.journal()).post(run_id, message)
        durable = self._parts.open_durable
        if durable is None:
            return posted
        if durable.supervisor.active_runs.get(run_id) is not None:
            # It may be ending just now; the message is in its inbox all the same.
            with contextlib.suppress(QtForgeError):
                await durable.supervisor.active_runs.deliver_pending(run_id)
        elif durable.supervisor.executes(run_id):
            durable.supervisor.wake(run_id)
        return posted

    async def _send_to_machine(
        self, run_id: str, message: InboxMessage, timeout_s: float
    ) -> EventOutcome:
        from qtforge_host.api.event_outcome import EventOutcome  # see above

        durable = await self._parts.durable()
        checkpoint = await durable.supervisor.send(run_id, message, timeout_s=timeout_s)
        if checkpoint is None:
            return EventOutcome.of(run_id, message, received=False)
        if not self._stays and durable.supervisor.executes(run_id):
            # This process ends after the run has come to rest.
            await durable.engine.resume(run_id, unpause=False)
        await self._settle(durable, run_id)
        run = await look(durable.journal, run_id, self._workflow_of, most=_ANSWER_RECORDS)
        return EventOutcome.of(run_id, message, received=True, checkpoint=checkpoint, run=run)

    async def _cancel_and_compensate(
        self, run_id: str, reason: str, timeout: Duration
    ) -> RunSnapshot:
        durable = await self._parts.durable()
        journal = durable.journal
        state = refuse_ended(run_id, await journal.tail(run_id))
        durable.engine.workflows.recorded(state)  # refused before anything is recorded
        try:
            with self._reserved(run_id):
                ownership = await journal.claim(run_id)
                try:
                    state = refuse_ended(run_id, await journal.tail(run_id))
                    now = _now()
                    asked = RunCancelRequested(run_id=run_id, at=now, by=self._by, reason=reason)
                    records: list[Record] = [asked]
                    if state.status == "paused":  # another process resumes it if this one dies now
                        records.append(
                            RunResumed(
                                run_id=run_id,
                                at=now,
                                owner=ownership.owner,
                                plugins=durable.engine.plugins(),
                                note="to be cancelled",
                            )
                        )
                    await journal.append(ownership, records)
                finally:
                    await journal.release(ownership)
        except RunOwnedError:  # another process, or this one, has just resumed it
            await self._post(run_id, self._message("cancel", data={"reason": reason}))
        else:
            await self._resume(durable, run_id, "same-major", "to be cancelled")
        return await self.wait(run_id, timeout, until_end=True)

    async def _pause_here(
        self, journal: Journal, run_id: str, message: InboxMessage, reason: str
    ) -> None:
        ownership = await journal.claim(run_id)
        try:
            if refuse_ended(run_id, await journal.tail(run_id)).status != "paused":
                paused = RunPaused(
                    run_id=run_id, at=message.at, by=self._by, reason=reason,
                    message_id=message.message_id,
                )  # fmt: skip
                await journal.append(ownership, [paused])
        finally:
            await journal.release(ownership)

    async def _resume(
        self,
        durable: Durable,
        run_id: str,
        versions: VersionPolicy,
        note: str,
        *,
        unpause: bool = True,
    ) -> None:
        """Resume a run: until it rests where this process does not stay, else until it executes.

        Raises:
            QtForgeError: It can't be resumed. That another process executes it is no error.
        """
        with contextlib.suppress(RunOwnedError):
            if not self._stays:
                await durable.engine.resume(run_id, versions=versions, note=note, unpause=unpause)
                await self._settle(durable, run_id)
                return
            active_runs = durable.supervisor.active_runs
            if active_runs.get(run_id) is not None:
                summary = await durable.journal.summary(run_id)
                if not unpause or summary.status != "paused":  # else it is just coming to rest
                    return
            task = active_runs.spawn(
                durable.engine.resume(run_id, versions=versions, note=note, unpause=unpause)
            )
            deadline = asyncio.get_running_loop().time() + _BEGIN_S
            await asyncio.sleep(0)  # in which the task begins
            while not task.done() and active_runs.get(run_id) is None:
                if asyncio.get_running_loop().time() >= deadline:
                    return
                await asyncio.sleep(_BEGIN_POLL_S)
            if task.done():
                task.result()


def fork_note(run_id: str, from_step: str | None) -> str:
    """Return the note in the history of a run that was forked."""
    return f"forked from {run_id}" + (f" at {from_step}" if from_step else "")


async def _accepted_with_secrets(
    engine: Engine, run_id: str, workflow: Workflow, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a new run's input; references in it are of another run, whose secrets it gets.

    Raises:
        RunInputError: The input is not what the workflow accepts.
        OperationError: A secret is not here, or the input can't be stored.
    """
    secrets = engine.secrets_of(run_id)
    try:
        await secrets.load()
        return {**await engine.accepted_input(workflow, secrets.fill(given))}
    finally:
        secrets.close()


def run_plan(started: RunStarted, admission: Admission) -> RunPlan:
    """Return what the start of a run would do, as a document.

    Args:
        started: Its first record.
        admission: What the journal says.
    """
    keys = started.keys or RunKeys()
    would: Literal["start", "wait", "refuse", "answer"] = "start"
    if admission.existing is not None:
        would = "answer"
    elif admission.is_refused:
        would = "refuse"
    elif admission.held_by:
        would = "wait"
    return RunPlan(
        workflow=started.workflow,
        workflow_version=started.workflow_version,
        title=keys.title,
        tags=keys.tags,
        priority=0 if started.queue is None else started.queue.priority,
        unique_key=None if keys.unique is None else keys.unique.key,
        concurrency_key=None if keys.place is None else keys.place.key,
        would=would,
        existing=admission.existing,
        held_by=list(admission.held_by[:MOST_HOLDERS]),
        cancels=list(admission.cancels[:MOST_HOLDERS]),
    )


def _operations(patch: Patch | PatchOf, workflow: Workflow) -> Sequence[dict[str, Any]]:
    return [dict(each) for each in (patch(workflow) if callable(patch) else patch)]


def _merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input with changes: tables are merged, other values replaced."""
    merged = copy.deepcopy(dict(before))
    for key, value in changes.items():
        inner = merged.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(inner, value) if both and inner is not None else value
    return merged


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
