"""The pool of worker threads for ``def`` handlers and hooks.

The standard executor joins its threads when the process exits, so that a handler that never
returns would keep the host from exiting. These are daemon threads: a call that exceeds its
deadline is abandoned and its thread replaced; the old thread ends when the call returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from qtforge_host.cancellation import ON_ABANDONED
from qtforge_sdk.threads import resolve

__all__ = ["QueueFull", "WorkerThreads"]


def _nothing() -> None:
    return None


class QueueFull(Exception):
    """The queue of waiting calls is full."""


class _Call:
    __slots__ = ("abandoned", "context", "ended", "finished", "function", "future", "started")

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.function = function
        self.future: asyncio.Future[Any] = loop.create_future()
        self.context = contextvars.copy_context()
        self.started = False
        self.finished = False  # the function has returned or raised
        self.abandoned = False
        self.ended: asyncio.Future[None] | None = None  # made for a call that is abandoned


class WorkerThreads:
    """A bounded pool of daemon threads, started when they are needed.

    Args:
        size: The most concurrent calls.
        capacity: The most waiting calls, and the most abandoned calls that still run.
    """

    def __init__(self, size: int, capacity: int = 1024) -> None:
        self.capacity = capacity
        self._size = size
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._waiting = 0
        self._overrun = 0
        self._closed = False

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call a function in a worker thread, and return its result.

        When the caller is cancelled, a call that has not begun is dropped, and one that has
        begun is abandoned: `ON_ABANDONED` learns when it really ends.

        Raises:
            QueueFull: Too many calls wait; the function was not called.
        """
        call = _Call(function, asyncio.get_running_loop())
        with self._lock:
            if self._closed or max(self._waiting, self._overrun) >= self.capacity:
                raise QueueFull
            self._waiting += 1
            self._start_thread_if_needed()
        self._calls.put(call)
        try:
            return await call.future
        except asyncio.CancelledError:
            self._abandon(call)
            raise

    def close(self) -> None:
        """End the idle threads; a busy thread ends after its call."""
        with self._lock:
            self._closed = True
            threads = self._threads
        for _ in range(threads):
            self._calls.put(None)

    def _start_thread_if_needed(self) -> None:
        if self._waiting > self._idle and self._threads < self._size:
            self._threads += 1
            name = f"qtforge-worker-{self._threads}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _abandon(self, call: _Call) -> None:
        with self._lock:
            if call.finished or (call.future.done() and not call.future.cancelled()):
                return
            call.abandoned = True
            if call.started:
                self._threads -= 1  # its thread no longer counts, so that another one can start
                self._overrun += 1
                call.ended = call.future.get_loop().create_future()
        on_abandoned = ON_ABANDONED.get()
        if call.ended is not None and on_abandoned is not None:
            on_abandoned(call.ended)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            call = self._calls.get()
            with self._lock:
                self._idle -= 1
                if call is None:
                    self._threads -= 1
                    return
                self._waiting -= 1
                if call.abandoned:
                    continue
                call.started = True
            resolve(call.future, partial(call.context.run, call.function))
            with self._lock:
                call.finished, ended = True, call.ended
                if call.abandoned:
                    self._overrun -= 1
            if ended is not None:
                resolve(ended, _nothing)
                return
            del call  # not kept alive while this thread waits
