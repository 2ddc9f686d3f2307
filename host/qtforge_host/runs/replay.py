"""Which steps a run's code has asked for, beside those that its journal holds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterable
from typing import Final

from qtforge_sdk.errors import DuplicateStepError, RunDivergedError

__all__ = ["ReplayGuard"]

_WALK_S: Final = 5.0  # in which the code asks for all that the journal holds


class ReplayGuard:
    """The names that a run's code has taken.

    Args:
        known: The steps whose outcome the journal holds.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._claimed: dict[str, None] = {}
        self._unclaimed = dict.fromkeys(known)

    @functools.cached_property
    def _walked(self) -> asyncio.Event:
        """Set when none of the journal's steps is unclaimed any more."""
        return asyncio.Event()

    @property
    def last(self) -> str:
        """The step that was asked for last, or ""."""
        return next(reversed(self._claimed), "")

    def forget(self) -> None:
        """Take every name as free again, and every step of the journal as asked for."""
        self._claimed.clear()
        self._unclaimed.clear()

    def claim(self, step: str) -> None:
        """Take a name.

        Raises:
            DuplicateStepError: It is taken.
        """
        if step in self._claimed:
            raise DuplicateStepError(step)
        self._claimed[step] = None

    def found(self, step: str) -> None:
        """Note that the journal's outcome of a step is used."""
        self._unclaimed.pop(step, None)
        if not self._unclaimed:
            self._walked.set()

    def check_new(self, step: str) -> None:
        """Check that a step that is not in parallel to others may be new.

        Raises:
            RunDivergedError: The journal holds a step that should have come first.
        """
        if self._unclaimed:
            other = next(iter(self._unclaimed))
            raise RunDivergedError(
                step, f"the journal holds '{other}' here, the code asks '{step}'"
            )

    def check_all(self) -> None:
        """Check that the code asked for every step that the journal holds.

        Raises:
            RunDivergedError: It did not.
        """
        if self._unclaimed:
            step = next(iter(self._unclaimed))
            raise RunDivergedError(step, "the journal holds it, and the code did not ask for it")

    async def all_found(self) -> None:
        """Wait until the code asked for every step that the journal holds, or had time to."""
        if self._unclaimed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._walked.wait(), _WALK_S)
