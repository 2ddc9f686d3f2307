"""Entries of runs' logs as rows of a table, with numbers for times and levels."""

from __future__ import annotations

from typing import NamedTuple

from qtforge_sdk.journal_kit.encoding import from_us, to_us
from qtforge_sdk.run_logs import LOG_LEVELS, LogEntry, StoredLog

__all__ = ["LogRow", "log_row", "stored_log"]


class LogRow(NamedTuple):
    """A row.

    Attributes:
        run: The run's id.
        at_us: When it was logged, in microseconds since 1970.
        level: The index of its level in `LOG_LEVELS`.
        logger: The logger's name.
        step: The step that was done, or "".
        attempt: The number of its attempt; 0 outside a step.
        text: The message.
    """

    run: str
    at_us: int
    level: int
    logger: str
    step: str
    attempt: int
    text: str


def log_row(entry: LogEntry) -> LogRow:
    """Return the row of an entry."""
    return LogRow(
        entry.run_id,
        to_us(entry.at),
        LOG_LEVELS.index(entry.level),
        entry.logger,
        entry.step,
        entry.attempt,
        entry.text,
    )


def stored_log(position: int, row: LogRow) -> StoredLog:
    """Return the entry of a row.

    Args:
        position: Its position among all entries.
        row: The row.
    """
    entry = LogEntry(
        run_id=row.run,
        at=from_us(row.at_us),
        level=LOG_LEVELS[row.level],
        logger=row.logger,
        step=row.step,
        attempt=row.attempt,
        text=row.text,
    )
    return StoredLog(position, entry)
