"""Wait for work to end although the caller is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["shield", "wait_shielded"]

T = TypeVar("T")


async def wait_shielded(
    future: asyncio.Future[Any], on_cancel: Callable[[], None] | None = None
) -> bool:
    """Wait until a future is done, although the caller is cancelled, even repeatedly.

    Args:
        future: It is not cancelled by this; its result is not looked at.
        on_cancel: Called at each cancellation of the caller.

    Returns:
        Whether the caller was cancelled: then it owes its own caller a `CancelledError`.
    """
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
            if on_cancel is not None:
                on_cancel()
    return cancelled


async def shield(future: asyncio.Future[T]) -> T:
    """Return a future's result; a caller that is cancelled meanwhile is so after its end.

    `asyncio.shield` lets the caller go at once instead.

    Raises:
        asyncio.CancelledError: The caller was cancelled, and the future had not failed.
        BaseException: The future failed.
    """
    cancelled = await wait_shielded(future)
    result = future.result()
    if cancelled:
        raise asyncio.CancelledError
    return result
