"""Steps that a run does at once, and that may be ended before they are done."""

from __future__ import annotations

import asyncio
import datetime
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import msgspec

from qtforge_host.runs.control import PauseRequested
from qtforge_host.runs.steps import Answer, StepCall, StepRunner
from qtforge_host.runs.waits import Waits
from qtforge_sdk.clock import Clock
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import OperationError, QtForgeError
from qtforge_sdk.policies import Fallback
from qtforge_sdk.records import StepSkipped, StepSucceeded, TimerFired

__all__ = ["Gathering", "Gathers", "gathering_of"]

T = TypeVar("T")

_GATHERING: Final[ContextVar[Gathering | None]] = ContextVar("qtforge_gathering", default=None)
_NOT_NEEDED: Final = "run.not_needed: as many as were asked for had succeeded"


class _NotNeededError(Exception):
    """Enough others have succeeded; this step is to be skipped."""


class Gathering:
    """One `Run.gather` that has a deadline, a number that is enough, or a bound.

    When it is ended, a step of it that has not been answered fails with ``run.late`` or is
    skipped with ``run.not_needed``, and nobody is asked any more. A step that is being
    recorded is not disturbed, so that no step ends in two ways.

    Args:
        run_id: The run.
        first: How many successes are enough, or None.
        concurrency: How many steps may be asked at once, or None.
        resumed: Whether the run was taken up: then nobody is asked before every step has
            looked into the journal, for these may be enough.
    """

    def __init__(
        self, run_id: str, first: int | None, concurrency: int | None, *, resumed: bool
    ) -> None:
        self.run_id = run_id
        self.late = False
        self._first = first
        self._resumed = resumed
        self._turns = None if concurrency is None else asyncio.Semaphore(concurrency)
        self._outer = _GATHERING.get()
        self._inner: list[Gathering] = []
        self._succeeded = 0
        self._ended: Callable[[], Exception] | None = None
        self._asking: set[asyncio.Task[Any]] = set()  # may be cancelled now
        self._cut: set[asyncio.Task[Any]] = set()  # were
        if self._outer is not None and self._outer.run_id == run_id:
            self._outer._inner.append(self)
            self._ended = self._outer._ended

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let the tasks that are made within belong to it."""
        token = _GATHERING.set(self)
        try:
            yield
        finally:
            _GATHERING.reset(token)

    def count(self) -> None:
        """Say that a step has succeeded, now or before the run was resumed."""
        self._succeeded += 1
        if self._first is not None and self._succeeded >= self._first:
            self._end(_NotNeededError)

    def end_late(self, deadline_s: float) -> None:
        """Say that the time is over."""
        self.late = True
        what = f"it was not done within the {deadline_s:g} s that all had together"
        fix = "give them a longer deadline"
        self._end(lambda: OperationError("run.late", what, "", fix, retryable=False))

    async def make(
        self,
        call: StepCall,
        attempts: StepRunner,
        sleep: Callable[[float], Awaitable[None]],
        check: Callable[[], None],
        clock: Clock,
    ) -> StepSucceeded | StepSkipped | QtForgeError:
        """Do a step of it, when its turn has come.

        Args:
            call: The step.
            attempts: Makes them.
            sleep: Waits between them.
            check: Raises when the run is to rest or to end.
            clock: The time.

        Returns:
            As `StepRunner.make`; or that the step is skipped, which is not recorded yet.
        """
        if self._resumed:
            await asyncio.sleep(0)
        turn = await self._turn()
        try:
            if self._ended is None:
                check()  # it may have waited
            guarded = self._guarded(call)
            return await attempts.make(guarded, lambda delay_s: self._nap(sleep, delay_s))
        except _NotNeededError:
            return StepSkipped(
                run_id=self.run_id, at=clock.now(), step=call.step, reason=_NOT_NEEDED
            )
        finally:
            if turn is not None:
                turn.release()

    def _end(self, reason: Callable[[], Exception]) -> None:
        if self._ended is not None:
            return
        self._ended = reason
        for task in self._asking - self._cut:
            if task is not asyncio.current_task():
                self._cut.add(task)
                task.cancel()
        for inner in self._inner:
            inner._end(reason)

    def _guarded(self, call: StepCall) -> StepCall:
        async def fall_back(given: Fallback) -> Answer:
            assert call.fall_back is not None  # noqa: S101 - only then it is called
            if given.topic is None:
                return await call.fall_back(given)
            return await self._unless_ended(call.fall_back(given))

        return msgspec.structs.replace(
            call,
            send=lambda attempt: self._unless_ended(call.send(attempt)),
            fall_back=None if call.fall_back is None else fall_back,
        )

    async def _turn(self) -> asyncio.Semaphore | None:
        if self._turns is not None and self._ended is None:
            try:
                await self._unless_ended(self._turns.acquire())
            except (_NotNeededError, OperationError):
                return None  # the attempt says so, once more and for the journal
        return self._turns if self._ended is None else None

    async def _nap(self, sleep: Callable[[float], Awaitable[None]], delay_s: float) -> None:
        try:
            await self._unless_ended(sleep(delay_s))
        except OperationError:
            return  # the attempt says so

    async def _unless_ended(self, work: Awaitable[T]) -> T:
        """Wait for something, unless it is ended before."""
        if self._ended is not None:
            if inspect.iscoroutine(work):
                work.close()
            raise self._ended()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._asking.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in self._cut or task.cancelling() > 1 or self._ended is None:
                raise  # the run itself is cancelled
            raise self._ended() from None
        finally:
            self._asking.discard(task)
            if task in self._cut:
                self._cut.discard(task)
                task.uncancel()


def gathering_of(run_id: str) -> Gathering | None:
    """Return what the present task belongs to; a child's steps are none of its parent's."""
    found = _GATHERING.get()
    return found if found is not None and found.run_id == run_id else None


class Gathers(Waits):
    """What `ActiveRun` inherits: doing steps at once."""

    _gathers: int
    _gathering: int

    async def gather(
        self,
        *steps: Awaitable[Any],
        deadline: Duration | None = None,
        first: int | None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> list[Any]:
        """Do steps at once; see `qtforge_sdk.Run`."""
        if deadline is None and first is None and concurrency is None:
            return await self._all(steps)
        resumed = self._log.state.resumed
        gathering = Gathering(self.id, first, concurrency, resumed=resumed)
        if deadline is None:
            with gathering.holding():
                return await self._all(steps)
        self._gathers += 1
        timer = f"gather {self._gathers}" if name is None else name
        try:
            deadline_s = wait_seconds(deadline)
            self._claims.claim(timer)
            due = await self._due(timer, deadline_s)
        except BaseException:
            for step in steps:
                if inspect.iscoroutine(step):
                    step.close()  # so that Python does not warn of it
            raise
        if (due - self._clock.now()).total_seconds() <= 0:  # over while nobody ran it
            gathering.end_late(deadline_s)
        timekeeper = asyncio.ensure_future(self._keep_time(gathering, due, deadline_s))
        try:
            with gathering.holding():
                answers = await self._all(steps)
        finally:
            timekeeper.cancel()
            await asyncio.wait([timekeeper])
        if gathering.late and timer not in self._log.state.fired:
            # After the late steps: whoever does one of them again gives them a new deadline too.
            late_s = (self._clock.now() - due).total_seconds()
            fired = TimerFired(run_id=self.id, at=self._clock.now(), name=timer, late_s=late_s)
            await self._log.append(fired)
        return answers

    async def _all(self, steps: tuple[Awaitable[Any], ...]) -> list[Any]:
        tasks = [asyncio.ensure_future(step) for step in steps]
        self._gathering += 1
        try:
            return list(await asyncio.gather(*tasks))
        except PauseRequested:
            # The others come to their own boundary, so that none of their work is lost.
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            self._gathering -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_time(
        self, gathering: Gathering, due: datetime.datetime, deadline_s: float
    ) -> None:
        while (left_s := (due - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(left_s)
        gathering.end_late(deadline_s)
