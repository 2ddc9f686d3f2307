"""Wait until a run answers a request, and refuse a request to a run that has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.journal import Journal, RunSummary
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_status import RESTING

__all__ = ["POLL_S", "answered", "is_awaited", "refuse_ended", "refuse_finished", "until_paused"]

POLL_S: Final = 0.05
"""How often the journal is looked at, in seconds."""

T = TypeVar("T")


async def answered(
    journal: Journal,
    before: RunSummary,
    timeout_s: float,
    settled: Callable[[Sequence[Record]], T | None],
) -> T | None:
    """Wait until a run's records answer a message; None when the time is over first.

    Args:
        journal: The journal.
        before: The run before the message was posted; only records after it are read.
        timeout_s: The longest wait, in seconds.
        settled: Returns the answer that these records contain, or None.

    Raises:
        RunEndedError: The run has ended without an answer, so there will be none.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                records = await journal.records(before.run_id, before.records)
                found = settled(records)
                if found is not None:
                    return found
                refuse_ended(before.run_id, records)
                await asyncio.sleep(POLL_S)
    return None


async def until_paused(journal: Journal, run_id: str, timeout_s: float) -> None:
    """Wait until a run is paused, is blocked or has ended, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                run = await journal.summary(run_id)
                if run.status in RESTING or run.finished_at is not None:
                    return
                await asyncio.sleep(POLL_S)


async def is_awaited(journal: Journal, run_id: str) -> bool:
    """Return whether another run awaits a run, rather than having only started it."""
    (first, *_) = await journal.records(run_id, limit=1)
    return isinstance(first, RunStarted) and first.awaited_by is not None


async def refuse_finished(journal: Journal, run_id: str) -> RunSummary:
    """Return a run that has not ended.

    Raises:
        RunNotFoundError: There is no such run.
        RunEndedError: It has ended.
    """
    run = await journal.summary(run_id)
    if run.finished_at is not None:
        raise RunEndedError(run_id, run.status)
    return run


def refuse_ended(run_id: str, records: Sequence[Record]) -> RunState:
    """Return the state of a run that has not ended.

    Raises:
        RunEndedError: It has ended.
    """
    state = RunState.from_records(run_id, records)
    if state.finished is not None:
        raise RunEndedError(run_id, state.finished.status)
    return state
