from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtforge_host.policies.limits import Limiter, Limiters, wait_until
from qtforge_host.policies.token_bucket import TokenBucket
from qtforge_sdk.errors import PolicyOverloadedError
from qtforge_sdk.policies import Limits, ParsedRate, parse_rate
from qtforge_sdk.testing import VirtualClock


class Case:
    """A limiter, and requests that note when they had their turn."""

    def __init__(self, policy: Limits) -> None:
        self.clock = VirtualClock()
        self.limiter = Limiter(policy, "a.b", self.clock)
        self.turns: list[tuple[str, float]] = []
        self.most = 0

    async def request(self, name: str, takes_s: float, deadline_s: float | None = None) -> None:
        async with self.limiter.turn(deadline_s):
            self.turns.append((name, self.clock.monotonic()))
            self.most = max(self.most, self.limiter.active)
            await self.clock.sleep(takes_s)

    def begin(self, name: str, takes_s: float, deadline_s: float | None = None) -> Request:
        return asyncio.create_task(self.request(name, takes_s, deadline_s))

    def is_idle(self) -> bool:
        return (self.limiter.active, self.limiter.waiting, self.clock.waiting) == (0, 0, 0)


Request = asyncio.Task[None]


def test_so_many_run_at_once_and_the_others_in_the_order_in_which_they_came() -> None:
    async def scenario(case: Case) -> None:
        async with case.clock.auto():
            await asyncio.gather(*(case.request(str(number), 10) for number in range(6)))
        assert case.turns == [(str(number), 10.0 * (number // 2)) for number in range(6)]
        assert case.is_idle()

    asyncio.run(scenario(Case(Limits(concurrency=2))))


def test_a_rate_lets_a_bucketful_through_and_then_spreads_the_rest_evenly() -> None:
    async def scenario(case: Case) -> None:
        async with case.clock.auto():
            await asyncio.gather(*(case.request(str(number), 0) for number in range(5)))
        assert [name for name, _ in case.turns] == ["0", "1", "2", "3", "4"]
        assert [at for _, at in case.turns] == pytest.approx([0, 0, 0.5, 1, 1.5], abs=1e-3)
        assert case.is_idle()

    asyncio.run(scenario(Case(Limits(rate="2/s"))))


def test_rate_and_concurrency_hold_together() -> None:
    async def scenario(case: Case) -> None:
        async with case.clock.auto():
            await asyncio.gather(*(case.request(str(number), 3) for number in range(4)))
        assert [at for _, at in case.turns] == pytest.approx([0, 3, 6, 9], abs=1e-3)

    asyncio.run(scenario(Case(Limits(concurrency=1, rate="1/s"))))


def test_one_that_comes_later_never_overtakes_the_queue() -> None:
    async def scenario(case: Case) -> None:
        requests = [case.begin("first", 10), case.begin("second", 1)]
        await case.clock.advance(9.5)
        requests.append(case.begin("third", 1))
        async with case.clock.auto():
            await asyncio.gather(*requests, case.request("fourth", 1))
        assert [name for name, _ in case.turns] == ["first", "second", "third", "fourth"]

    asyncio.run(scenario(Case(Limits(concurrency=1))))


def test_a_full_queue_refuses_at_once() -> None:
    async def scenario(case: Case) -> None:
        requests = [case.begin(str(number), 10) for number in range(3)]
        await case.clock.advance(0)
        with pytest.raises(PolicyOverloadedError, match="2 requests wait already") as caught:
            await case.request("refused", 1)
        assert (caught.value.code, caught.value.topic) == ("policy.overloaded", "a.b")
        async with case.clock.auto():
            await asyncio.gather(*requests)
        assert len(case.turns) == 3

    asyncio.run(scenario(Case(Limits(concurrency=1, queue=2))))


def test_without_a_queue_no_request_waits() -> None:
    async def scenario(case: Case) -> None:
        first = case.begin("first", 1)
        await case.clock.advance(0.5)
        with pytest.raises(PolicyOverloadedError):
            await case.request("second", 1)
        await case.clock.advance(1)
        await first
        async with case.clock.auto():
            await case.request("third", 1)

    asyncio.run(scenario(Case(Limits(concurrency=1, queue=0))))


@pytest.mark.parametrize("policy", [Limits(concurrency=1), Limits(rate="1/m")])
def test_a_request_that_waits_past_its_deadline_is_refused(
    policy: Limits,
) -> None:
    async def scenario(case: Case) -> None:
        requests = [case.begin("first", 20), case.begin("late", 1, 5.0), case.begin("third", 1)]
        async with case.clock.auto():
            with pytest.raises(PolicyOverloadedError, match="did not come in time"):
                await requests[1]
            assert case.clock.monotonic() == 5.0
            await asyncio.gather(requests[0], requests[2])
        assert [name for name, _ in case.turns] == ["first", "third"]
        assert case.is_idle()

    asyncio.run(scenario(Case(policy)))


@pytest.mark.parametrize("cancelled", [0, 1, 2, 3])
def test_a_cancelled_request_gives_its_place_to_the_next(cancelled: int) -> None:
    async def scenario(case: Case) -> None:
        requests = [case.begin(str(number), 10) for number in range(4)]
        await case.clock.advance(5)
        requests[cancelled].cancel()
        async with case.clock.auto():
            ended = await asyncio.gather(*requests, return_exceptions=True)
        assert [number for number, each in enumerate(ended) if each is not None] == [cancelled]
        served = [name for name, _ in case.turns]
        assert served == [str(n) for n in range(4) if n != cancelled or cancelled == 0]
        assert case.is_idle()

    asyncio.run(scenario(Case(Limits(concurrency=1))))


def test_being_cancelled_at_the_moment_of_the_turn_loses_no_place() -> None:
    async def scenario(case: Case) -> None:
        first = case.begin("first", 10)
        second = case.begin("second", 10)
        third = case.begin("third", 10)
        await case.clock.advance(5)
        first.cancel()
        await asyncio.sleep(0)  # the first has left, the second is told but has not run yet
        second.cancel()
        async with case.clock.auto():
            await third
        assert [name for name, _ in case.turns] == ["first", "third"]
        assert case.is_idle()

    asyncio.run(scenario(Case(Limits(concurrency=1))))


def test_a_request_that_fails_gives_its_place_back() -> None:
    async def scenario(case: Case) -> None:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with case.limiter.turn():
                    raise ZeroDivisionError
        assert case.is_idle()

    asyncio.run(scenario(Case(Limits(concurrency=1))))


times = st.sampled_from([0.0, 0.5, 1.0, 2.5])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from([None, "1/s", "3/2s"]),
    st.lists(st.tuples(times, times, st.none() | times, st.booleans()), max_size=12),
)
def test_the_limits_hold_and_nothing_is_left_whatever_ends_how(
    concurrency: int,
    rate: str | None,
    requests: Sequence[tuple[float, float, float | None, bool]],
) -> None:
    async def scenario(case: Case) -> None:
        tasks = []
        for number, (gap_s, takes_s, wait_s, is_cancelled) in enumerate(requests):
            await case.clock.advance(gap_s)
            deadline_s = None if wait_s is None else case.clock.monotonic() + wait_s
            tasks.append(case.begin(f"{number:02}", takes_s, deadline_s))
            if is_cancelled and len(tasks) > 1:
                tasks[-2].cancel()
        async with case.clock.auto():
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = (type(None), asyncio.CancelledError, PolicyOverloadedError)
        assert all(isinstance(each, kinds) for each in ended)
        assert case.turns == sorted(case.turns)
        assert case.most <= concurrency
        assert case.is_idle()

    asyncio.run(scenario(Case(Limits(concurrency=concurrency, rate=rate))))


def test_a_topic_has_one_limiter_that_all_share_and_others_have_none() -> None:
    async def scenario() -> None:
        limiters = Limiters({"a.b": Limits(concurrency=1, queue=0)}.get, VirtualClock())
        async with limiters.turn("a.b"), limiters.turn("x.y"), limiters.turn("x.y"):
            with pytest.raises(PolicyOverloadedError):
                async with limiters.turn("a.b"):
                    pass
        assert limiters.limiter("x.y") is None
        assert [each.topic for each in limiters.all()] == ["a.b"]

    asyncio.run(scenario())


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'often' is not a rate"):
        Limiter(Limits(rate="often"), "a.b", VirtualClock())


@pytest.mark.parametrize(
    ("text", "count", "period_s"),
    [("10/s", 10, 1.0), ("300/m", 300, 60.0), (" 7 / h ", 7, 3600.0), ("5/30s", 5, 30.0)],
)
def test_a_rate_is_a_count_and_a_time(text: str, count: int, period_s: float) -> None:
    assert parse_rate(text) == ParsedRate(count, period_s)


@pytest.mark.parametrize("text", ["", "10", "/s", "10/", "0/s", "-1/s", "1.5/s", "x/s", "10/week"])
def test_a_text_that_is_not_a_rate_is_refused_with_an_example(text: str) -> None:
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
def test_no_period_has_more_requests_than_a_full_bucket_and_its_refill(
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


def test_a_future_is_waited_for_until_the_moment_and_left_as_it_is() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with clock.auto():
            assert not await wait_until(clock, future, 10.0)
            assert clock.monotonic() == 10.0
            assert not await wait_until(clock, future, 10.0)
            assert not future.done()
            future.set_result(1)
            assert await wait_until(clock, future, None)
        assert clock.waiting == 0

    asyncio.run(scenario())


def test_the_timer_is_cancelled_when_the_future_is_done_first() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(wait_until(clock, future, 10.0))
        await clock.advance(5)
        future.set_exception(ZeroDivisionError())
        assert await waiting
        assert isinstance(future.exception(), ZeroDivisionError)
        assert (clock.waiting, len(asyncio.all_tasks())) == (0, 1)

    asyncio.run(scenario())


def test_cancelling_the_wait_cancels_the_timer_and_not_the_future() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(wait_until(clock, future, 10.0))
        await clock.advance(5)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert not future.done()
        assert (clock.waiting, len(asyncio.all_tasks())) == (0, 1)

    asyncio.run(scenario())
