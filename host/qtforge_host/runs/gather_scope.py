"""Branches that a run executes at once, and that may be ended before they are done."""

from __future__ import annotations

import asyncio
import datetime
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeVar

import msgspec

from qtforge_host.cancellation import CancelScope
from qtforge_host.plugin_code import ControlSignal
from qtforge_host.runs.steps import Answer, StepCall, StepMaker
from qtforge_host.runs.waiting import Waits
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import OperationError, QtForgeError
from qtforge_sdk.policies import Fallback
from qtforge_sdk.records import StepSkipped, StepSucceeded

__all__ = ["Branch", "BranchCut", "GatherScope", "WaitCutError", "is_cut_off"]

T = TypeVar("T")

_NOT_NEEDED: Final = "run.not_needed"
_REASON: Final = f"{_NOT_NEEDED}: as many as were asked for had succeeded"


class BranchCut(ControlSignal):
    """Leaves the code of a branch that was cut off, up to the `Run.gather` that cut it off."""


class WaitCutError(Exception):
    """The wait was cut off; never leaves the run's wait, which records that."""


class _NotNeededError(Exception):
    """Enough others have succeeded; this step is to be skipped."""


def is_cut_off(outcome: object) -> bool:
    """Return whether a step was skipped because its branch was not needed any more."""
    return isinstance(outcome, StepSkipped) and outcome.reason.partition(":")[0] == _NOT_NEEDED


class Branch:
    """One of the coroutines of a `Run.gather`: what its steps came to.

    A branch has succeeded when it has returned, unless it did steps and none of them succeeded.
    So it does not depend on the order in which parallel steps end, and a resumed run finds the
    same.

    Args:
        scope: The gathering.
    """

    __slots__ = ("_done", "_outer", "_succeeded", "scope")

    def __init__(self, scope: GatherScope) -> None:
        self.scope = scope
        self._outer = _CURRENT.get()
        self._done = False
        self._succeeded = False

    @staticmethod
    def current(run_id: str) -> Branch | None:
        """Return the innermost branch that executes here; a child's is not its parent's."""
        found = _CURRENT.get()
        return found if found is not None and found.scope.run_id == run_id else None

    def enter(self) -> None:
        """Make this the branch of the current task and of those that it creates."""
        _CURRENT.set(self)

    def note(self, *, succeeded: bool) -> None:
        """Count a step, now or from the journal; it counts in the outer branches as well."""
        branch: Branch | None = self
        while branch is not None and branch.scope.run_id == self.scope.run_id:
            branch._done = True
            branch._succeeded = branch._succeeded or succeeded
            branch = branch._outer

    def returned(self) -> None:
        """Count the branch, which has returned."""
        if self._succeeded or not self._done:
            self.scope.count_success()


