"""The statuses of a run, what each means, and which record leads to which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from qtforge_sdk.records import (
    CheckpointSaved,
    Record,
    RunBlocked,
    RunFinished,
    RunPaused,
    RunQueued,
    RunReset,
    RunResumed,
    RunStarted,
    RunWaiting,
)

__all__ = [
    "FINISHED",
    "RECOVERABLE",
    "RESTING",
    "RUN_STATUSES",
    "STATUS_AFTER",
    "UNFINISHED",
    "RunStatus",
    "StatusMeaning",
    "status_after",
]

RunStatus = Literal[
    "queued",
    "running",
    "waiting",
    "paused",
    "blocked",
    "succeeded",
    "failed",
    "compensated",
    "cancelled",
]


class StatusMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """What a status of a run means.

    Attributes:
        reason: Why a run has the status.
        finished: Whether the run has ended; only a retry opens it again.
        resting: Whether the run has not ended, and only a request changes that.
        recoverable: Whether any process resumes the run once its owner is dead.
    """

    reason: str
    finished: bool = False
    resting: bool = False
    recoverable: bool = False


RUN_STATUSES: Final[Mapping[RunStatus, StatusMeaning]] = MappingProxyType(
    {
        "queued": StatusMeaning(
            reason="it waits for a process that has room for it, or for a place of its key"
        ),
        "running": StatusMeaning(
            reason="a process executes it, or died while it did", recoverable=True
        ),
        "waiting": StatusMeaning(reason="it waits for an event, a timer or another run"),
        "paused": StatusMeaning(reason="it was paused on request", resting=True),
        "blocked": StatusMeaning(
            reason="its plugins have other versions than those that served it, or its code requests"
            " other steps than its journal holds",
            resting=True,
            recoverable=True,
        ),
        "succeeded": StatusMeaning(reason="it returned a result", finished=True),
        "failed": StatusMeaning(reason="a required step or its code failed", finished=True),
        "compensated": StatusMeaning(
            reason="it failed, and everything that it had done was undone", finished=True
        ),
        "cancelled": StatusMeaning(reason="it was cancelled on request", finished=True),
    }
)
"""Every status, in the order of a run's life."""

FINISHED: Final[frozenset[RunStatus]] = frozenset(
    status for status, meaning in RUN_STATUSES.items() if meaning.finished
)
UNFINISHED: Final[frozenset[RunStatus]] = frozenset(RUN_STATUSES) - FINISHED
RESTING: Final[frozenset[RunStatus]] = frozenset(
    status for status, meaning in RUN_STATUSES.items() if meaning.resting
)
RECOVERABLE: Final[frozenset[RunStatus]] = frozenset(
    status for status, meaning in RUN_STATUSES.items() if meaning.recoverable
)

STATUS_AFTER: Final[Mapping[type, Callable[[Any], str]]] = MappingProxyType(
    {
        RunStarted: lambda record: "running" if record.queue is None else "queued",
        RunResumed: lambda record: "running",
        RunQueued: lambda record: "queued",
        RunReset: lambda record: "running",  # at once: any process continues it if this one dies
        RunPaused: lambda record: "paused",
        RunWaiting: lambda record: "running" if record.over else "waiting",
        RunBlocked: lambda record: "blocked",
        CheckpointSaved: lambda record: "running" if record.busy else "waiting",
        RunFinished: lambda record: record.status,
    }
)
"""The status after each type of record that changes it."""


def status_after(record: Record) -> str | None:
    """Return the status that a record gives its run, or None when it leaves it as it is.

    >>> import datetime
    >>> now = datetime.datetime.now(datetime.UTC)
    >>> status_after(RunPaused(run_id="r", at=now))
    'paused'
    """
    status_of = STATUS_AFTER.get(record.__class__)
    return None if status_of is None else status_of(record)
