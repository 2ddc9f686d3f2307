"""Runs of DBOS: asynchronous workflows, its system database in SQLite."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from dbos import DBOS, DBOSConfig

__all__ = ["dbos_with"]


@contextlib.asynccontextmanager
async def dbos_with(path: Path, steps: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give what does one run of so many steps."""
    config = DBOSConfig(name="bench", system_database_url=f"sqlite:///{path}", log_level="ERROR")
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
