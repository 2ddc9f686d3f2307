"""A deadline that costs nothing until a handler really waits.

`asyncio.timeout` arms a timer for every call. Most handlers answer without ever
suspending, and such a call can't be interrupted anyway, so the coroutine's first step is
made here by hand; only if it suspends is one timer handle armed, which cancels the task
and is told apart from a caller's own cancellation by the task's cancellation count (the
rule of `asyncio.Timeout`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

__all__ = ["DeadlineExceeded", "rest_of", "run_before"]

_INSIST_S = 1.0  # a handler that swallows its cancellation is cancelled again this often


class DeadlineExceeded(Exception):
    """The deadline passed, and the coroutine has been cancelled."""


class _Rest:
    """A coroutine whose first step has been made, awaitable from there on."""

    __slots__ = ("_coroutine", "_first", "_pending")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: Any) -> None:
        self._coroutine = coroutine
        self._first = first
        self._pending = True

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # it has a generator's whole protocol

    def __iter__(self) -> _Rest:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        if self._pending:
            self._pending = False
            first, self._first = self._first, None
            return first
        return self._coroutine.send(value)

    def throw(self, *exception: Any) -> Any:
        self._pending = False
        return self._coroutine.throw(*exception)

    def close(self) -> None:
        self._coroutine.close()


class _Alarm:
    """Cancels a task at a time, and again until it is silenced."""

    __slots__ = ("_handle", "_loop", "_task", "fired")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a request is awaited in a task")
        self._loop = loop
        self._task = task
        self.fired = 0
        self._handle = loop.call_at(deadline, self._fire)

    def _fire(self) -> None:
        self.fired += 1
        self._task.cancel()
        self._handle = self._loop.call_later(_INSIST_S, self._fire)

    def silence(self) -> None:
        """Disarm it, and take back the cancellations that were its own."""
        self._handle.cancel()
        for _ in range(self.fired):
            self._task.uncancel()


async def rest_of(coroutine: Coroutine[Any, Any, Any], first: Any, deadline: float | None) -> Any:
    """Finish a coroutine whose first step yielded ``first``.

    Args:
        coroutine: Suspended at ``first``.
        first: What its first step yielded.
        deadline: On the loop's clock, in seconds; None for no deadline.

    Raises:
        DeadlineExceeded: It was still going then.
    """
    if deadline is None:
        return await _Rest(coroutine, first)
    loop = asyncio.get_running_loop()
    cancelled_before = _cancellations()
    alarm = _Alarm(loop, deadline)
    try:
        result = await _Rest(coroutine, first)
    except asyncio.CancelledError:
        alarm.silence()
        if alarm.fired and _cancellations() <= cancelled_before:
            raise DeadlineExceeded from None
        raise
    except BaseException:
        alarm.silence()
        raise
    alarm.silence()
    if alarm.fired:  # it swallowed the cancellation, but its time was over all the same
        raise DeadlineExceeded
    return result


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def run_before(deadline: float | None, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await a coroutine, and cancel it at the deadline.

    Args:
        deadline: On the loop's clock, in seconds; None for no deadline.
        coroutine: Not started yet.

    Raises:
        DeadlineExceeded: It was still going then.
    """
    try:
        first = coroutine.send(None)
    except StopIteration as done:
        return done.value
    return await rest_of(coroutine, first, deadline)
