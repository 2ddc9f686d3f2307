"""Calling a plugin's code: on the loop or in a thread, and never past a deadline."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["DeadlineError", "call", "within"]

_GRACE_S = 1.0  # for a cancelled handler to clean up in; then it is left behind


class DeadlineError(Exception):
    """The time was over; what ran has been cancelled."""


async def within(awaitable: Awaitable[Any], timeout_s: float) -> Any:
    """Await something for at most so many seconds.

    It runs as a task of its own, so that one that ignores its cancellation can be left
    behind, and so that the deadline is never mistaken for the caller's own cancellation.

    Raises:
        DeadlineError: It was not done in time.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE_S)
        _retrieve(task)
        raise
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task}, timeout=_GRACE_S)
    _retrieve(task)
    raise DeadlineError


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Take the outcome that nobody wants, so that asyncio does not warn of it."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def call(function: Callable[..., Any], is_async: bool, *arguments: object) -> Any:
    """Call a handler and return its answer.

    Args:
        function: The handler.
        is_async: Whether it runs on the loop; otherwise it gets a daemon thread, which a
            cancelled call leaves behind.
        arguments: What it is called with.
    """
    if is_async:
        return await function(*arguments)
    return await _call_in_thread(function, arguments)


def _call_in_thread(
    function: Callable[..., Any], arguments: tuple[object, ...]
) -> asyncio.Future[Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(error: BaseException | None, result: object) -> None:
        if future.done():  # it was cancelled, and nobody waits any more
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):  # a future refuses that one
            future.set_exception(RuntimeError(f"the handler raised {error!r}"))
        else:
            future.set_exception(error)

    def work() -> None:
        result: object = None
        failure: BaseException | None = None
        try:
            result = context.run(function, *arguments)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        try:
            loop.call_soon_threadsafe(settle, failure, result)
        except RuntimeError:  # the loop is closed: the test is over
            return

    threading.Thread(target=work, daemon=True, name="qtforge-operation").start()
    return future
