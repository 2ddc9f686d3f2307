"""Tests of the bus as coroutines over a fresh bench, each with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.conftest import Bench

__all__ = ["eventually", "scenario"]

_SCENARIO_TIMEOUT_S: Final = 60.0
_EVENTUALLY_S: Final = 30.0


def scenario(test: Callable[[Bench], Awaitable[None]]) -> Callable[[Any], None]:
    """Make a coroutine over a bench a test that needs no async pytest plugin."""

    # Not functools.wraps: pytest would look through it, and ask for the inner arguments.
    def run(bench: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_SCENARIO_TIMEOUT_S), bench() as it:
                await test(it)

        asyncio.run(bounded())

    run.__name__ = test.__name__
    run.__qualname__ = test.__qualname__
    run.__doc__ = test.__doc__
    return run


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: It did not within 30 seconds.
    """
    deadline = time.monotonic() + _EVENTUALLY_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to hold")
        await asyncio.sleep(0.002)
