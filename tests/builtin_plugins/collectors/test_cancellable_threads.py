from __future__ import annotations

import asyncio
import threading

import pytest

from qtforge_builtin_plugins.collectors.cancellable_threads import (
    CancellableThreads,
    Interrupt,
    Interrupted,
)

DEADLINE_S = 120


def wait_for_it(interrupt: Interrupt) -> None:
    """Work that ends only when it is told to."""
    told = threading.Event()
    with interrupt.calling(told.set):
        assert told.wait(DEADLINE_S)
    interrupt.check()


def test_a_functions_result_and_its_error_come_back() -> None:
    async def run() -> None:
        threads = CancellableThreads("sample", 1)
        assert await threads.run(lambda interrupt: 3) == 3
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda interrupt: 1 / 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await threads.run(lambda interrupt: next(iter(())))

    asyncio.run(run())


def test_a_cancelled_caller_leaves_no_work_behind() -> None:
    ended = threading.Event()

    def work(interrupt: Interrupt) -> None:
        try:
            wait_for_it(interrupt)
        finally:
            ended.set()

    async def run() -> None:
        threads = CancellableThreads("sample", 1)
        task = asyncio.create_task(threads.run(work))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(run())


def test_closing_interrupts_what_runs() -> None:
    async def run() -> None:
        threads = CancellableThreads("sample", 2)
        tasks = [asyncio.create_task(threads.run(wait_for_it)) for _ in range(2)]
        await asyncio.sleep(0.05)
        await threads.close()
        assert all(
            isinstance(each, Interrupted)
            for each in await asyncio.gather(*tasks, return_exceptions=True)
        )

    asyncio.run(run())


def test_only_so_many_run_at_once() -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    done = threading.Event()

    def work(interrupt: Interrupt) -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        done.wait(0.02)
        with lock:
            running.pop()

    async def run() -> None:
        threads = CancellableThreads("sample", 2)
        await asyncio.gather(*(threads.run(work) for _ in range(8)))

    asyncio.run(run())
    assert max(most) == 2


def test_what_is_called_is_called_only_within_its_block() -> None:
    interrupt = Interrupt()
    called: list[str] = []
    with interrupt.calling(lambda: called.append("before")):
        pass
    with interrupt.calling(lambda: called.append("within")):
        interrupt.request()
    assert called == ["within"]
    assert interrupt.requested
    with pytest.raises(Interrupted), interrupt.calling(lambda: called.append("after")):
        raise AssertionError("not reached")
