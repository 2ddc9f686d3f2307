"""How a test tells its story to a run: again from the start, where a process has died."""

from __future__ import annotations

import itertools

__all__ = ["Telling"]


class Telling:
    """Counts what the story does, so that the same thing has the same number each time.

    Args:
        advances: When each `advance` of the undisturbed run ended, in seconds of the run's time;
            added to while that is executed.
        again: Whether the story is told to a process that follows one that died.

    Attributes:
        again: The same.
    """

    def __init__(self, advances: list[float] | None = None, *, again: bool = False) -> None:
        self.again = again
        self._advances = [] if advances is None else advances
        self._numbers = itertools.count(1)
        self._advanced = 0

    def next_number(self) -> int:
        """Return the number of the next message."""
        return next(self._numbers)

    def until_s(self, until_s: float) -> float:
        """Return up to when the next `advance` goes.

        Args:
            until_s: Up to when it goes if it is made for the first time.
        """
        self._advanced += 1
        if self._advanced > len(self._advances):
            self._advances.append(until_s)
        return self._advances[self._advanced - 1]
