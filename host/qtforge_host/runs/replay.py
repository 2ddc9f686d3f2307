"""Compare the steps that a run's code does with those that its journal holds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterable
from typing import Final

from qtforge_sdk.errors import DuplicateStepError, RunDivergedError

__all__ = ["PATCH", "ReplayGuard"]

PATCH: Final = "patch "  # begins the name of the step that holds the answer of `Run.patched`
_WALK_S: Final = 5.0  # in which the code reaches every step that the journal holds


class ReplayGuard:
    """Checks that a resumed run does the steps that its journal holds, each name once.

    Args:
        known: The steps whose outcome the journal holds.
        begun: The steps that began and have no outcome.
        requested: Those of them that may have been done, by a plugin or a child run, and then
            have to be done again, or undone. The code has to reach them as well; it need not
            reach a wait for an event.
        not_needed: Steps that were skipped with their branch. Earlier versions executed the
            code of such a branch to its end, so that the journal may hold more of them than
            the code reaches now.

    Attributes:
        unclaimed: The steps of the journal with an outcome that the code has not reached yet.
    """

    def __init__(
        self,
        known: Iterable[str],
        begun: Iterable[str],
        requested: Iterable[str] = (),
        not_needed: Iterable[str] = (),
    ) -> None:
        self._not_needed = frozenset(not_needed)
        self._claimed: dict[str, None] = {}
        self._begun = dict.fromkeys(begun)
        self._requested = dict.fromkeys(requested)
        self.unclaimed = dict.fromkeys(
            step for step in known if step not in self._begun and not step.startswith(PATCH)
        )

    @functools.cached_property
    def _replayed(self) -> asyncio.Event:
        """Set when the code has reached every step of the journal."""
        return asyncio.Event()

    @property
    def last(self) -> str:
        """The step that was claimed last, or ""."""
        return next(reversed(self._claimed), "")

    def is_ahead(self, timers: Iterable[str]) -> bool:
        """Tell whether the journal holds something that the code has not reached.

        Args:
            timers: The timers that the journal holds.
        """
        if self.unclaimed or self._begun:
            return True
        return any(timer not in self._claimed for timer in timers)

    @property
    def claims(self) -> int:
        """How many names were claimed."""
        return len(self._claimed)

    def forget(self) -> None:
        """Free every name, and take every step of the journal as replayed."""
        self._claimed.clear()
        self.unclaimed.clear()
        self._begun.clear()
        self._requested.clear()

    def claim(self, step: str) -> None:
        """Claim a step's name.

        Raises:
            DuplicateStepError: It is claimed already.
        """
        if step in self._claimed:
            raise DuplicateStepError(step)
        self._claimed[step] = None

    def mark_replayed(self, step: str) -> None:
        """Note that the code has reached a step of the journal."""
        self.unclaimed.pop(step, None)
        self._begun.pop(step, None)
        self._requested.pop(step, None)
        if not self.unclaimed and not self._begun:
            self._replayed.set()

    def check_new(self, step: str) -> None:
        """Check that a step that is not parallel to others may be new.

        Raises:
            RunDivergedError: The journal holds a step that should have come first.
        """
        if (self.unclaimed or self._requested) and (other := self.missing()) is not None:
            raise RunDivergedError(
                step, f"the journal holds the step '{other}' here, the code requests '{step}'"
            )

    def check_all(self) -> None:
        """Check that the code has reached every step that the journal holds.

        Raises:
            RunDivergedError: It did not.
        """
        if (step := self.missing()) is not None:
            raise RunDivergedError(step, "the journal holds it, and the code did not request it")

    def missing(self) -> str | None:
        """Return the first step of the journal that the code should have reached, or None."""
        for step in self.unclaimed:
            if step not in self._not_needed:
                return step
        # One that the code does now, beside others, is claimed before it is replayed.
        return next((step for step in self._requested if step not in self._claimed), None)

    async def until_replayed(self) -> None:
        """Wait until the code has reached every step of the journal, or had time to."""
        if self.unclaimed or self._begun:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WALK_S):  # `wait_for` may lose a cancellation
                    await self._replayed.wait()
