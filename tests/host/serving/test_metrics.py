"""The journal is counted when somebody asks, and not too often."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from qtforge_host.serving.metrics import COUNTED_AGAIN_S, RecentFigures
from qtforge_sdk.journal import JournalStatistics


class Counted:
    """A journal whose counting takes a while, on a clock of its own."""

    def __init__(self, takes_s: float) -> None:
        self.times = 0
        self.now_s = 100.0
        self._takes_s = takes_s

    def clock(self) -> float:
        return self.now_s

    async def statistics(self) -> JournalStatistics:
        self.times += 1
        await asyncio.sleep(0)
        self.now_s += self._takes_s
        return JournalStatistics(
            runs=Counter(), timers=self.times, messages=0, oldest_message_at=None
        )

    async def owners(self) -> list[Any]:
        return []

    async def pools(self) -> list[Any]:
        return []


def asked_at(takes_s: float, *waits_s: float) -> list[int]:
    """Return the number of the statistics that is given at first and after each time."""
    journal: Any = Counted(takes_s)

    async def ask() -> list[int]:
        recent = RecentFigures(journal, journal.clock)
        found = [(await recent.get()).statistics.timers]
        for wait_s in waits_s:
            journal.now_s += wait_s
            found.append((await recent.get()).statistics.timers)
        return found

    return asyncio.run(ask())


def test_it_is_not_counted_again_within_some_seconds() -> None:
    half_s = COUNTED_AGAIN_S / 2
    assert asked_at(0.1, half_s, half_s - 0.1, 0.2, half_s) == [1, 1, 1, 2, 2]


def test_what_takes_long_is_done_less_often() -> None:
    assert asked_at(3.0, 30.0, 29.0, 2.0) == [1, 1, 1, 2]


def test_those_who_ask_at_once_share_one_census() -> None:
    journal: Any = Counted(1.0)

    async def ask() -> None:
        recent = RecentFigures(journal, journal.clock)
        found = await asyncio.gather(*(recent.get() for _ in range(5)))
        assert [each.statistics.timers for each in found] == [1] * 5

    asyncio.run(ask())
