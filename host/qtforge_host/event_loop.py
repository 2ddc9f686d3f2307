"""The event loop that a command runs in: plugin code can neither stop it nor keep it running.

A task of a plugin that raises ``SystemExit`` or ``KeyboardInterrupt`` would end asyncio's loop,
``loop.stop()`` would too, and a task that swallows each cancellation would keep it for ever.

A plugin that cancels every task of `asyncio.all_tasks`, to end those that it has started, would
cancel the host and every run. So the host's own tasks are not among them: `HostLoop` recognises
them by the code that makes them. The current task is the only one of the host's that a plugin
can reach, and a plugin's own call of its `cancel` does not count as one from outside.

While the loop ends, an `EndWatch` sees to it that no plugin blocks it for ever.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
from asyncio import tasks
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CodeType, FrameType
from typing import Any, Final, TypeVar
from weakref import ref

from qtforge_host.end_watch import EndWatch, installed_author
from qtforge_host.loop_watch import explain_task
from qtforge_host.plugin_code import explain, is_host_code, is_interruption, is_own_code

__all__ = ["HostLoop", "end_tasks", "end_watch", "run"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.host")
_END_S: Final = 2.0  # that the tasks that are left at the end have to take in their cancellation
_FORGET_AT: Final = 1024  # tasks; then those that are done are forgotten
_FILES: Final = 512  # whose owner is remembered
_ASYNCIO: Final = os.path.dirname(asyncio.__file__) + os.sep
_SERVER: Final = f"{os.sep}uvicorn{os.sep}"  # makes a task for each HTTP request


class HostTask(asyncio.Task[T]):
    """A task of the host, which `asyncio.all_tasks` does not have."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task; plugin code that cancels the task it runs in raises that itself."""
        is_cancelled = super().cancel(msg)
        if is_cancelled and asyncio.current_task() is self and is_own_code(_caller().f_code):
            self.uncancel()
        return is_cancelled


class HostLoop(asyncio.SelectorEventLoop):
    """An event loop that only its main task, and Ctrl-C, can end.

    Attributes:
        end_watch: Sees to it that the process ends, once it is to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._host_tasks: list[ref[asyncio.Task[Any]]] = []  # cheaper than a set that shrinks
        self._forget_at = _FORGET_AT
        self._main: asyncio.Future[Any] | None = None
        self.end_watch: Final = EndWatch(self)

    def create_task(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        """Make a task; it is the host's where the code of the host, or its server, makes it."""
        if not _is_made_by_host(_caller().f_code):
            return super().create_task(coro, **options)
        task = HostTask(coro, loop=self, **options)
        tasks._unregister_task(task)
        self._host_tasks.append(ref(task))
        if len(self._host_tasks) >= self._forget_at:
            self._host_tasks = [ref(found) for found in self.host_tasks()]
            self._forget_at = max(_FORGET_AT, 2 * len(self._host_tasks))
        return task

    def host_tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that the host has made, and not a plugin, and that are not done."""
        found = (each() for each in self._host_tasks)
        return [task for task in found if task is not None and not task.done()]

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Wait for a task no more at the end."""
        # asyncio waits for every task that it knows before it closes the loop.
        tasks._unregister_task(task)
        self._host_tasks = [each for each in self._host_tasks if each() is not task]

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until a future is done, whatever other tasks raise."""
        before, main = self._main, asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        self._main = main
        try:
            while True:
                try:
                    return super().run_until_complete(main)
                except BaseException as error:
                    if main.done() or self.is_closed() or not _is_stray(error):
                        raise
                    _LOG.error("code of a plugin tried to end the host: %s", explain(error))
        finally:
            self._main = before

    def stop(self) -> None:
        """Stop the loop.

        Raises:
            RuntimeError: Its main task is not done: a plugin may not stop it.
        """
        if self._main is not None and not self._main.done():
            raise RuntimeError("the event loop belongs to the host: a plugin can't stop it")
        super().stop()

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Call a function at each signal of a number; also a blocked loop receives it."""
        self.end_watch.handle(sig, functools.partial(callback, *args))

    def remove_signal_handler(self, sig: int) -> bool:
        """Let a signal do what it does by default; return whether it had a handler."""
        return self.end_watch.ignore(sig)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Leave the threads of `asyncio.to_thread` to the end of the process, which waits too.

        Args:
            timeout: Not used.
        """
        executor = self._default_executor  # type: ignore[attr-defined]
        if executor is not None:
            executor.shutdown(wait=False)

    def close(self) -> None:
        """Close the loop."""
        self.end_watch.close()
        super().close()


def end_watch() -> EndWatch | None:
    """Return the watch of the running loop; None where that is an application's own."""
    loop = asyncio.get_running_loop()
    return loop.end_watch if isinstance(loop, HostLoop) else None


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new `HostLoop`; its other tasks are ended then, or left.

    Args:
        main: What to run.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    loop = HostLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        loop.end_watch.start()
        return runner.run(_and_end_tasks(main, loop.end_watch))


async def end_tasks(
    found: set[asyncio.Task[Any]], timeout_s: float = _END_S
) -> set[asyncio.Task[Any]]:
    """Cancel tasks; those that do not end in time are left, and nothing waits for them again.

    Args:
        found: The tasks.
        timeout_s: How long they have, in seconds.

    Returns:
        Those that are left.
    """
    for task in found:
        task.cancel()
    if not found:
        return set()
    _, late = await asyncio.wait(found, timeout=timeout_s)
    loop = asyncio.get_running_loop()
    watch = end_watch()
    author_of = installed_author if watch is None else watch.author_of
    for task in late:
        text = "%s of %s ignores its cancellation, and is left"
        _LOG.error(text, task.get_name(), explain_task(task, author_of))
        if isinstance(loop, HostLoop):
            loop.leave(task)
        else:
            tasks._unregister_task(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    return late


async def _and_end_tasks(main: Coroutine[Any, Any, T], end_watch: EndWatch) -> T:
    try:
        return await main
    finally:
        end_watch.finish()
        loop = asyncio.get_running_loop()
        found = asyncio.all_tasks()
        if isinstance(loop, HostLoop):
            found.update(loop.host_tasks())
        found.discard(asyncio.current_task())
        await end_tasks(found)


def _caller() -> FrameType:
    """Return the innermost frame, of those that called the caller, that is not of asyncio."""
    frame = sys._getframe(2)
    while _is_asyncio(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return frame


@functools.lru_cache(_FILES)
def _is_asyncio(file: str) -> bool:
    return file.startswith(_ASYNCIO)


@functools.lru_cache(_FILES)
def _is_made_by_host(code: CodeType) -> bool:
    return is_host_code(code) or _SERVER in code.co_filename


def _is_stray(error: BaseException) -> bool:
    return isinstance(error, SystemExit | KeyboardInterrupt) and not is_interruption(error)
