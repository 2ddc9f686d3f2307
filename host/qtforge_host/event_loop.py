"""The event loop that a command runs in: plugin code can neither end it nor keep it.

A task of a plugin that raises ``SystemExit`` or ``KeyboardInterrupt`` would end asyncio's loop,
``loop.stop()`` would too, and a task that swallows each cancellation would keep it for ever.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import tasks
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Final, TypeVar

from qtforge_host.plugin_code import explain, is_interruption

__all__ = ["HostLoop", "end_tasks", "run"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.host")
_END_S: Final = 2.0  # that the tasks that are left at the end have to take in their cancellation


class HostLoop(asyncio.SelectorEventLoop):
    """An event loop that only its main task, and Ctrl-C, can end."""

    def __init__(self) -> None:
        super().__init__()
        self._main: asyncio.Future[Any] | None = None

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


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new `HostLoop`; its other tasks are ended then, or left.

    Args:
        main: What to run.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    with asyncio.Runner(loop_factory=HostLoop) as runner:
        return runner.run(_and_end_tasks(main))


async def end_tasks(found: set[asyncio.Task[Any]], timeout_s: float = _END_S) -> None:
    """Cancel tasks; those that do not end in time are left, and keep nobody waiting.

    Args:
        found: The tasks.
        timeout_s: How long they have, in seconds.
    """
    for task in found:
        task.cancel()
    if not found:
        return
    _, late = await asyncio.wait(found, timeout=timeout_s)
    for task in late:
        code = getattr(task.get_coro(), "cr_code", None)
        place = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
        _LOG.error("%s ignores its cancellation, and is left%s", task.get_name(), place)
        # asyncio waits for every task that it knows before it closes the loop.
        tasks._unregister_task(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def _and_end_tasks(main: Coroutine[Any, Any, T]) -> T:
    try:
        return await main
    finally:
        current = asyncio.current_task()
        await end_tasks({task for task in asyncio.all_tasks() if task is not current})


def _is_stray(error: BaseException) -> bool:
    return isinstance(error, SystemExit | KeyboardInterrupt) and not is_interruption(error)
