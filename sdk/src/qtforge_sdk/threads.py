"""Hand the result of a function from a thread to an asyncio future."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["resolve"]

T = TypeVar("T")


def resolve(future: asyncio.Future[T], function: Callable[[], T]) -> None:
    """Call a function in this thread, and set a future to its result or its exception.

    Nothing happens to a future that is done by then, and nothing to one whose event loop is
    closed, since no caller waits any more.

    Args:
        future: A future of an event loop in another thread.
        function: Anything that it raises is set as the future's exception.
    """
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised in the caller
        _call_soon(future, _set_exception, error)
    else:
        _call_soon(future, _set_result, result)


def _call_soon(future: asyncio.Future[T], setter: Callable[..., None], value: object) -> None:
    try:
        future.get_loop().call_soon_threadsafe(setter, future, value)
    except RuntimeError:  # the loop is closed
        return


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        # A future refuses StopIteration, the next two would end the loop, and the last would
        # close every coroutine that awaits the future.
        if isinstance(error, StopIteration | KeyboardInterrupt | SystemExit | GeneratorExit):
            wrapped = RuntimeError(_described(error))
            wrapped.__cause__ = error
            error = wrapped
        future.set_exception(error)


def _described(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException:  # noqa: BLE001 - its text may raise anything as well
        return name
