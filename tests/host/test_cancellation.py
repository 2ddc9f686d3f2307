from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from qtforge_host import cancellation
from qtforge_host.cancellation import CoroutineLeft, DeadlineExceeded, run_before, run_or_leave


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_a_coroutine_that_never_suspends_needs_no_timer() -> None:
    async def main() -> int:
        async def answer() -> int:
            return 42

        return int(await run_before(soon(-1), answer()))

    assert asyncio.run(main()) == 42


def test_a_coroutine_that_suspends_and_ends_in_time_gives_its_result() -> None:
    async def main() -> int:
        async def answer() -> int:
            await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            return 42

        return int(await run_before(soon(60), answer()))

    assert asyncio.run(main()) == 42


def test_a_late_coroutine_is_cancelled_and_its_cleanup_runs() -> None:
    cleaned = []

    async def main() -> None:
        async def late() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                cleaned.append(True)

        with pytest.raises(DeadlineExceeded):
            await run_before(soon(0.02), late())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.01)  # the task goes on as if nothing had been cancelled

    asyncio.run(main())
    assert cleaned == [True]


def test_a_callers_own_cancellation_is_not_taken_for_the_deadline() -> None:
    async def main() -> None:
        async def wait() -> None:
            await run_before(soon(10), asyncio.sleep(10))

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_cancellation_that_comes_with_the_deadline_still_cancels_the_caller() -> None:
    async def main() -> None:
        async def stubborn() -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)  # cleanup, during which the caller is cancelled too
                raise

        async def wait() -> None:
            await run_before(soon(0.01), stubborn())

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_handler_that_swallows_its_cancellation_is_still_too_late() -> None:
    async def main() -> None:
        async def deaf() -> str:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return "an answer that comes too late"
            return "never"

        with pytest.raises(DeadlineExceeded):
            await run_before(soon(0.01), deaf())

    asyncio.run(main())


def test_a_handler_that_goes_on_after_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "CLEANUP_S", 0.01)

    async def main() -> None:
        async def deaf_once() -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(3600)

        with pytest.raises(DeadlineExceeded):
            await run_before(soon(0.01), deaf_once())

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("cut_by", ["the deadline", "the caller", "both"])
def test_a_cleanup_is_not_disturbed_within_its_time(cut_by: str) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        begun, cleaned = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                seen.append("cancelled")
                begun.set()
                await cleaned.wait()
                seen.append("cleaned")
                raise

        deadline = soon(3600 if cut_by == "the caller" else 0.01)
        task = asyncio.create_task(run_before(deadline, work()))
        await asyncio.sleep(0)
        if cut_by != "the deadline":
            task.cancel()
        if cut_by != "the caller":
            await asyncio.sleep(0.05)  # beyond the deadline
        await begun.wait()
        cleaned.set()
        with pytest.raises((asyncio.CancelledError, DeadlineExceeded)):
            await task
        return seen

    assert asyncio.run(asyncio.wait_for(main(), 60)) == ["cancelled", "cleaned"]


def test_timeouts_and_task_groups_inside_a_handler_work_as_ever() -> None:
    async def main() -> list[int]:
        async def inner() -> list[int]:
            await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(10)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asyncio.sleep(0.01, n)) for n in range(3)]
            return [task.result() for task in tasks]

        return list(await run_before(soon(60), inner()))

    assert asyncio.run(main()) == [0, 1, 2]


def test_an_exception_keeps_its_type_and_leaves_no_timer() -> None:
    async def main() -> None:
        async def broken() -> None:
            await asyncio.sleep(0)
            raise ZeroDivisionError("by zero")

        with pytest.raises(ZeroDivisionError, match="by zero"):
            await run_before(soon(60), broken())
        assert not [h for h in asyncio.get_running_loop()._scheduled if not h.cancelled()]  # type: ignore[attr-defined]

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("swallowed", [asyncio.CancelledError, BaseException])
def test_a_coroutine_that_swallows_its_cancellations_is_left_and_the_task_goes_on(
    swallowed: type[BaseException],
) -> None:
    async def stay() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except swallowed:
                continue

    async def main() -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(DeadlineExceeded):
            await run_or_leave(loop.time() + 0.01, stay())
        await asyncio.sleep(0.001)  # nothing is left of the cancellations
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(asyncio.wait_for(main(), 60)) == 0


def test_a_coroutine_that_ends_in_time_is_not_left() -> None:
    async def main() -> list[str]:
        at = asyncio.get_running_loop().time() + 60
        return [
            await run_or_leave(at, asyncio.sleep(0, "at once")),
            await run_or_leave(at, asyncio.sleep(0.001, "soon")),
        ]

    assert asyncio.run(main()) == ["at once", "soon"]


async def swallow(seen: list[str]) -> None:
    while "stop" not in seen:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")


async def await_task(seen: list[str]) -> None:
    await asyncio.create_task(swallow(seen))


async def await_group(seen: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(swallow(seen))


async def await_several(seen: list[str]) -> None:
    await asyncio.gather(swallow(seen))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("work", [swallow, await_task, await_group, await_several])
@pytest.mark.parametrize("cut_by", ["the deadline", "the caller"])
def test_a_call_that_swallows_each_cancellation_is_left(
    cut_by: str,
    work: Callable[[list[str]], Coroutine[Any, Any, None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "CLEANUP_S", 0.01)
    monkeypatch.setattr(cancellation, "_INSIST_S", 0.01)
    late: list[object] = []
    abandoned: list[asyncio.Future[Any]] = []
    cancellation.ON_ABANDONED.set(abandoned.append)
    seen: list[str] = []

    async def main() -> None:
        by_deadline = cut_by == "the deadline"
        call = run_before(soon(0.01 if by_deadline else 3600), work(seen), late.append)
        task = asyncio.create_task(call)
        await asyncio.sleep(0.001)
        if not by_deadline:
            task.cancel()
        expected = DeadlineExceeded if by_deadline else CoroutineLeft
        try:
            with pytest.raises(expected) as left:
                await task
        finally:
            seen.append("stop")
        assert getattr(left.value, "is_left", True)
        if abandoned:  # what the call has left behind is cancelled until it ends
            await asyncio.wait(abandoned)

    asyncio.run(asyncio.wait_for(main(), 60))
    assert len(late) == 1
    assert seen.count("cancelled") >= (1 if work is await_group else 5)  # a group cancels once
    assert len(abandoned) == (work in (await_task, await_several))
