"""What the code of a run has logged and printed, kept beside the journal for people.

Nothing of it is ever replayed, and the last moments before a crash may be lost. A journal that
several machines share keeps the logs itself, as a `LogKeeper`, so that each machine can show them;
for any other one the host keeps a file of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

__all__ = ["LOG_LEVELS", "LogEntry", "LogKeeper", "LogLevel", "LogQuery", "StoredLog"]

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
"""How much an entry matters."""

LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warning", "error", "critical")
"""All levels, the lowest first."""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a run's log.

    Attributes:
        run_id: The run.
        at: When it was logged, in UTC.
        level: How much it matters; ``info`` for what was printed, ``warning`` for warnings.
        logger: The logger's name; ``stdout``, ``stderr`` or ``py.warnings`` for what was printed.
        text: The message, with the traceback where there is one; without known secrets.
        step: The step that was done, or "".
        attempt: The number of its attempt, from 1; 0 outside a step.
    """

    run_id: str
    at: datetime.datetime
    level: LogLevel
    logger: str
    text: str
    step: str = ""
    attempt: int = 0


class StoredLog(NamedTuple):
    """An entry with its position: a later entry of the same run has a higher one."""

    position: int
    entry: LogEntry


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries of one run.

    Attributes:
        run_id: The run.
        after: Entries after this position.
        step: Of this step; None for all.
        level: Of this level or a higher one.
        limit: At most so many, the oldest first.
    """

    run_id: str
    after: int = 0
    step: str | None = None
    level: LogLevel = "debug"
    limit: int = 1000


@runtime_checkable
class LogKeeper(Protocol):
    """Keeps the logs of runs."""

    async def add_logs(self, entries: Sequence[LogEntry]) -> None:
        """Add entries, in order.

        Raises:
            QtForgeError: They can't be stored now.
        """

    async def logs(self, query: LogQuery) -> Sequence[StoredLog]:
        """Return entries of a run, the oldest first."""

    async def log_size(self, run_id: str) -> int:
        """Return how many characters the texts of a run's entries have."""

    async def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove the entries of runs."""

    async def prune_logs(self, before: datetime.datetime, most_bytes: int) -> int:
        """Remove old entries, and the oldest while all together are too large.

        Args:
            before: Entries of an earlier time are removed.
            most_bytes: About so many bytes may stay.

        Returns:
            How many were removed.
        """
