from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from qtforge_host.bus.threads import QueueFull, WorkerThreads


def test_calls_run_at_once_up_to_the_pools_size() -> None:
    async def main() -> set[str]:
        threads = WorkerThreads(2)
        together = threading.Barrier(2, timeout=60)

        def meet() -> str:
            together.wait()  # passes only when two calls are in it at the same time
            return threading.current_thread().name

        names = await asyncio.gather(threads.run(meet), threads.run(meet))
        threads.close()
        return set(names)

    assert len(asyncio.run(main())) == 2


def test_a_call_sees_the_callers_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def main() -> str:
        threads = WorkerThreads(1)
        variable.set("set by the caller")
        found = await threads.run(variable.get)
        threads.close()
        return str(found)

    assert asyncio.run(main()) == "set by the caller"


def test_an_abandoned_call_gives_its_place_to_another_thread() -> None:
    async def main() -> str:
        threads = WorkerThreads(1)
        release = threading.Event()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(threads.run(release.wait), 0.02)
        # The only thread is still stuck; without a replacement this would wait for ever.
        answer = await asyncio.wait_for(threads.run(lambda: "answered"), 60)
        release.set()
        threads.close()
        return str(answer)

    assert asyncio.run(main()) == "answered"


def test_a_call_that_was_cancelled_before_it_began_is_never_made() -> None:
    made = []

    async def main() -> None:
        threads = WorkerThreads(1)
        release = threading.Event()
        first = asyncio.create_task(threads.run(release.wait))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(threads.run(lambda: made.append(True)))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.wait([second])
        release.set()
        await first
        await threads.run(lambda: None)  # whatever was queued before it has been dealt with
        threads.close()

    asyncio.run(main())
    assert made == []


def test_a_full_queue_refuses_the_next_call() -> None:
    async def main() -> None:
        threads = WorkerThreads(1, capacity=1)
        release = threading.Event()
        running = asyncio.create_task(threads.run(release.wait))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(threads.run(lambda: None))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await threads.run(lambda: None)
        release.set()
        await asyncio.gather(running, waiting)
        threads.close()

    asyncio.run(main())


def test_system_exit_in_a_call_does_not_end_the_process() -> None:
    async def main() -> None:
        threads = WorkerThreads(1)
        with pytest.raises(RuntimeError, match="SystemExit: 3"):
            await threads.run(lambda: sys.exit(3))
        assert await threads.run(lambda: "still here") == "still here"
        threads.close()

    asyncio.run(main())


def test_a_call_that_never_returns_does_not_keep_the_process_from_ending() -> None:
    code = """
import asyncio, threading
from qtforge_host.bus.threads import WorkerThreads

async def main():
    threads = WorkerThreads(1)
    try:
        await asyncio.wait_for(threads.run(threading.Event().wait), 0.1)
    except TimeoutError:
        print("given up")

asyncio.run(main())
"""
    # The thread waits for ever: a process that waited for it would reach the limit.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "given up\n"
