"""Let an application recover runs as ``serve`` does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from qtforge_host.api.parts import Parts
from qtforge_host.app import bind
from qtforge_host.runs.recovery import RecoveryLoop

__all__ = ["recovering"]

_LOG: Final = logging.getLogger("qtforge.client")


@contextlib.asynccontextmanager
async def recovering(parts: Parts) -> AsyncIterator[None]:
    """Resume interrupted runs, fire timers, and let published events reach runs."""
    durable = await parts.durable()
    bindings = await bind(await parts.host())
    loop = RecoveryLoop(durable.supervisor, durable.journal, durable.clock)
    works = (loop.run(), bindings.receiver.run())
    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await bindings.receiver.stop()
        bindings.close()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("interrupted runs are no longer resumed: %s", error)
