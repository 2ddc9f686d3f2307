"""Cancellable work in threads.

A thread can't be stopped from outside, and a library's call continues after its caller is
cancelled: a statement on the server, a read of a file. So the work gets an `Interrupt`, which
it checks from time to time, or which calls a function that ends the library's call.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from qtforge_sdk.threads import resolve

__all__ = ["CancellableThreads", "Interrupt", "Interrupted"]

T = TypeVar("T")

_GRACE_S: Final = 5.0  # for interrupted work to close its files and connections


class Interrupted(Exception):
    """The caller no longer waits for the work."""


class Interrupt:
    """A request to stop, from the caller to the work."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    @property
    def requested(self) -> bool:
        """Whether the work shall stop."""
        return self._requested.is_set()

    def check(self) -> None:
        """Return, or stop the work.

        Raises:
            Interrupted: The work shall stop.
        """
        if self._requested.is_set():
            raise Interrupted

    @contextlib.contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call a function, in another thread, when the work shall stop during the block.

        After the block it is neither running nor called, so it may use objects that are
        closed afterwards.

        Raises:
            Interrupted: The work shall stop already.
        """
        with self._lock:
            self.check()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    def request(self) -> None:
        """Request the work to stop; this may wait for the network."""
        self._requested.set()
        with self._lock:
            for callback in self._callbacks:
                callback()


class CancellableThreads:
    """Run functions in daemon threads; a function whose caller is cancelled is interrupted.

    Args:
        name: The threads' name.
        size: The most functions at once; others wait.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._slots = asyncio.Semaphore(size)
        self._running: dict[asyncio.Future[Any], Interrupt] = {}

    async def run(self, function: Callable[[Interrupt], T]) -> T:
        """Return what the function returns.

        When the caller is cancelled, the function is interrupted and gets a moment to end.
        """
        await self._slots.acquire()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        interrupt = Interrupt()
        self._running[future] = interrupt
        future.add_done_callback(self._forget)
        context = contextvars.copy_context()  # the log lines have run and step
        work = functools.partial(context.run, function, interrupt)
        _start(self._name, functools.partial(resolve, future, work))
        try:
            # Not awaited directly: a cancelled caller would cancel the future, and so free
            # its slot while the thread still runs.
            await asyncio.wait({future})
        except asyncio.CancelledError:
            await self._interrupt({future: interrupt})
            raise
        return future.result()

    async def close(self) -> None:
        """Interrupt the running functions, and wait a moment for them."""
        await self._interrupt(dict(self._running))

    async def _interrupt(self, running: dict[asyncio.Future[Any], Interrupt]) -> None:
        for interrupt in running.values():
            _start(f"{self._name}-interrupt", interrupt.request)
        if running:
            await asyncio.wait(running, timeout=_GRACE_S)

    def _forget(self, future: asyncio.Future[Any]) -> None:
        self._slots.release()
        self._running.pop(future, None)
        if not future.cancelled():
            future.exception()  # retrieved, since there may be no caller left


def _start(name: str, target: Callable[[], None]) -> None:
    threading.Thread(target=target, name=name, daemon=True).start()
