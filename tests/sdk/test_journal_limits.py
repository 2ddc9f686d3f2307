"""How places, tokens and trial calls are shared out, whatever processes do and the clock says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_sdk.journal_kit.limits import (
    NEW_RATE,
    BreakerRow,
    Claim,
    RateRow,
    allot,
    draw,
    try_breaker,
)

OWNERS = ("a", "b", "c", "d")
PERIOD_S = 10.0


class Places:
    """The rows of a limit, and what each process uses of what it holds."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.claims: dict[str, Claim] = {}
        self.using = dict.fromkeys(OWNERS, 0)
        self.now_s = 0.0

    def hold(self, owner: str, wanted: int) -> int:
        self.now_s += 1.0
        mine = self.claims.get(owner, Claim(owner, 0, 0, self.now_s))
        others = [claim for name, claim in self.claims.items() if name != owner]
        using = self.using[owner]
        self.claims[owner], answer = allot(
            self.places, using, using + wanted, mine, others, self.now_s
        )
        assert answer.held == self.claims[owner].held >= using
        return answer.held


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(OWNERS), st.integers(0, 6), st.integers(0, 6)), max_size=60),
)
def test_processes_never_hold_more_places_than_there_are(
    places: int, steps: list[tuple[str, int, int]]
) -> None:
    limit = Places(places)
    for owner, wanted, uses in steps:
        held = limit.hold(owner, wanted)
        limit.using[owner] = min(uses, held)
        assert sum(claim.held for claim in limit.claims.values()) <= places


@given(st.integers(1, 6), st.permutations(OWNERS), st.sets(st.sampled_from(OWNERS), min_size=1))
def test_every_process_that_wants_a_place_has_its_turn(
    places: int, order: list[str], busy: set[str]
) -> None:
    limit = Places(places)
    served: set[str] = set()
    for _ in range(12):
        for owner in order:
            limit.using[owner] = 0  # what it used has ended
            limit.using[owner] = limit.hold(owner, 6 if owner in busy else 0)
            if limit.using[owner]:
                served.add(owner)
    assert served == busy


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 3)), max_size=40), st.integers(1, 20))
def test_no_time_has_more_tokens_than_the_rate_allows(
    steps: list[tuple[int, float]], count: int
) -> None:
    row, now_s = NEW_RATE._replace(shared_until_s=1e12), 1000.0
    taken: list[tuple[float, int]] = []
    for wanted, pause_s in steps:
        row, drawn = draw(
            row._replace(shared_until_s=now_s + 1), "me", now_s, str.isalpha, wanted,
            count=count, period_s=PERIOD_S, spare_s=0.0, full_in_s=None,
        )  # fmt: skip
        taken.append((now_s, drawn.granted))
        now_s += pause_s
    for begin_s, _ in taken:
        for end_s, _ in taken:
            if begin_s <= end_s:
                granted = sum(number for at_s, number in taken if begin_s <= at_s <= end_s)
                assert granted <= count + (end_s - begin_s) * count / PERIOD_S + 1e-3


def rate(row: RateRow, now_s: float, wanted: int = 1) -> tuple[RateRow, int, float]:
    row, drawn = draw(
        row, "me", now_s, str.isalpha, wanted,
        count=5, period_s=PERIOD_S, spare_s=0.0, full_in_s=None,
    )  # fmt: skip
    return row, drawn.granted, drawn.retry_after_s


def test_a_clock_that_is_set_back_keeps_tokens_back_for_one_period_at_most() -> None:
    row, granted, _ = rate(NEW_RATE._replace(shared_until_s=1e6), 1e6 - 5, 9)
    assert granted == 5
    row, granted, retry_after_s = rate(row._replace(shared_until_s=1e6), 1000.0)
    assert (granted, 0 < retry_after_s <= PERIOD_S) == (0, True)
    _, granted, _ = rate(row, 1000.0 + retry_after_s)
    assert granted == 1


@pytest.mark.parametrize(("alive", "granted"), [("other", 0), ("nobody", 1)])
def test_the_trial_calls_of_a_process_that_has_died_are_anothers(alive: str, granted: int) -> None:
    row = BreakerRow(0.0, 30.0, "failures", "other")
    _, trial = try_breaker(row, "me", 100.0, alive.__eq__, give_up=False)
    assert trial.granted == bool(granted)


def test_a_clock_that_is_set_back_keeps_a_breaker_open_for_its_time_at_most() -> None:
    row = BreakerRow(1e6, 30.0, "failures", "")
    _, trial = try_breaker(row, "me", 1000.0, str.isalpha, give_up=False)
    assert (trial.granted, trial.left_s) == (False, 30.0)
