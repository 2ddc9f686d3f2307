from __future__ import annotations

import asyncio
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qtforge_sdk.errors import HandlerFailedError, RequestTimeoutError

PLUGIN = """
import os, signal, sys, time

import msgspec

from qtforge_sdk import OperationContext, OperationError, Plugin, operation


class Job(msgspec.Struct, frozen=True):
    text: str
    blob: bytes = b""


class Done(msgspec.Struct, frozen=True):
    text: str
    pid: int
    blob: bytes = b""


class WorkerConfig(msgspec.Struct, frozen=True):
    greeting: str


class Worker(Plugin):
    Config = WorkerConfig

    @operation("job.do", execution="process")
    def do(self, job: Job, context: OperationContext) -> Done:
        context.progress(1, 2, "half way")
        print("a print of the plugin's own must not get between the frames")
        greeting = self.config.greeting if self.config else ""
        return Done(greeting + job.text.upper(), os.getpid(), job.blob)

    @operation("job.hang", execution="process")
    def hang(self, job: Job) -> Done:
        while True:
            time.sleep(0.01)

    @operation("job.crash", execution="process")
    def crash(self, job: Job) -> Done:
        os.kill(os.getpid(), signal.SIGSEGV)

    @operation("job.exit", execution="process")
    def exit(self, job: Job) -> Done:
        os._exit(7)

    @operation("job.refuse", execution="process")
    def refuse(self, job: Job) -> Done:
        raise OperationError(
            "job.refused", "not this one", "it is refused", "send another",
            retryable=False, retry_after_s=1.5,
        )

    @operation("job.fail", execution="process")
    def fail(self, job: Job) -> Done:
        raise ZeroDivisionError("by zero")

    @operation("job.coroutine", execution="process")
    async def coroutine(self, job: Job) -> Done:
        return Done("from a coroutine", os.getpid())
"""


@pytest.fixture
def worker(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (plugin_folder / "process_plugin.py").write_text(PLUGIN)
    monkeypatch.delitem(sys.modules, "process_plugin", raising=False)
    return importlib.import_module("process_plugin")


def test_it_runs_in_another_process_with_its_configuration(worker: Any, bench: Any) -> None:
    async def main() -> Any:
        async with bench() as it:
            plugin = worker.Worker()
            plugin.config = worker.WorkerConfig("hello ")
            await it.add(plugin, "worker")
            return await it.bus.request("job.do", {"text": "a", "blob": b"\x00\xff"})

    done = asyncio.run(main())
    assert type(done) is worker.Done
    assert (done.text, done.blob) == ("hello A", b"\x00\xff")
    assert done.pid != os.getpid()


def test_its_process_is_used_again(worker: Any, bench: Any) -> None:
    async def main() -> tuple[int, int]:
        async with bench() as it:
            await it.add(worker.Worker(), "worker")
            first = await it.bus.request("job.do", {"text": "a"})
            second = await it.bus.request("job.do", {"text": "b"})
            return first.pid, second.pid

    first, second = asyncio.run(main())
    assert first == second


def test_progress_reaches_the_caller(worker: Any, bench: Any) -> None:
    from qtforge_host.bus.transport import Envelope

    heard: list[tuple[float, float | None, str]] = []

    async def main() -> None:
        async with bench() as it:
            await it.add(worker.Worker(), "worker")
            envelope = Envelope("job.do", {"text": "a"}, 10.0, time.monotonic() + 10)
            await it.bus.send(envelope, lambda *progress: heard.append(progress))

    asyncio.run(main())
    assert heard == [(1.0, 2.0, "half way")]


def test_an_operation_that_overruns_is_ended_and_its_worker_replaced(
    worker: Any, bench: Any
) -> None:
    async def main() -> tuple[int, int]:
        async with bench(worker_processes=1) as it:
            await it.add(worker.Worker(), "worker")
            before = await it.bus.request("job.do", {"text": "a"})
            with pytest.raises(RequestTimeoutError, match=r"worker 1\.0\.0 did not answer"):
                await it.bus.request("job.hang", {"text": "a"}, timeout=0.2)
            after = await it.bus.request("job.do", {"text": "a"})
            return before.pid, after.pid

    before, after = asyncio.run(main())
    assert before != after
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


@pytest.mark.parametrize(
    ("topic", "why"),
    [("job.crash", "ended by SIGSEGV"), ("job.exit", "ended with exit code 7")],
)
def test_a_process_that_dies_costs_its_call_alone(
    worker: Any, bench: Any, topic: str, why: str
) -> None:
    async def main() -> Any:
        async with bench(worker_processes=1) as it:
            await it.add(worker.Worker(), "worker", "2.0")
            with pytest.raises(HandlerFailedError, match=f"worker 2.0 failed .*{why}"):
                await it.bus.request(topic, {"text": "a"})
            return await it.bus.request("job.do", {"text": "b"})

    assert asyncio.run(main()).text == "B"


def test_errors_keep_their_code_and_text(worker: Any, bench: Any) -> None:
    async def main() -> None:
        async with bench() as it:
            await it.add(worker.Worker(), "worker")
            with pytest.raises(HandlerFailedError) as refused:
                await it.bus.request("job.refuse", {"text": "a"})
            assert refused.value.cause_code == "job.refused"
            assert (refused.value.why, refused.value.fix) == (
                "not this one: it is refused",
                "send another",
            )
            assert (refused.value.retryable, refused.value.retry_after_s) == (False, 1.5)
            with pytest.raises(HandlerFailedError, match="ZeroDivisionError: by zero"):
                await it.bus.request("job.fail", {"text": "a"})

    asyncio.run(main())


def test_a_coroutine_runs_there_too(worker: Any, bench: Any) -> None:
    async def main() -> Any:
        async with bench() as it:
            await it.add(worker.Worker(), "worker")
            return await it.bus.request("job.coroutine", {"text": "a"})

    assert asyncio.run(main()).text == "from a coroutine"


def test_closing_ends_a_process_in_the_middle_of_a_call(worker: Any, bench: Any) -> None:
    async def main() -> int:
        async with bench(worker_processes=1) as it:
            await it.add(worker.Worker(), "worker")
            done = await it.bus.request("job.do", {"text": "a"})
            task = asyncio.create_task(it.bus.request("job.hang", {"text": "a"}, timeout=60))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return int(done.pid)

    pid = asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_plugin_that_a_worker_cannot_import_is_a_clear_failure(bench: Any) -> None:
    from qtforge_sdk import Plugin, operation

    class Local(Plugin):
        @operation("local.do", execution="process")
        def do(self, message: object) -> str:
            return "never"

    async def main() -> None:
        async with bench() as it:
            await it.add(Local(), "local")
            with pytest.raises(HandlerFailedError, match=r"local 1\.0\.0 failed"):
                await it.bus.request("local.do", {})

    asyncio.run(main())
