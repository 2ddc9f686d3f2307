"""The runs that a run starts: execute, resume and cancel them with it."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from qtforge_host.runs.active_runs import ActiveRuns, OnStarted
from qtforge_host.runs.control import Control, PauseRequested
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.runs.versions import VersionPolicy
from qtforge_host.runs.waiting import Wait
from qtforge_host.validation import name_problem
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import ErrorInfo
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import OperationError, RunError, WorkflowError, WorkflowUnmetError
from qtforge_sdk.journal import InboxMessage, Journal, Ownership, RunQuery, RunSecret, RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError, RunOwnedError, StaleOwnerError
from qtforge_sdk.records import (
    CHILD_ENDED,
    QueueEntry,
    RunCancelRequested,
    RunFinished,
    RunStarted,
)
from qtforge_sdk.run_status import UNFINISHED
from qtforge_sdk.runs import CONCLUSION
from qtforge_sdk.shielding import wait_shielded

__all__ = [
    "ChildLeftError",
    "Children",
    "Executor",
    "ParentStep",
    "cancel_family",
    "cancel_message",
    "end_notice",
    "needs_execution",
    "unfinished_children",
]


def needs_execution(state: RunState) -> bool:
    """Return whether a run that is cancelled has to be executed, to undo something or to conclude.

    A Python workflow decides that itself.
    """
    started = state.started
    if state.status == "queued" and not state.resumed:  # it has not begun
        return False
    definition = state.definition or (started.definition if started is not None else None)
    if state.compensating or definition is None or definition.get("finally"):
        return True
    return bool(definition.get("on_cancel") == "compensate")


async def unfinished_children(journal: Journal, parent: str) -> Sequence[RunSummary]:
    """Return the runs that a run has started and that have not ended."""
    return await journal.runs(RunQuery(parent=parent, statuses=UNFINISHED, limit=_MANY))


async def _dependent(journal: Journal, parent: str, *, concluding: bool = True) -> Sequence[str]:
    """Return the unfinished runs that end with the run that has started them.

    Args:
        journal: Holds the runs.
        parent: The run that has started them.
        concluding: Whether to return those, too, that its last steps have started.
    """
    found = []
    for each in await unfinished_children(journal, parent):
        (first, *_) = await journal.records(each.run_id, limit=1)
        started = first if isinstance(first, RunStarted) else None
        if started is not None and started.independent:
            continue
        step = "" if started is None else started.parent_step or ""
        if concluding or not step.startswith(CONCLUSION):
            found.append(each.run_id)
    return found


def cancel_message(parent: str, at: datetime.datetime) -> InboxMessage:
    """Return the request that a child ends with its parent."""
    return InboxMessage(
        message_id=f"{parent}/cancelled", kind="cancel", at=at, by=f"its parent run {parent}"
    )


def end_notice(
    started: RunStarted | None, finished: RunFinished, *, has_rested: bool
) -> Sequence[tuple[str, InboxMessage]]:
    """Return the event that notifies the run's parent of its end, if the parent waits for one.

    Args:
        started: The run's first record.
        finished: Its last one.
        has_rested: Whether the run was queued, or left by the process that had begun it: until
            then a parent that awaits it stays in memory.
    """
    if started is None or started.parent is None or not started.notify:
        return ()
    if started.awaited_by is not None:
        if not has_rested:
            return ()
        about: dict[str, Any] = {"run_id": finished.run_id, "status": finished.status}
    else:
        about = {
            "run_id": finished.run_id,
            "workflow": started.workflow,
            "status": finished.status,
            "result": finished.result,
            "error": None if finished.error is None else finished.error.message,
        }
    message = InboxMessage(
        message_id=f"{finished.run_id}/ended",
        kind="event",
        at=finished.at,
        name=started.notify,
        data=about,
        by=f"the run {finished.run_id}",
        sender=finished.run_id,
    )
    return [(started.parent, message)]


async def cancel_family(
    journal: Journal, run_id: str, *, by: str, reason: str, at: datetime.datetime
) -> bool:
    """Cancel a run and all its unfinished descendants, if none of them has to be executed.

    A child that a live process executes gets a request. The children end first, so that a
    process that is killed in between can do it again.

    Args:
        journal: Holds the runs.
        run_id: The run; one that has ended stays as it is.
        by: Who asked.
        reason: Why, or "".
        at: Now, in UTC.

    Returns:
        False when a run has to be resumed because something in it has to be undone, or done
        last; nothing was changed then.

    Raises:
        RunOwnedError: A live process executes the run.
    """
    ownership = await journal.claim(run_id)
    family = await _family(journal, run_id)
    states = [RunState.from_records(each, await journal.tail(each)) for each, _ in family]
    if any(map(needs_execution, states)):
        await journal.release(ownership)
        return False
    for child, parent in family[:0:-1]:
        try:
            owned = await journal.claim(child)
        except RunOwnedError:
            await journal.post(child, cancel_message(parent, at))
        else:
            await _end(journal, owned, f"its parent run {parent}", reason, at, notifies=False)
    await _end(journal, ownership, by, reason, at, notifies=True)
    return True


async def _family(journal: Journal, run_id: str) -> list[tuple[str, str]]:
    """Return the run and its unfinished descendants with their parents, parents first."""
    family = [(run_id, "")]
    for each, _ in family:  # it grows meanwhile
        family += [(child, each) for child in await _dependent(journal, each)]
    return family


async def _end(
    journal: Journal,
    ownership: Ownership,
    by: str,
    reason: str,
    at: datetime.datetime,
    *,
    notifies: bool,
) -> None:
    run_id = ownership.run_id
    state = RunState.from_records(run_id, await journal.tail(run_id))
    if state.finished is not None:
        await journal.release(ownership)
        return
    asked = RunCancelRequested(run_id=run_id, at=at, by=by, reason=reason)
    finished = RunFinished(
        run_id=run_id,
        at=at,
        status="cancelled",
        degraded=state.degraded,
        result=None,
        summary="",
        error=ErrorInfo(code="run.cancelled", message=f"cancelled by {by}"),
    )
    posts = end_notice(state.started, finished, has_rested=True) if notifies else ()
    await journal.append(ownership, [asked, finished], posts)


_LOG = logging.getLogger("qtforge.runs")


_MANY = 1_000_000


MAX_DEPTH: Final = 32


class ParentStep(msgspec.Struct, frozen=True, kw_only=True):
    """The step of a run that starts another run.

    Attributes:
        run_id: The run that starts the other.
        step: Its step.
        depth: How many runs are above it; 0 for one without a parent.
        notify: The event that it receives at the child's end, or "".
        independent: Whether the child continues when it fails or is cancelled.
        secrets: What references in the child's input stand for.
    """

    run_id: str
    step: str
    depth: int
    notify: str = ""
    independent: bool = False
    secrets: Mapping[str, RunSecret] = {}


class Executor(Protocol):
    """The engine, as far as runs use it to execute their children.

    A run's engine executes runs that execute children with the same engine; this protocol is
    where that recursion is cut.
    """

    async def execute(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        *,
        parent: ParentStep,
        stays: bool = False,
        on_started: OnStarted,
    ) -> RunState:
        """Start a run, and execute it until it ends or rests."""

    async def enqueue(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        queue: QueueEntry,
        *,
        parent: ParentStep,
    ) -> str:
        """Store a run that a process with room for it executes; return its id."""

    async def resume(
        self,
        run_id: str,
        *,
        versions: VersionPolicy = "same-major",
        note: str = "",
        stays: bool = False,
        unpause: bool = True,
    ) -> RunState:
        """Resume a run, and execute it until it ends or rests."""


class ChildLeftError(Exception):
    """The child rests, or another process executes it; the step that awaits it tries again.

    Args:
        run_id: The child.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Children:
    """Executes the children of runs.

    Args:
        executor: Executes them.
        active_runs: Executes those that are not awaited, in the background.
        journal: Holds them.
        workflows: Finds a workflow by its name.
        clock: The time.
    """

    def __init__(
        self,
        executor: Executor,
        active_runs: ActiveRuns,
        journal: Journal,
        workflows: RecordedWorkflows,
        clock: Clock,
    ) -> None:
        self._executor = executor
        self._active_runs = active_runs
        self._journal = journal
        self._workflows = workflows
        self._clock = clock

    async def find(self, parent: str, step: str, known: Collection[str]) -> str | None:
        """Return the child that a step began just before its process died, or None.

        Args:
            parent: The run.
            step: Its step.
            known: The children that the parent's records name.
        """
        for each in await self._journal.runs(RunQuery(parent=parent, limit=_MANY)):
            if each.run_id not in known:
                first = (await self._journal.records(each.run_id, limit=1))[0]
                if isinstance(first, RunStarted) and first.parent_step == step:
                    return each.run_id
        return None

    async def cancel(self, parent: str, child: str | None = None) -> None:
        """Cancel the unfinished descendants of a run; what they did is undone.

        A child that can't be resumed here, or that another process executes, gets a request,
        and ends when it is resumed or receives it.

        Args:
            parent: The run.
            child: One of its children; None for all that are not independent, nor started by
                its last steps, which are done also when it is cancelled.
        """
        for each in await _dependent(self._journal, parent, concluding=child is not None):
            if child in (None, each):
                await self._journal.post(each, cancel_message(parent, self._clock.now()))
                await self.end_cancelled(each)

    async def request_cancel(self, parent: str, children: Collection[str]) -> None:
        """Cancel children of a run without waiting until they have ended.

        Args:
            parent: The run.
            children: Those of its children; one that has ended stays as it is.
        """
        for each in await unfinished_children(self._journal, parent):
            if each.run_id in children:
                await self._journal.post(each.run_id, cancel_message(parent, self._clock.now()))
                self._active_runs.spawn(self.end_cancelled(each.run_id))

    async def send(self, run_ids: Iterable[str], message: InboxMessage) -> None:
        """Send an event to runs; each keeps a message of that id once.

        Raises:
            RunNotFoundError: There is no such run; those before it have received the event.
        """
        for each in run_ids:
            await self._journal.post(each, message)
            self._active_runs.notify(each)

    async def make_room(self, run_id: str, by: str) -> None:
        """Cancel a run that was sent a request for that, since a new one needs its place.

        Args:
            run_id: The run.
            by: Who asks.
        """
        try:
            if self._active_runs.get(run_id) is not None:
                await self._active_runs.deliver_pending(run_id)
            elif not await cancel_family(
                self._journal, run_id, by=by, reason="its place is needed", at=self._clock.now()
            ):
                await self.end_cancelled(run_id)
        except (RunOwnedError, RunNotFoundError, StaleOwnerError):
            pass  # its owner has the request

    async def end_cancelled(self, run_id: str) -> None:
        """Resume a run that is to be cancelled, if it can be resumed here."""
        try:
            records = await self._journal.tail(run_id)
            state = RunState.from_records(run_id, records)
            await self._executor.resume(
                run_id,
                # Other plugin versions than those that served it must not undo its steps.
                versions="same-major" if needs_execution(state) else "any",
                note="to be cancelled",
            )
        except RunOwnedError:
            pass
        except (RunError, WorkflowError) as error:
            _LOG.warning("%s: cancel requested, and still pending: %s", run_id, error)

    def _find(self, name: str, queue: QueueEntry | None) -> tuple[Workflow, QueueEntry | None]:
        """Return a workflow, and how it waits for a process; None where this one executes it.

        It waits where that is asked for, or where plugins that it requires are missing here.
        """
        if queue is not None:
            _check_pool(queue.pool)
            return self._workflows.declared(name), queue
        try:
            return self._workflows.named(name), None
        except WorkflowUnmetError:
            return self._workflows.declared(name), QueueEntry()

    async def start(
        self,
        parent: ParentStep,
        name: str,
        given: Mapping[str, Any],
        queue: QueueEntry | None = None,
    ) -> str:
        """Start a workflow as a child that executes in the background; return the run's id.

        Args:
            parent: The step that starts it.
            name: The workflow.
            given: Its input.
            queue: How it waits for a process; None where this one executes it, if it can.

        Raises:
            WorkflowError: It can't be run here.
            OperationError: ``run.too_deep``.
        """
        _check_depth(name, parent)
        workflow, queue = self._find(name, queue)
        if queue is not None:
            return await self._executor.enqueue(workflow, given, queue, parent=parent)
        return await self._active_runs.start(
            lambda on_started: self._executor.execute(
                workflow, given, parent=parent, on_started=on_started
            )
        )

    async def result(
        self,
        parent: ParentStep,
        name: str,
        given: Mapping[str, Any],
        begun: str | None,
        on_started: OnStarted,
        control: Control,
        unpause: bool,
        queue: QueueEntry | None = None,
    ) -> Any:
        """Run a workflow as a child, or resume the child that was begun; return its result.

        Args:
            parent: The step that waits for the child.
            name: The workflow.
            given: Its input.
            begun: The child that the step began before, or None.
            on_started: Awaited with the child's id once the journal holds it.
            control: The parent's.
            unpause: Whether a child that is paused is resumed.
            queue: How it waits for a process; None where this one executes it, if it can.

        Raises:
            ChildLeftError: It was begun, and another process executes it now, or it rests until
                something wakes it.
            OperationError: It did not succeed; or ``run.too_deep``.
            PauseRequested: It rests, and so its parent does.
        """
        _check_depth(name, parent)
        stays = not self._active_runs.leaves_children(control)
        wait = Wait(child=begun or "", executes=True)

        async def began(run_id: str) -> None:
            wait.child = run_id
            await on_started(run_id)

        if begun is None:
            workflow, queue = self._find(name, queue)
            if queue is not None:
                child = await self._executor.enqueue(workflow, given, queue, parent=parent)
                await on_started(child)
                raise ChildLeftError(child)
            work = self._executor.execute(
                workflow, given, parent=parent, stays=stays, on_started=began
            )
        elif await self._is_left(begun, stays):
            raise ChildLeftError(begun)
        else:
            work = self._executor.resume(begun, stays=stays, unpause=unpause)
        try:
            with control.waits.waiting(wait):
                state = await _await_child(work, control.is_to_stop)
        except RunOwnedError as error:
            if begun is None:
                raise
            raise ChildLeftError(begun) from error
        if state.status in ("waiting", "running"):  # it rests, or another process has taken it
            raise ChildLeftError(state.run_id)
        if state.status == "succeeded":
            return state.result
        if state.rests:
            by = f"its child run {state.run_id}, which is {state.status}"
            id_ = f"{state.run_id}/{state.status}"
            raise PauseRequested(
                InboxMessage(message_id=id_, kind="pause", at=self._clock.now(), by=by)
            )
        why = state.error.message if state.error else ""
        what = f"the run {state.run_id} of '{name}' is {state.status}"
        raise OperationError(state.error.code if state.error else "run.child_failed", what, why)

    async def _is_left(self, run_id: str, stays: bool) -> bool:
        """Return whether a child that was begun is for another process, or rests.

        Args:
            run_id: The child.
            stays: Whether the parent's process stays with its runs: it executes every child that
                was not queued for others.
        """
        run = await self._journal.summary(run_id)
        if not stays:
            return run.owner_alive or run.status in ("queued", "waiting")
        if run.status not in ("queued", "running", "waiting"):
            return False
        first = await self._first(run_id)
        return first is not None and first.queue is not None

    def may_leave(self, control: Control) -> bool:
        """Return whether a child may rest although its parent is in memory."""
        return self._active_runs.leaves_children(control)

    async def wakes_parent(self, run_id: str) -> bool:
        """Return whether the end of a child wakes the run that awaits it."""
        first = await self._first(run_id)
        return first is not None and first.notify == CHILD_ENDED

    async def _first(self, run_id: str) -> RunStarted | None:
        (first, *_) = await self._journal.records(run_id, limit=1)
        return first if isinstance(first, RunStarted) else None


async def _await_child(
    work: Coroutine[Any, Any, RunState], is_to_stop: Callable[[], bool]
) -> RunState:
    """Await a child in a task of its own, so that stacks do not nest.

    A parent that is cancelled waits until its child is undone. Each further cancellation is
    passed on after the parent has determined whether it stops, for the child does as its parent.
    """
    task = asyncio.ensure_future(work)

    def pass_on() -> None:
        is_to_stop()
        task.cancel()

    if await wait_shielded(task, pass_on):
        raise asyncio.CancelledError from None if task.cancelled() else task.exception()
    return task.result()


def _check_pool(pool: str) -> None:
    if why := name_problem("pool", pool):
        raise OperationError("run.pool_invalid", f"the pool {pool!a} can't be used", why)


def _check_depth(name: str, parent: ParentStep) -> None:
    depth = parent.depth + 1
    if depth > MAX_DEPTH:
        what = f"'{name}' would be run {depth} runs deep, and {MAX_DEPTH} is the limit"
        fix = "look for workflows that run each other in a circle"
        raise OperationError("run.too_deep", what, "", fix, retryable=False)
