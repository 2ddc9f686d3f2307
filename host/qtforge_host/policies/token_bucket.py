"""`TokenBucket`: how many requests a rate lets through at a moment."""

from __future__ import annotations

from typing import Final

from qtforge_sdk.policies import ParsedRate

__all__ = ["TokenBucket"]

_CLOSE_ENOUGH_S: Final = 1e-6  # sums of floating-point seconds are not exact


class TokenBucket:
    """A bucket of up to ``count`` tokens that is refilled evenly; initially full.

    It stores the time at which it will be full again (the generic cell rate algorithm of
    ITU-T I.371), which is equivalent and accumulates no rounding errors.

    Args:
        rate: The size of the bucket, and how long it takes to refill it.
    """

    def __init__(self, rate: ParsedRate) -> None:
        self._interval_s: Final = rate.period_s / rate.count
        self._slack_s: Final = rate.period_s - self._interval_s
        self._full_at_s = float("-inf")

    @property
    def full_at_s(self) -> float:
        """When it is full; it may be in the past."""
        return self._full_at_s

    def set_full_at(self, moment_s: float) -> None:
        """Replace what is in the bucket: it is full at a time."""
        self._full_at_s = moment_s

    def available_at_s(self) -> float:
        """Return when the next token is available; it may be in the past."""
        return self._full_at_s - self._slack_s

    def take(self, now_s: float) -> bool:
        """Take a token; return False when there is none."""
        if now_s + _CLOSE_ENOUGH_S < self.available_at_s():
            return False
        self._full_at_s = max(self._full_at_s, now_s) + self._interval_s
        return True
