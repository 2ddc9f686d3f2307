"""What came of an event that was sent to a run, here or in another process."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from qtforge_sdk.journal import Journal
from qtforge_sdk.records import CheckpointSaved

__all__ = ["find_outcome"]

_LOOK_S: Final = 0.1


async def find_outcome(
    journal: Journal,
    outcome: asyncio.Future[CheckpointSaved],
    run_id: str,
    event_id: str,
    position: int,
    timeout_s: float,
) -> CheckpointSaved | None:
    """Wait for the record of an event.

    Args:
        journal: Looked into, for another process may execute the run.
        outcome: Set when this one does.
        run_id: The run.
        event_id: The event.
        position: Its place in the run's inbox.
        timeout_s: How long.

    Returns:
        The record; None where the time was over, or the run ended without it.
    """
    until = time.monotonic() + timeout_s
    while True:
        # Also before anything else: it may have been sent before.
        arrived = await journal.pending(run_id, position - 1)
        if not arrived or arrived[0].position != position:
            return outcome.result() if outcome.done() else await _find(journal, run_id, event_id)
        wait_s = min(_LOOK_S, until - time.monotonic())
        if wait_s <= 0:
            return None
        done, _ = await asyncio.wait({outcome}, timeout=wait_s)
        if done:
            return outcome.result()


async def _find(journal: Journal, run_id: str, event_id: str) -> CheckpointSaved | None:
    for record in reversed(await journal.records(run_id)):
        if isinstance(record, CheckpointSaved) and record.event_id == event_id:
            return record
    return None