class GatherScope:
    """One `Run.gather` that has a deadline, a number that is enough, or a bound.

    When the scope ends, a step of it without an answer fails with ``run.late`` or is skipped
    with ``run.not_needed``, a sleep is cut off, and no further request is made. A step that is
    being recorded is not disturbed, so that no step ends in two ways.

    Args:
        run_id: The run.
        first: How many branches that have succeeded are enough, or None.
        concurrency: How many steps may be requested at once, or None.
        waits: Of the run: one that waits for its turn does no work.
        resumed: Whether the run was resumed: then no request is made before every step has
            looked into the journal, whose answers may be enough.

    Attributes:
        run_id: The run.
        late: Whether the deadline has passed.
        due: When the deadline passes, or None.
    """

    def __init__(
        self,
        run_id: str,
        first: int | None,
        concurrency: int | None,
        waits: Waits,
        *,
        resumed: bool,
    ) -> None:
        self._waits = waits
        self.late = False
        self.run_id = run_id
        self.due: datetime.datetime | None = None
        self._first = first
        self._resumed = resumed
        self._turns = None if concurrency is None else asyncio.Semaphore(concurrency)
        self._inner: list[GatherScope] = []
        self._succeeded = 0
        self._ended: Callable[[], Exception] | None = None
        self._requests: set[CancelScope] = set()  # of the tasks that may be cancelled now
        outer = Branch.current(run_id)
        if outer is not None:
            outer.scope._inner.append(self)
            self._ended = outer.scope._ended

    @property
    def has_enough(self) -> bool:
        """Whether as many branches as were asked for have succeeded."""
        return self._first is not None and self._succeeded >= self._first

    def count_success(self) -> None:
        """Count a branch that has succeeded, now or before the run was resumed."""
        self._succeeded += 1
        if self.has_enough:
            self._end(_NotNeededError)

    def end_late(self, deadline_s: float) -> None:
        """End the scope because its deadline has passed.

        Args:
            deadline_s: How long the steps had, in seconds.
        """
        self.late = True
        what = f"it was not done within the {deadline_s:g} s that all had together"
        fix = "give them a longer deadline"
        self._end(lambda: OperationError("run.late", what, "", fix, retryable=False))

    async def make(
        self,
        call: StepCall,
        runner: StepMaker,
        sleep: Callable[[float], Awaitable[None]],
        check: Callable[[], None],
        settle: Callable[[], Awaitable[None]],
        clock: Clock,
        *,
        begun: bool,
    ) -> StepSucceeded | StepSkipped | QtForgeError:
        """Do a step of the scope, when its turn has come.

        Args:
            call: The step.
            runner: Makes its attempts.
            sleep: Waits between them.
            check: Raises when the run is to rest or to end.
            settle: Waits until the run's code has reached every step of the journal.
            clock: The time.
            begun: Whether an earlier process began the step.

        Returns:
            As `StepRunner.make`; or that the step is skipped, which is not recorded yet.
        """
        await self._settle(settle)
        sent = begun
        turn = await self._turn()
        try:
            if self._ended is None:
                check()  # it may have waited

            def note_sent() -> None:
                nonlocal sent
                sent = True

            guarded = self._guarded(call, note_sent)
            return await runner.make(guarded, lambda delay_s: self._sleep(sleep, delay_s))
        except _NotNeededError:
            return StepSkipped(
                run_id=self.run_id, at=clock.now(), step=call.step, reason=_REASON, cut=sent
            )
        finally:
            if turn is not None:
                turn.release()

    async def wait(
        self,
        due: datetime.datetime,
        sleep: Callable[[], Awaitable[None]],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        """Sleep until a time, unless the scope ends before.

        Args:
            due: When the sleep ends.
            sleep: Sleeps until then.
            settle: Waits until the run's code has reached every step of the journal.

        Raises:
            WaitCutError: The scope has ended before.
        """
        await self._settle(settle)
        if self.late and self.due is not None and due <= self.due:
            return  # both passed while no process executed the run
        try:
            await self._unless_ended(sleep())
        except (_NotNeededError, OperationError) as error:
            raise WaitCutError from error

    async def _settle(self, settle: Callable[[], Awaitable[None]]) -> None:
        if self._resumed:
            await settle()
            await asyncio.sleep(0)

    def _end(self, reason: Callable[[], Exception]) -> None:
        if self._ended is not None:
            return
        self._ended = reason
        for request in self._requests:
            if not request.is_current:
                request.cancel()
        for inner in self._inner:
            inner._end(reason)

    def _guarded(self, call: StepCall, note_sent: Callable[[], None]) -> StepCall:
        def send(attempt: int) -> Awaitable[Answer]:
            if self._ended is None:
                note_sent()
            return self._unless_ended(call.send(attempt))

        async def fall_back(given: Fallback) -> Answer:
            assert call.fall_back is not None  # noqa: S101 - only then it is called
            if given.topic is None:
                return await call.fall_back(given)
            return await self._unless_ended(call.fall_back(given))

        return msgspec.structs.replace(
            call,
            send=send,
            fall_back=None if call.fall_back is None else fall_back,
        )

    async def _turn(self) -> asyncio.Semaphore | None:
        if self._turns is not None and self._ended is None:
            try:
                if self._turns.locked():
                    with self._waits.waiting(None):
                        await self._unless_ended(self._turns.acquire())
                else:
                    await self._turns.acquire()  # without suspending
            except (_NotNeededError, OperationError):
                return None  # the attempt raises it again, for the journal
        return self._turns if self._ended is None else None

    async def _sleep(self, sleep: Callable[[float], Awaitable[None]], delay_s: float) -> None:
        try:
            await self._unless_ended(sleep(delay_s))
        except OperationError:
            return  # the attempt raises it again

    async def _unless_ended(self, work: Awaitable[T]) -> T:
        """Wait for something, unless the scope ends before."""
        if self._ended is not None:
            if inspect.iscoroutine(work):
                work.close()
            raise self._ended()
        request = CancelScope()
        self._requests.add(request)
        try:
            return await work
        except asyncio.CancelledError:
            if not request.count or request.others() > 0 or self._ended is None:
                raise  # the run itself is cancelled
            raise self._ended() from None
        finally:
            self._requests.discard(request)
            request.close()


_CURRENT: Final[ContextVar[Branch | None]] = ContextVar("qtforge_branch", default=None)
