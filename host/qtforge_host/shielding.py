"""Waiting for what has to come to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["until_done"]


def _nothing() -> None:
    """What is done at a cancellation, where there is nothing to do."""


async def until_done(task: asyncio.Future[Any], interrupted: Callable[[], None] = _nothing) -> bool:
    """Wait for a task although the caller is cancelled, also again.

    Args:
        task: It is not cancelled by this.
        interrupted: Called at each cancellation of the caller.

    Returns:
        Whether the caller was cancelled: then it owes its own caller a `CancelledError`.
    """
    was = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            was = True
            interrupted()
    return was
