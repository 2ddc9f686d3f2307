"""Runs of DBOS: asynchronous workflows, its system database in SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from dbos import DBOS, DBOSConfig

__all__ = ["dbos_fanning_out", "dbos_with"]


@contextlib.asynccontextmanager
async def dbos_with(url: str, steps: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give what does one run of so many steps.

    Args:
        url: The system database's, such as ``sqlite:///PATH``.
        steps: How many.
    """
    config = DBOSConfig(name="bench", system_database_url=url, log_level="ERROR")
    DBOS(config=config)

    @DBOS.step()
    async def count(number: int) -> int:
        return number + 1

    @DBOS.workflow()
    async def four_steps() -> int:
        number = 0
        for _ in range(steps):
            number = await count(number)
        return number

    async def once() -> None:
        found = await four_steps()
        if found != steps:
            raise RuntimeError(f"DBOS counted {found}")

    DBOS.launch()
    try:
        yield once
    finally:
        DBOS.destroy(destroy_registry=True)


@contextlib.asynccontextmanager
async def dbos_fanning_out(
    path: Path, slow_s: float
) -> AsyncIterator[Callable[[int, bool], Awaitable[None]]]:
    """Give what does one run of so many steps at once, slow ones or not."""
    config = DBOSConfig(name="fan", system_database_url=f"sqlite:///{path}", log_level="ERROR")
    DBOS(config=config)

    @DBOS.step()
    async def collect(slow: bool) -> int:
        if slow:
            await asyncio.sleep(slow_s)
        return 1

    @DBOS.workflow()
    async def fan(count: int, slow: bool) -> int:
        return sum(await asyncio.gather(*(collect(slow) for _ in range(count))))

    async def once(count: int, slow: bool) -> None:
        if await fan(count, slow) != count:
            raise RuntimeError("DBOS did not do every step")

    DBOS.launch()
    try:
        yield once
    finally:
        DBOS.destroy(destroy_registry=True)
