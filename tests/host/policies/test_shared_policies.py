"""Limits and breakers of several processes that share a journal.

Each process is played by policies of its own over a journal of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from qtforge_host.clock import SystemClock
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.policies import journal_watch
from qtforge_host.policies.breaker import Transition
from qtforge_host.policies.topic_policies import TopicPolicies
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import BreakerOpenError
from qtforge_sdk.journal import Journal, Standing
from qtforge_sdk.journal_errors import JournalUnavailableError
from qtforge_sdk.policies import Breaker, Limits, TopicPolicy
from qtforge_sdk.testing import VirtualClock

NEVER = float("inf")


class Process:
    """The policies of a process, and its journal, whose calls are counted."""

    def __init__(self, journal: Any, policy: TopicPolicy, clock: Clock) -> None:
        self.journal = journal
        self.calls: Counter[str] = Counter()
        self.policies = TopicPolicies({"a.b": policy}, clock)
        self.transitions: list[Transition] = []
        self.policies.breakers.on_transition(self.transitions.append)
        self.policies.share(cast(Journal, self))  # what is not here is the journal's

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.journal, name)

    @contextlib.asynccontextmanager
    async def turn(self, *, of_node: bool = False) -> AsyncIterator[None]:
        request = self.policies.for_topic("a.b", 1)
        assert request is not None
        async with request.turn(NEVER, of_node=of_node):
            yield

    async def request(self, plugin: str = "shop", *, fails: bool = False) -> None:
        """Call a plugin, as a route does."""
        request = self.policies.for_topic("a.b", 1)
        assert request is not None
        async with request.turn(NEVER, of_node=False):
            if (refusal := request.refusal(plugin)) is not None:
                raise refusal
            permit = request.before(plugin)
            request.after(plugin, permit, JournalUnavailableError("x", "x") if fails else None)

    def state(self, plugin: str = "shop") -> str:
        breaker = self.policies.breakers.breaker("a.b", plugin)
        assert breaker is not None
        return breaker.state

    async def close(self) -> None:
        await self.policies.end_sharing()
        await self.journal.close()


Opens = Callable[..., Any]


@pytest.fixture(params=["memory", "sqlite"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Opens:
    """Open so many processes over one journal."""
    store = MemoryStore()

    @contextlib.asynccontextmanager
    async def processes(
        count: int, policy: TopicPolicy, clock: Clock | None = None
    ) -> AsyncIterator[list[Process]]:
        made: list[Process] = []
        try:
            for _ in range(count):
                journal = (
                    MemoryJournal(store) if request.param == "memory" else SqliteJournal(tmp_path)
                )
                await journal.open()
                made.append(Process(journal, policy, clock or SystemClock()))
            yield made
        finally:
            for each in made:
                await each.close()

    return processes


def run(test: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - it happens in several ways
        await asyncio.sleep(0.01)


def concurrency(places: int, **fields: Any) -> TopicPolicy:
    return TopicPolicy(limits=Limits(concurrency=places, **fields))


def test_processes_together_have_no_more_requests_at_once_than_the_limit(opens: Opens) -> None:
    async def test() -> None:
        at_once = most = 0
        ended: Counter[int] = Counter()

        async def work(number: int, process: Process) -> None:
            nonlocal at_once, most
            async with process.turn():
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.01)
                at_once -= 1
            ended[number] += 1

        async with opens(3, concurrency(2)) as processes:
            requests = [
                work(number, process) for number, process in enumerate(processes) for _ in range(40)
            ]
            await asyncio.gather(*requests)
        assert most == 2
        assert ended == {0: 40, 1: 40, 2: 40}

    run(test)


def test_a_process_alone_asks_the_journal_once_for_any_number_of_requests(opens: Opens) -> None:
    async def test() -> None:
        both = TopicPolicy(limits=Limits(concurrency=2, rate="100000/s"))
        async with opens(1, both) as (process,):
            for _ in range(200):
                async with process.turn():
                    pass
            assert (process.calls["hold"], process.calls["draw"]) == (1, 1)

    run(test)


def test_a_limit_that_is_not_shared_costs_nothing_and_holds_in_each_process(opens: Opens) -> None:
    async def test() -> None:
        async with opens(2, concurrency(1, shared=False)) as (one, two):
            async with one.turn(), two.turn():
                pass
            assert not one.calls + two.calls

    run(test)


def test_places_that_a_process_does_not_use_go_to_one_that_is_short(opens: Opens) -> None:
    async def test() -> None:
        async with opens(2, concurrency(4)) as (one, two), contextlib.AsyncExitStack() as used:
            for _ in range(4):
                await used.enter_async_context(one.turn())
            waiting = [asyncio.create_task(held(two)) for _ in range(3)]
            await until(lambda: two.calls["hold"] > 0)
            assert not any(each.done() for each in waiting)
            await used.pop_all().aclose()
            await asyncio.gather(*waiting)

    async def held(process: Process) -> None:
        async with process.turn():
            pass

    run(test)


def test_an_idle_process_returns_its_places_and_asks_the_journal_no_more(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_watch, "_LOOK_S", 0.01)

    async def test() -> None:
        both = TopicPolicy(limits=Limits(concurrency=4, rate="100/s"), breaker=Breaker())
        async with opens(1, both) as (process,):
            async with process.turn():
                pass
            (limiter,) = process.policies.limiters.all()
            assert limiter.held == 1
            await until(lambda: limiter.held == 0)
            calls = 0
            while calls != process.calls.total():
                calls = process.calls.total()
                await asyncio.sleep(0.3)
            async with process.turn():
                assert limiter.held == 1

    run(test)


def test_no_process_keeps_the_only_place_while_another_waits(opens: Opens) -> None:
    async def test() -> None:
        is_ending = False

        async def busy(process: Process) -> None:
            while not is_ending:
                async with process.turn():
                    await asyncio.sleep(0.005)

        async with opens(2, concurrency(1)) as (one, two):
            tasks = [asyncio.create_task(busy(one)) for _ in range(3)]
            await until(lambda: one.calls["hold"] > 0)
            for _ in range(2):
                async with two.turn():
                    pass
            is_ending = True
            await asyncio.gather(*tasks)

    run(test)


def test_processes_that_share_the_only_place_and_a_rate_get_both_at_once(opens: Opens) -> None:
    async def test() -> None:
        async def request(process: Process) -> None:
            async with process.turn():
                pass

        async with opens(2, concurrency(1, rate="2/s")) as processes:
            # One that lost its place while it waited for a token lost the token as well.
            await asyncio.gather(*(request(each) for each in processes for _ in range(4)))

    run(test)


def test_the_places_of_a_process_that_has_ended_are_free(opens: Opens) -> None:
    async def test() -> None:
        async with opens(2, concurrency(1)) as (one, two):
            turn = one.turn()
            await turn.__aenter__()
            waiting = asyncio.create_task(two.turn().__aenter__())
            await until(lambda: two.calls["hold"] > 0)
            assert not waiting.done()
            await one.journal.close()
            await waiting
            await turn.__aexit__(None, None, None)

    run(test)


def test_requests_of_other_nodes_do_not_wait_for_a_place_that_their_sender_has(
    opens: Opens,
) -> None:
    async def test() -> None:
        async with opens(2, concurrency(1)) as (asking, answering):
            async with asking.turn():
                own = asyncio.create_task(answering.turn().__aenter__())
                await until(lambda: answering.calls["hold"] > 0)
                async with answering.turn(of_node=True):
                    assert not own.done()
            await own

    run(test)


def test_a_process_whose_lease_may_have_ended_begins_nothing_until_it_holds_places_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Leased(MemoryJournal):
        async def standing(self) -> Standing:
            return msgspec.structs.replace(await super().standing(), lives_for_s=3600.0)

    frozen_s = 0.0

    class Time:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + frozen_s

    monkeypatch.setattr(journal_watch, "time", Time)

    async def test() -> None:
        nonlocal frozen_s
        store = MemoryStore()
        journal, other = Leased(store), MemoryJournal(store)
        process = Process(journal, concurrency(2), SystemClock())
        async with process.turn():
            pass
        assert process.calls["hold"] == 1
        frozen_s = 7200.0  # meanwhile its places were taken
        assert (await other.hold("a.b", 9, using=9, wanted=9)).held == 9
        waiting = asyncio.create_task(process.turn().__aenter__())
        await until(lambda: process.calls["hold"] > 1)
        assert not waiting.done()
        await other.hold("a.b", 9, using=0, wanted=0)
        await waiting
        await process.close()

    run(test)


def test_processes_together_keep_to_a_rate(opens: Opens) -> None:
    async def test() -> None:
        passed: list[int] = []

        async def request(number: int, process: Process) -> None:
            async with process.turn():
                passed.append(number)

        async with opens(2, TopicPolicy(limits=Limits(rate="6/h"))) as (one, two):
            await request(1, one)
            await request(1, one)
            waiting = [asyncio.create_task(request(2, two)) for _ in range(9)]
            await until(lambda: len(passed) == 6)
            waiting += [asyncio.create_task(request(1, one)) for _ in range(3)]
            draws = one.calls["draw"]
            await until(lambda: one.calls["draw"] > draws)
            assert passed == [1, 1, 2, 2, 2, 2]
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)

    run(test)


def test_a_process_alone_measures_a_rate_with_its_own_clock(opens: Opens) -> None:
    async def test() -> None:
        clock = VirtualClock()
        async with opens(1, TopicPolicy(limits=Limits(rate="2/h")), clock) as (process,):
            async with clock.auto():
                for _ in range(6):
                    async with process.turn():
                        pass
            assert clock.monotonic() == pytest.approx(4 * 1800)
            assert process.calls["draw"] == 1

    run(test)


def test_the_next_process_goes_on_with_the_bucket_that_one_has_returned(opens: Opens) -> None:
    async def test() -> None:
        async with opens(2, TopicPolicy(limits=Limits(rate="3/h"))) as (one, two):
            async with one.turn(), one.turn():
                pass
            await one.policies.end_sharing()
            async with two.turn():
                pass
            waiting = asyncio.create_task(two.turn().__aenter__())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await asyncio.shield(waiting)
            waiting.cancel()
            await asyncio.wait([waiting])

    run(test)


BREAKER = TopicPolicy(breaker=Breaker(failures=2, open_for="1h"))


async def fail(process: Process, times: int = 2) -> None:
    for _ in range(times):
        await process.request(fails=True)


def test_a_breaker_that_opens_in_one_process_opens_in_the_others(opens: Opens) -> None:
    async def test() -> None:
        async with opens(3, BREAKER) as (one, two, late):
            await two.request()
            await fail(one)
            await until(lambda: two.state() == "open")
            with pytest.raises(BreakerOpenError) as caught:
                await two.request()
            assert 3500 < (caught.value.retry_after_s or 0) <= 3600
            with pytest.raises(BreakerOpenError):  # it has requested nothing before
                await late.request()
            assert [each.adopted for each in one.transitions] == [False]
            (adopted,) = two.transitions
            assert (adopted.adopted, adopted.reason) == (True, "2 failures within 1m")
            await two.request("another")
            await two.journal.close_breaker("a.b", "shop")
            await until(lambda: one.state() == late.state() == "closed")

    run(test)


def test_a_breaker_is_forgotten_once_every_process_has_ended(opens: Opens) -> None:
    async def test() -> None:
        async with opens(1, BREAKER) as (process,):
            await process.request()
            await fail(process)
            with pytest.raises(BreakerOpenError):
                await process.request()
        async with opens(2, BREAKER) as (one, two):
            await two.journal.close()
            await one.request()
            assert not (await one.journal.standing()).breakers

    run(test)


def test_a_breaker_that_is_not_shared_opens_in_one_process_alone(opens: Opens) -> None:
    async def test() -> None:
        alone = TopicPolicy(breaker=Breaker(failures=2, open_for="1ms", shared=False))
        async with opens(2, alone) as (one, two):
            await fail(one)
            await until(lambda: one.state() == "half_open")
            await one.request()
            assert one.state() == "closed"
            assert not one.calls + two.calls

    run(test)


def test_one_process_at_a_time_makes_trial_calls_until_all_are_closed(opens: Opens) -> None:
    async def test() -> None:
        called: list[Process] = []
        may_end = asyncio.Event()

        async def trial(process: Process) -> None:
            request = process.policies.for_topic("a.b", 1)
            assert request is not None
            async with request.turn(NEVER, of_node=False):
                if request.refusal("shop") is None:
                    permit = request.before("shop")
                    called.append(process)
                    await may_end.wait()
                    request.after("shop", permit, None)

        policy = TopicPolicy(breaker=Breaker(failures=2, open_for="100ms"))
        async with opens(3, policy) as processes:
            await fail(processes[0])
            for each in processes[1:]:
                with contextlib.suppress(BreakerOpenError):
                    await each.request()
            await until(lambda: all(each.state() != "closed" for each in processes))
            trials: list[asyncio.Task[None]] = []
            while not called:
                trials += [asyncio.create_task(trial(each)) for each in processes]
                await asyncio.sleep(0.02)
            later = [asyncio.create_task(trial(each)) for each in processes]
            await asyncio.wait(later)  # they are refused
            assert len(called) == 1
            may_end.set()
            await asyncio.wait(trials)
            await until(lambda: all(each.state() == "closed" for each in processes))
            opened = [each for each in called[0].transitions if not each.adopted]
            assert "closed" in [each.after for each in opened]

    run(test)


def test_a_breaker_that_another_process_closes_soon_is_closed_for_its_opener(
    opens: Opens,
) -> None:
    async def test() -> None:
        policy = TopicPolicy(breaker=Breaker(failures=2, open_for="1ms"))
        async with opens(2, policy) as (one, two):
            await fail(one)
            await until(lambda: one.calls["open_breaker"] == 1)
            while not (await one.journal.standing()).breakers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)  # then a trial call may be made
            await two.request()
            assert [each.after for each in two.transitions] == ["open", "half_open", "closed"]
            await until(lambda: one.state() == "closed")  # at its next look

    run(test)


def test_the_right_to_trial_calls_that_is_not_used_is_returned(opens: Opens) -> None:
    async def test() -> None:
        policy = TopicPolicy(breaker=Breaker(failures=2, open_for="1ms"))
        async with opens(2, policy) as (one, two):
            await fail(one)
            await until(lambda: one.state() == "half_open" and one.calls["open_breaker"] == 1)
            with contextlib.suppress(BreakerOpenError):
                await two.request(fails=True)
            await until(lambda: two.state() != "closed")
            while two.state() != "closed":
                async with one.turn():  # asks for the right, and calls nothing
                    pass
                with contextlib.suppress(BreakerOpenError):
                    await two.request()

    run(test)


def test_a_breaker_works_alone_while_the_journal_does_not_answer() -> None:
    class Away(MemoryJournal):
        async def standing(self) -> Standing:
            raise JournalUnavailableError("the journal", "it is away")

        async def open_breaker(self, *_: Any) -> Any:
            raise JournalUnavailableError("the journal", "it is away")

        async def try_breaker(self, *_: Any, **__: Any) -> Any:
            raise JournalUnavailableError("the journal", "it is away")

    async def test() -> None:
        clock = VirtualClock()
        process = Process(Away(), BREAKER, clock)
        await fail(process)
        with pytest.raises(BreakerOpenError):
            await process.request()
        await clock.advance("1h")
        await process.request()
        assert process.state() == "closed"
        await process.policies.end_sharing()

    run(test)
