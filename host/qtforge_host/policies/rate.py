"""How often something may happen: a token bucket over the injected clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qtforge_host.durations import seconds

__all__ = ["ParsedRate", "TokenBucket", "parse_rate"]

_CLOSE_ENOUGH_S: Final = 1e-6  # sums of floating-point seconds are not exact


@dataclass(frozen=True, slots=True)
class ParsedRate:
    """A rate as numbers.

    Attributes:
        count: How many.
        period_s: In how many seconds.
    """

    count: int
    period_s: float


def parse_rate(text: str) -> ParsedRate:
    """Return what ``10/s``, ``300/m``, ``1000/h`` or ``5/30s`` says.

    Raises:
        ValueError: It is not a rate.

    >>> parse_rate("300/m")
    ParsedRate(count=300, period_s=60.0)
    """
    count, _, period = (part.strip() for part in text.partition("/"))
    try:
        if not count.isdecimal() or int(count) == 0:
            raise ValueError
        return ParsedRate(int(count), seconds(period if period[:1].isdecimal() else f"1{period}"))
    except ValueError as error:
        raise ValueError(f"'{text}' is not a rate: write it as 10/s, 300/m or 5/30s") from error


class TokenBucket:
    """Holds up to ``count`` tokens and is refilled evenly; full at first.

    It keeps the moment at which it will be full again (the generic cell rate algorithm of
    ITU-T I.371), which is the same and has no sum that drifts.

    Args:
        rate: Its size, and how long it takes to be refilled.
    """

    def __init__(self, rate: ParsedRate) -> None:
        self._interval_s: Final = rate.period_s / rate.count
        self._slack_s: Final = rate.period_s - self._interval_s
        self._full_at_s = float("-inf")

    def available_at_s(self) -> float:
        """Return the moment from which a token is there; it may be past."""
        return self._full_at_s - self._slack_s

    def take(self, now_s: float) -> bool:
        """Take a token, if there is one."""
        if now_s + _CLOSE_ENOUGH_S < self.available_at_s():
            return False
        self._full_at_s = max(self._full_at_s, now_s) + self._interval_s
        return True
