"""The part of the journal contract about limits, rates and circuit breakers of all processes."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from qtforge_sdk.journal import BreakerTrial, Journal, OpenBreaker, Standing
from qtforge_sdk.testing._journal_scenarios import Journals, scenario

__all__ = ["LimitsContract"]

_LOOK_S: Final = 0.05
_LONG_S: Final = 3600.0


async def until_standing(journal: Journal, fits: Callable[[Standing], bool]) -> None:
    """Wait until a journal stands as it should."""
    while True:
        if fits(await journal.standing()):
            return
        await asyncio.sleep(_LOOK_S)


async def held(journal: Journal, wanted: int, *, using: int = 0, places: int = 4) -> int:
    """Hold places of a limit, and return how many are held."""
    return (await journal.hold("a.b", places, using=using, wanted=wanted)).held


async def drawn(journal: Journal, wanted: int = 1, *, count: int = 5, spare_s: float = 0.0) -> int:
    """Draw tokens of a rate, and return how many were granted."""
    answer = await journal.draw("a.b", wanted, count=count, period_s=_LONG_S, spare_s=spare_s)
    assert answer.full_in_s is None
    assert (answer.retry_after_s > 0) == (not answer.granted)
    return answer.granted


async def share_rate(one: Journal, two: Journal, *, full_in_s: float = 0.0) -> None:
    """Let two processes draw from one bucket."""
    assert (await one.draw("a.b", 1, count=5, period_s=_LONG_S)).full_in_s == 0.0
    assert await drawn(two) == 0
    answer = await one.draw("a.b", 0, count=5, period_s=_LONG_S, full_in_s=full_in_s)
    assert (answer.granted, answer.full_in_s) == (0, None)


class LimitsContract:
    """All processes together keep to a limit and a rate, and to what breakers say."""

    @scenario
    async def test_places_that_one_process_holds_are_not_anothers(self, journals: Journals) -> None:
        one, two = await journals.open(), await journals.open()
        assert await held(one, 3) == 3
        assert await held(two, 3) == 1
        assert (await two.hold("c.d", 4, using=0, wanted=4)).held == 4  # another limit
        assert await held(one, 0) == 0
        assert await held(two, 3, using=1) == 3
        await two.close()
        assert await held(one, 4) == 4

    @scenario
    async def test_who_needs_more_gets_twice_as_many_while_nobody_else_is_short(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        wanted_and_held = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 10), (11, 10), (4, 4))
        for wanted, expected in wanted_and_held:
            assert await held(journal, wanted, places=10) == expected

    @scenario
    async def test_who_is_short_gets_the_places_that_another_does_not_use(
        self, journals: Journals
    ) -> None:
        one, two = await journals.open(), await journals.open()
        assert await held(one, 4) == 4
        assert not (await one.standing()).short
        assert await held(two, 3) == 0
        await until_standing(one, lambda standing: standing.short == {"a.b"})
        assert not (await two.standing()).short
        answer = await one.hold("a.b", 4, using=1, wanted=1)
        assert (answer.held, answer.contended) == (1, True)
        assert await held(two, 3) == 3
        answer = await one.hold("a.b", 4, using=1, wanted=1)
        assert (answer.held, answer.contended) == (1, False)
        await until_standing(one, lambda standing: not standing.short)

    @scenario
    async def test_places_in_use_are_kept_and_the_others_are_shared_evenly(
        self, journals: Journals
    ) -> None:
        one, two = await journals.open(), await journals.open()
        assert await held(one, 9, places=4) == 4
        assert await held(two, 9) == 0
        assert await held(one, 9, using=4) == 4
        assert await held(one, 9, using=3) == 3
        assert await held(two, 9) == 1
        assert await held(one, 9, using=2) == 2
        assert await held(one, 9, using=0) == 2
        assert await held(two, 9, using=1) == 2

    @scenario
    async def test_fewer_places_than_processes_go_to_those_that_wait_longest(
        self, journals: Journals
    ) -> None:
        one, two, three = [await journals.open() for _ in range(3)]
        assert [await held(each, 1, places=1) for each in (one, two, three)] == [1, 0, 0]
        assert await held(one, 1, places=1, using=1) == 1  # it still uses it
        for last, first, second in ((one, two, three), (two, three, one), (three, one, two)):
            assert await held(last, 1, places=1) == 0
            assert await held(last, 1, places=1) == 0
            assert await held(second, 1, places=1) == 0
            assert await held(first, 1, places=1) == 1

    @scenario
    async def test_racing_processes_never_hold_more_places_than_there_are(
        self, journals: Journals
    ) -> None:
        holders = [await journals.open() for _ in range(6)]
        using = [0] * len(holders)
        most = 0

        async def work(place: int) -> None:
            nonlocal most
            dice = random.Random(place)  # noqa: S311 - which is to be the same each time
            for _ in range(25):
                got = await held(holders[place], dice.randint(1, 4), using=using[place], places=5)
                using[place] = dice.randint(0, got)
                most = max(most, sum(using))
                await asyncio.sleep(0)
                using[place] = 0
            await held(holders[place], 0, places=5)

        await asyncio.gather(*map(work, range(len(holders))))
        assert 1 <= most <= 5
        assert await held(holders[0], 5, places=5) == 5

    @scenario
    async def test_one_process_alone_gets_the_bucket_of_a_rate(self, journals: Journals) -> None:
        one, two = await journals.open(), await journals.open()
        answer = await one.draw("a.b", 1, count=5, period_s=_LONG_S)
        assert (answer.granted, answer.full_in_s) == (0, 0.0)
        assert not (await one.standing()).short
        answer = await two.draw("a.b", 1, count=5, period_s=_LONG_S)
        assert (answer.granted, answer.full_in_s) == (0, None)
        assert answer.retry_after_s > 0
        await until_standing(one, lambda standing: standing.short == {"a.b"})
        # It has used two of five tokens.
        left = await one.draw("a.b", 0, count=5, period_s=_LONG_S, full_in_s=_LONG_S * 2 / 5)
        assert (left.granted, left.full_in_s) == (0, None)
        await until_standing(one, lambda standing: not standing.short)
        assert await drawn(two, 9) == 3
        assert await drawn(two, 9) == 0
        assert await drawn(one, 9) == 0

    @scenario
    async def test_a_bucket_that_nobody_else_wants_comes_back_as_it_was_returned(
        self, journals: Journals
    ) -> None:
        one, two = await journals.open(), await journals.open()
        await one.draw("a.b", 1, count=5, period_s=_LONG_S)
        await one.draw("a.b", 0, count=5, period_s=_LONG_S, full_in_s=1000.0)
        full_in_s = (await one.draw("a.b", 1, count=5, period_s=_LONG_S)).full_in_s
        assert full_in_s is not None
        assert 900 < full_in_s <= 1000
        await one.close()
        # It may have taken every token: the bucket is empty.
        assert await drawn(two, count=5) == 0

    @scenario
    async def test_racing_processes_draw_no_more_tokens_than_there_are(
        self, journals: Journals
    ) -> None:
        drawers = [await journals.open() for _ in range(6)]
        await share_rate(drawers[0], drawers[1])

        async def work(journal: Journal) -> int:
            return sum([await drawn(journal, 2) for _ in range(4)])

        assert sum(await asyncio.gather(*map(work, drawers))) == 5

    @scenario
    async def test_tokens_that_are_used_later_are_fewer_at_once(self, journals: Journals) -> None:
        one, two = await journals.open(), await journals.open()
        await share_rate(one, two)
        assert await drawn(two, 9, spare_s=_LONG_S * 2 / 5) == 3
        assert await drawn(two, 9, spare_s=_LONG_S * 2 / 5) == 0
        assert await drawn(one, 9) == 2

    @scenario
    async def test_a_breaker_that_one_process_opens_is_open_for_all(
        self, journals: Journals
    ) -> None:
        one, two = await journals.open(), await journals.open()
        until = await one.open_breaker("a.b", "shop", _LONG_S, "5 failures within 1m")
        await until_standing(two, lambda standing: len(standing.breakers) == 1)
        (breaker,) = (await two.standing()).breakers
        left_s = (breaker.until - await two.now()).total_seconds()
        assert _LONG_S - 60 < left_s <= _LONG_S
        assert breaker == OpenBreaker(
            topic="a.b", plugin="shop", until=until, reason="5 failures within 1m"
        )
        for journal in (one, two):
            trial = await journal.try_breaker("a.b", "shop")
            assert not trial.granted
            assert not trial.is_closed
            assert _LONG_S - 60 < trial.left_s <= _LONG_S
        await two.close_breaker("a.b", "shop")
        await two.close_breaker("a.b", "nobody")
        await until_standing(one, lambda standing: not standing.breakers)
        assert await one.try_breaker("a.b", "shop") == BreakerTrial(granted=False, is_closed=True)

    @scenario
    async def test_one_process_at_a_time_makes_the_trial_calls_of_a_breaker(
        self, journals: Journals
    ) -> None:
        callers = [await journals.open() for _ in range(4)]
        one, two = callers[:2]
        await one.open_breaker("a.b", "shop", 0.0, "failures")
        trials = await asyncio.gather(*(each.try_breaker("a.b", "shop") for each in callers))
        assert sorted(each.granted for each in trials) == [False, False, False, True]
        first = callers[[each.granted for each in trials].index(True)]
        assert (await first.try_breaker("a.b", "shop")).granted  # as before
        other = two if first is one else one
        await other.try_breaker("a.b", "shop", give_up=True)  # it has no right to return
        assert not (await other.try_breaker("a.b", "shop")).granted
        assert not (await first.try_breaker("a.b", "shop", give_up=True)).granted
        assert (await other.try_breaker("a.b", "shop")).granted
        await other.close()
        assert (await first.try_breaker("a.b", "shop")).granted
        await first.open_breaker("a.b", "shop", _LONG_S, "a trial call failed")
        assert (await first.try_breaker("a.b", "shop")).left_s > 0
