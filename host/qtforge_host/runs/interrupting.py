"""What ends a run before its time: its caller, a message, the time; and how it is let go."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

from qtforge_sdk.records import RunCancelRequested

__all__ = ["Interruptible", "TimeOver"]

_INSIST_S: Final = 1.0  # code that swallows its cancellation is cancelled again this often


class TimeOver(BaseException):
    """Leaves the orchestrator of a run whose time is over."""


class Interruptible:
    """What `Control` inherits: a run is executed in its caller's task, which is cancelled to
    interrupt it. So the cancellations that are the run's own are counted beside the caller's.

    Args:
        parent: The control of the run that this one is a step of, or None.

    Attributes:
        interruptions: How often the task was cancelled to end the run, and not its caller.
        is_stopped: Whether the run is left as it is, to be resumed by another process.
    """

    def __init__(self, parent: Interruptible | None) -> None:
        self._parent = parent
        self._caller: asyncio.Task[object] | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelled_before = 0
        self.interruptions = 0
        self.is_stopped = False

    @property
    @abstractmethod
    def cancel_requested(self) -> RunCancelRequested | None:
        """That somebody cancelled the run before anything of it was undone."""

    def attach(self) -> None:
        """Say that the present task executes the run: a cancellation interrupts it."""
        self._caller = self._task = asyncio.current_task()
        if self._caller is None:
            raise RuntimeError("a run is executed in a task")
        self._cancelled_before = self._caller.cancelling()

    def detach(self) -> None:
        """Say that the run is ending; what ends and undoes it is not interrupted any more."""
        self._task = None

    def interrupt(self) -> None:
        """End what the run does, unless it is ending."""
        if self._task is not None:
            self.interruptions += 1
            self._task.cancel()

    @contextlib.contextmanager
    def interrupted_after(self, left_s: float) -> Iterator[None]:
        """End what the run does within when its time is over.

        Raises:
            TimeOver: It was, and nobody has cancelled the run.
        """
        alarms: list[asyncio.TimerHandle] = []
        alarms.append(asyncio.get_running_loop().call_later(left_s, self._time_is_over, alarms))
        try:
            yield
        except asyncio.CancelledError:
            if alarms[1:] and self.cancel_requested is None and not self._times_cancelled():
                raise TimeOver from None
            raise
        else:
            if alarms[1:]:  # it swallowed that, but its time was over all the same
                raise TimeOver
        finally:
            alarms[-1].cancel()

    def _time_is_over(self, alarms: list[asyncio.TimerHandle]) -> None:
        # No function within the other: one that names itself would hold the run in a cycle.
        loop = asyncio.get_running_loop()
        alarms.append(loop.call_later(_INSIST_S, self._time_is_over, alarms))
        self.interrupt()

    async def let_go(self) -> bool:
        """Say that the run has ended or rests; return whether its caller was cancelled.

        What has interrupted the run is taken back: it was not meant for who executes it.
        """
        self.detach()
        if self._caller is not None and self.interruptions:
            for _ in range(self.interruptions):
                self._caller.uncancel()
            self.interruptions = 0
            with contextlib.suppress(asyncio.CancelledError):  # if it is not delivered yet
                await asyncio.sleep(0)
        cancelled = self._times_cancelled() > 0
        self._caller = None
        return cancelled

    def _times_cancelled(self) -> int:
        """Return how often the caller was cancelled since the run is executed."""
        if self._caller is None:
            return 0
        return self._caller.cancelling() - self._cancelled_before - self.interruptions

    def is_to_stop(self) -> bool:
        """Return whether the run is left as it is: its caller was cancelled a second time.

        A child does as its parent.
        """
        if self._parent is not None or self._times_cancelled() > 1:
            return self.stop()
        return self.is_stopped

    def stop(self) -> bool:
        """Leave the run as it is, and return whether that may be: a child does as its parent."""
        self.is_stopped = self._parent is None or self._parent.is_stopped
        return self.is_stopped
