"""The logs of runs in memory, for runs that are in memory."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from qtforge_sdk.run_logs import LOG_LEVELS, LogEntry, LogQuery, StoredLog

__all__ = ["MemoryLogs"]


class MemoryLogs:
    """Keeps the logs of runs as long as the process lives; implements `LogKeeper`."""

    def __init__(self) -> None:
        self._stored: list[StoredLog] = []
        self._last = 0

    async def add_logs(self, entries: Sequence[LogEntry]) -> None:
        """Add entries, in order."""
        for entry in entries:
            self._last += 1
            self._stored.append(StoredLog(self._last, entry))

    async def logs(self, query: LogQuery) -> Sequence[StoredLog]:
        """Return entries of a run, the oldest first."""
        least = LOG_LEVELS.index(query.level)
        found = [
            each
            for each in self._stored
            if each.entry.run_id == query.run_id
            and each.position > query.after
            and query.step in (None, each.entry.step)
            and LOG_LEVELS.index(each.entry.level) >= least
        ]
        return found[: query.limit]

    async def log_size(self, run_id: str) -> int:
        """Return how many characters the texts of a run's entries have."""
        return sum(len(each.text) for _, each in self._stored if each.run_id == run_id)

    async def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove the entries of runs."""
        gone = frozenset(run_ids)
        self._stored = [each for each in self._stored if each.entry.run_id not in gone]

    async def prune_logs(self, before: datetime.datetime, most_bytes: int) -> int:
        """Remove old entries, and the oldest while all together are too large."""
        count, size, kept = len(self._stored), 0, list[StoredLog]()
        for each in reversed(self._stored):
            size += len(each.entry.text)
            if each.entry.at >= before and size <= most_bytes:
                kept.append(each)
        self._stored = kept[::-1]
        return count - len(kept)
