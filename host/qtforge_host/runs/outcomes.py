"""What came of an event that was sent to a run, here or in another process."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from qtforge_sdk.journal import Journal
from qtforge_sdk.records import RunFinished, StateKept

__all__ = ["find_outcome"]

_LOOK_S: Final = 0.1


async def find_outcome(
    journal: Journal,
    outcome: asyncio.Future[StateKept],
    run_id: str,
    event_id: str,
    timeout_s: float,
) -> StateKept | None:
    """Wait for the record of an event.

    Args:
        journal: Looked into, for another process may execute the run.
        outcome: Set when this one does.
        run_id: The run.
        event_id: The event.
        timeout_s: How long.

    Returns:
        The record; None where the time was over, or the run ended without it.
    """
    until = time.monotonic() + timeout_s
    while True:
        wait_s = min(_LOOK_S, until - time.monotonic())
        done, _ = await asyncio.wait({outcome}, timeout=max(0.0, wait_s))
        if done:
            return outcome.result()
        records = await journal.records(run_id)
        for record in reversed(records):
            if isinstance(record, StateKept) and record.event_id == event_id:
                return record
        if isinstance(records[-1], RunFinished) or time.monotonic() >= until:
            return None
