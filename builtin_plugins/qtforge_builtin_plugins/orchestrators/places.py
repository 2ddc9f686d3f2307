"""Room for so many parts of a run at once."""

from __future__ import annotations

import asyncio
import collections

__all__ = ["Places"]


class Places:
    """Room for so many parts at once, first come, first served.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    def take(self, *, at_once: bool) -> bool:
        """Take a place where there is one or, if so, in any case; return whether it was taken."""
        if at_once or self._free > 0:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Take a place, when one has been given back."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Give a place back."""
        self._free += 1
        while self._free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(None)

    def free_all(self) -> None:
        """Give a place to everyone who waits."""
        self._free += len(self._waiting)
        self.give()
        self._free -= 1
