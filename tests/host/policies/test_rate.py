from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.policies.limits import ParsedRate, TokenBucket, parse_rate


@pytest.mark.parametrize(
    ("text", "count", "period_s"),
    [("10/s", 10, 1.0), ("300/m", 300, 60.0), (" 7 / h ", 7, 3600.0), ("5/30s", 5, 30.0)],
)
def test_a_rate_is_a_count_and_a_time(text: str, count: int, period_s: float) -> None:
    assert parse_rate(text) == ParsedRate(count, period_s)


@pytest.mark.parametrize("text", ["", "10", "/s", "10/", "0/s", "-1/s", "1.5/s", "x/s", "10/week"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate: write it as 10/s"):
        parse_rate(text)


def test_a_full_bucket_gives_all_its_tokens_and_then_one_for_each_interval() -> None:
    bucket = TokenBucket(ParsedRate(3, 6.0))
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.available_at_s() == 102.0
    assert not bucket.take(101.9)
    assert bucket.take(102.0)
    assert [bucket.take(200.0) for _ in range(4)] == [True, True, True, False]


@given(
    st.integers(1, 20),
    st.floats(0.1, 100),
    st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_no_time_sees_more_than_a_full_bucket_and_what_is_refilled(
    count: int, period_s: float, gaps_s: list[float]
) -> None:
    bucket, now_s, taken = TokenBucket(ParsedRate(count, period_s)), 1000.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if bucket.take(now_s):
            taken.append(now_s)
    for first, start_s in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = count + (taken[last] - start_s) * count / period_s
            assert last - first + 1 <= allowed + 1e-3
