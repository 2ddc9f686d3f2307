"""How a contract's test gets its bus: a coroutine, a fresh bus and a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from qtforge_sdk.bus import Bus

__all__ = ["BusUnderTest", "MakeBus", "eventually", "scenario"]

_SCENARIO_TIMEOUT_S: Final = 20.0
_EVENTUALLY_S: Final = 5.0


class BusUnderTest(Protocol):
    """A bus and the way to put plugins on it."""

    @property
    def bus(self) -> Bus:
        """The bus."""

    async def add(self, plugin: object, name: str, version: str) -> object:
        """Register a plugin and start it."""


MakeBus = Callable[[], AbstractAsyncContextManager[BusUnderTest]]
"""What the fixture ``make_bus`` gives; the context is entered on the test's own loop."""


def scenario(
    test: Callable[[Any, BusUnderTest], Awaitable[None]],
) -> Callable[[Any, MakeBus], None]:
    """Make a coroutine over a bus a test over ``make_bus`` that needs no async pytest plugin."""

    # Not functools.wraps: pytest would look through it, and ask for the inner arguments.
    def run(self: Any, make_bus: MakeBus) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_SCENARIO_TIMEOUT_S), make_bus() as under_test:
                await test(self, under_test)

        asyncio.run(bounded())

    run.__name__ = test.__name__
    run.__qualname__ = test.__qualname__
    run.__doc__ = test.__doc__
    return run


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: It did not within five seconds.
    """
    deadline = time.monotonic() + _EVENTUALLY_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to hold")
        await asyncio.sleep(0.002)
