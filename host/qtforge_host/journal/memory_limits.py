"""Limits, rates and breakers of `qtforge_host.journal.memory.MemoryJournal`."""

from __future__ import annotations

import time
from collections.abc import Container
from typing import Final

from qtforge_sdk.journal import Holding, OpenBreaker
from qtforge_sdk.journal_kit.limits import BreakerRow, Claim, RateRow, allot

__all__ = ["MemoryLimits"]


class MemoryLimits:
    """What journals that share a memory hold of limits.

    Attributes:
        rates: The buckets, by the name of the rate.
        breakers: The breakers that are not closed, by topic and plugin.
    """

    def __init__(self) -> None:
        self._claims: Final[dict[str, dict[str, Claim]]] = {}
        self.rates: Final[dict[str, RateRow]] = {}
        self.breakers: Final[dict[tuple[str, str], BreakerRow]] = {}

    def hold(
        self, limit: str, places: int, me: str, alive: Container[str], using: int, wanted: int
    ) -> Holding:
        """Hold places of a limit; see `Journal`."""
        now_s = time.time()
        claims = self._claims.setdefault(limit, {})
        mine = claims.pop(me, Claim(me, 0, 0, now_s))
        others = [claim for owner, claim in claims.items() if owner in alive]
        self._claims[limit] = {claim.owner: claim for claim in others}
        mine, holding = allot(places, using, wanted, mine, others, now_s)
        if mine.held or mine.wanted:
            self._claims[limit][me] = mine
        return holding

    def short(self, me: str) -> frozenset[str]:
        """Return the limits of which another process wants more than it has."""
        limits = {
            limit
            for limit, claims in self._claims.items()
            if any(each.wanted > each.held for owner, each in claims.items() if owner != me)
        }
        rates = {rate for rate, row in self.rates.items() if row.owner == me and row.is_short}
        return frozenset(limits | rates)

    def open_breakers(self) -> tuple[OpenBreaker, ...]:
        """Return the breakers that are not closed."""
        return tuple(
            OpenBreaker(
                topic=topic,
                plugin=plugin,
                until=row.until,
                reason=row.reason,
            )
            for (topic, plugin), row in sorted(self.breakers.items())
        )
