"""Waiting for a future, at most until a moment on the injected clock."""

from __future__ import annotations

import asyncio
from typing import Any

from qtforge_sdk.clock import Clock

__all__ = ["wait_until"]


async def wait_until(clock: Clock, future: asyncio.Future[Any], moment_s: float | None) -> bool:
    """Wait for a future; it is neither cancelled nor asked for its result.

    Args:
        clock: Whose time counts.
        future: A future or a task.
        moment_s: Until when, as ``clock.monotonic`` counts; None waits as long as it takes.

    Returns:
        Whether the future is done.
    """
    if future.done():
        return True
    if moment_s is None:
        await asyncio.wait((future,))
        return True
    left_s = moment_s - clock.monotonic()
    if left_s <= 0:
        return False
    alarm = asyncio.ensure_future(clock.sleep(left_s))
    try:
        await asyncio.wait((future, alarm), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not alarm.done():
            alarm.cancel()
            await asyncio.wait((alarm,))
    return future.done()
