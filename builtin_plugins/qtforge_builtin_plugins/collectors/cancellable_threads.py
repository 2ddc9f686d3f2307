"""Work in threads that can be told to end.

A thread can't be ended from outside, and what a library does in one goes on after its caller
is cancelled: a statement on its server, a reader on its file. So the work is given an
`Interrupt`, which it asks now and then, or which calls what ends the library's part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

__all__ = ["CancellableThreads", "Interrupt", "Interrupted"]

T = TypeVar("T")

_GRACE_S: Final = 5.0  # for what was interrupted to let go of its files and connections


class Interrupted(Exception):
    """Nobody waits for the work any more."""


class Interrupt:
    """Tells work that nobody waits for it any more."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    @property
    def requested(self) -> bool:
        """Whether the work is to end."""
        return self._requested.is_set()

    def check(self) -> None:
        """Return, or end the work.

        Raises:
            Interrupted: It is to end.
        """
        if self._requested.is_set():
            raise Interrupted

    @contextlib.contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Have a function called, in another thread, when the work is to end within the block.

        Once the block is left it is not called any more, nor is it still going on: so it
        may use what is closed afterwards.

        Raises:
            Interrupted: The work is to end already.
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
        """Tell the work to end; this may wait for the network."""
        self._requested.set()
        with self._lock:
            for callback in self._callbacks:
                callback()


class CancellableThreads:
    """Runs functions in daemon threads; what its caller no longer waits for is interrupted.

    Args:
        name: The threads' name.
        size: How many functions run at once; more wait for their turn.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._slots = asyncio.Semaphore(size)
        self._running: dict[asyncio.Future[Any], Interrupt] = {}

    async def run(self, function: Callable[[Interrupt], T]) -> T:
        """Return what the function returns.

        When the caller is cancelled, the function is interrupted and given a moment to end.
        """
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        interrupt = Interrupt()
        self._running[future] = interrupt
        future.add_done_callback(self._forget)
        context = contextvars.copy_context()  # the log lines carry run and step

        def work() -> None:
            try:
                result = context.run(function, interrupt)
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
                _tell(loop, _fail, future, error)
            else:
                _tell(loop, _succeed, future, result)

        _start(self._name, work)
        try:
            # Not awaited itself: a cancelled caller would cancel it, and its slot be free
            # while the thread still runs.
            await asyncio.wait({future})
        except asyncio.CancelledError:
            await self._interrupt({future: interrupt})
            raise
        return future.result()

    async def close(self) -> None:
        """Interrupt what still runs, and wait for it a moment."""
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
            future.exception()  # looked at: nobody may be left to


def _start(name: str, target: Callable[[], None]) -> None:
    threading.Thread(target=target, name=name, daemon=True).start()


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *given: object) -> None:
    # The loop is closed when the host has ended meanwhile: nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(tell, *given)


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        if isinstance(error, StopIteration | KeyboardInterrupt | SystemExit):
            # A future refuses the first, and the others would end the loop.
            wrapped = RuntimeError(f"{type(error).__name__}: {error}")
            wrapped.__cause__ = error
            error = wrapped
        future.set_exception(error)
