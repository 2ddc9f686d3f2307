"""A journal that lives as long as its process."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_sdk import Record
from qtforge_sdk.records import RunFinished

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """Keeps every unfinished run, and the records of the last finished ones.

    Args:
        finished_capacity: How many finished runs are remembered.
    """

    def __init__(self, finished_capacity: int = 1000) -> None:
        self._capacity = finished_capacity
        self._records: dict[str, list[Record]] = {}
        self._finished: dict[str, None] = {}  # in the order in which they ended

    async def append(self, record: Record) -> None:
        """Keep a record."""
        self._records.setdefault(record.run_id, []).append(record)
        if isinstance(record, RunFinished):
            self._finished[record.run_id] = None
            if len(self._finished) > self._capacity:
                oldest = next(iter(self._finished))
                del self._finished[oldest]
                del self._records[oldest]

    async def records(self, run_id: str) -> Sequence[Record]:
        """Return a run's records, oldest first; empty for an unknown run."""
        return tuple(self._records.get(run_id, ()))

    async def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._finished.clear()
