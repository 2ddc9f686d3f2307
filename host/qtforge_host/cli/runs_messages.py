"""Asking something of a run that another process executes, and waiting for the answer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage, Journal, MessageKind

__all__ = ["BY", "answered", "message", "now", "refuse_ended"]

BY: Final = "the command line"
_POLL_S: Final = 0.1

T = TypeVar("T")


def now() -> datetime.datetime:
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def message(kind: MessageKind, *, name: str = "", data: Any = None) -> InboxMessage:
    """Return a new message to a run."""
    return InboxMessage(
        message_id=uuid.uuid4().hex, kind=kind, at=now(), name=name, data=data, by=BY
    )


def refuse_ended(run_id: str, records: Sequence[Record]) -> RunState:
    """Return the history that the records tell.

    Raises:
        RunEndedError: The run has ended.
    """
    history = RunState.from_records(run_id, records)
    if history.finished is not None:
        raise RunEndedError(run_id, history.finished.status)
    return history


async def answered(
    journal: Journal, run_id: str, wait_s: float, settled: Callable[[Sequence[Record]], T | None]
) -> T | None:
    """Wait until a run's records tell what became of a message.

    Args:
        journal: Holds the run.
        run_id: The run.
        wait_s: How long at most, in seconds.
        settled: Gives what became of it; None while that is open.

    Returns:
        What became of it; None when the time was over first.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while True:
                found = settled(await journal.records(run_id))
                if found is not None:
                    return found
                await asyncio.sleep(_POLL_S)
    return None
