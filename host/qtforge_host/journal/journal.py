"""The seam behind which a run's records are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qtforge_sdk import Record

__all__ = ["Journal"]


class Journal(Protocol):
    """Append-only; a run's records come back in the order in which they were appended."""

    async def append(self, record: Record) -> None:
        """Keep a record; once this returns, it is kept."""

    async def records(self, run_id: str) -> Sequence[Record]:
        """Return a run's records, oldest first; empty for an unknown run."""

    async def close(self) -> None:
        """Let go of everything."""
