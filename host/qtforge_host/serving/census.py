"""What the journal as a whole holds, counted now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from qtforge_sdk.journal import Journal, JournalCensus

__all__ = ["COUNTED_AGAIN_S", "RecentCensus"]

COUNTED_AGAIN_S: Final = 10.0
_REST: Final = 20  # times as long as it took: a twentieth of one processor at most


class RecentCensus:
    """Counts when it is asked, but not when it has done so lately.

    Args:
        journal: What is counted.
        clock: Gives seconds; their differences count.
    """

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._lock = asyncio.Lock()  # those who ask meanwhile get the same
        self._found: JournalCensus | None = None
        self._next_at = 0.0

    async def get(self) -> JournalCensus:
        """Return how much there is, or was a moment ago.

        Raises:
            StateDirectoryError: The journal can't be read.
        """
        async with self._lock:
            begun = self._clock()
            if self._found is None or begun >= self._next_at:
                self._found = await self._journal.census()
                ended = self._clock()
                self._next_at = ended + max(COUNTED_AGAIN_S, _REST * (ended - begun))
            return self._found
