from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
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
    from qtforge_sdk.transport import Envelope

    heard: list[tuple[float, float | None, str]] = []

    async def main() -> None:
        async with bench() as it:
            await it.add(worker.Worker(), "worker")
            envelope = Envelope("job.do", {"text": "a"}, 60.0, time.monotonic() + 60)
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


FAMILY = '''
import asyncio
import multiprocessing
import os
import subprocess
import subprocess
import sys
import threading
import time

from qtforge_sdk import OperationContext, Plugin, operation


class OddError(Exception):
    def __str__(self):
        raise ValueError("no text")


def square(number):
    return number * number


def daemonize(marker):
    """Leave the session and the parent, as a daemon does; keep the output open."""
    code = (
        "import os, sys, time\\n"
        "os.setsid()\\n"
        "if os.fork():\\n    os._exit(0)\\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\\n"
        "time.sleep(600)\\n"
    )
    subprocess.run([sys.executable, "-c", code, marker], check=True)


class Family(Plugin):
    @operation("family.pid", execution="process")
    def pid(self, message: object) -> int:
        return os.getpid()

    @operation("family.cat", execution="process")
    def cat(self, message: object) -> str:
        return subprocess.run(["cat"], capture_output=True, text=True, timeout=120).stdout

    @operation("family.read", execution="process")
    def read(self, message: object) -> str:
        return sys.stdin.read()

    @operation("family.pool", execution="process")
    def pool(self, message: dict) -> list[int]:
        with multiprocessing.get_context(message["method"]).Pool(2) as pool:
            return pool.map(square, [1, 2, 3])

    @operation("family.daemon", execution="process")
    def daemon(self, message: dict) -> int:
        daemonize(message["marker"])
        return os.getpid()

    @operation("family.children", execution="process")
    def children(self, message: dict) -> None:
        daemonize(message["marker"])
        child = subprocess.Popen(["sleep", "600"])
        open(message["marker"] + ".child", "w").write(str(child.pid))
        if message["then"] == "exit":
            os._exit(3)
        time.sleep(600)

    @operation("family.threads", execution="process")
    def threads(self, message: object, context: OperationContext) -> int:
        def tell():
            for number in range(200):
                context.progress(number, 200, "x" * 500)

        running = [threading.Thread(target=tell) for _ in range(8)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return 8 * 200

    @operation("family.grow", execution="process")
    def grow(self, message: dict) -> str:
        kept = []
        for _ in range(message["mib"]):
            kept.append(os.urandom(1 << 10) * (1 << 10))
        time.sleep(message.get("rest_s", 0))
        return "grown"

    @operation("family.leap", execution="process")
    def leap(self, message: dict) -> str:
        return str(len(bytearray(message["mib"] << 20)))

    @operation("family.grow_in_child", execution="process")
    def grow_in_child(self, message: dict) -> str:
        code = f"kept = [b'x' * (1 << 20) for _ in range({message['mib']})]\\n"
        code += "import time; time.sleep(60)"
        subprocess.run([sys.executable, "-c", code])
        return "grown"

    @operation("family.wrong", execution="process")
    def wrong(self, message: dict) -> int:
        async def never():
            return 1

        match message["kind"]:
            case "type":
                return "a text"
            case "coroutine":
                return never()
            case "object":
                return object()
            case "too large":
                return 1 << 70
            case "surrogate":
                return "\\udcff"
            case "surrogate error":
                raise ValueError("\\udcff")
            case "odd error":
                raise OddError
            case "exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "cancelled":
                raise asyncio.CancelledError
'''


@pytest.fixture
def family(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (plugin_folder / "family_plugin.py").write_text(FAMILY)
    monkeypatch.delitem(sys.modules, "family_plugin", raising=False)
    return importlib.import_module("family_plugin").Family()


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in (b"Z", b"X")


def _until_written(path: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.is_file() and (text := path.read_text()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


@pytest.mark.parametrize("topic", ["family.cat", "family.read"])
def test_standard_input_is_empty_in_a_worker(family: Any, bench: Any, topic: str) -> None:
    async def main() -> tuple[Any, int, int]:
        async with bench(worker_processes=1) as it:
            await it.add(family, "family")
            before = await it.bus.request("family.pid", {})
            text = await it.bus.request(topic, {})
            return text, before, await it.bus.request("family.pid", {})

    text, before, after = asyncio.run(main())
    assert text == ""
    assert before == after


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_works_in_a_worker(family: Any, bench: Any, method: str) -> None:
    async def main() -> Any:
        async with bench(worker_processes=1) as it:
            await it.add(family, "family")
            return await it.bus.request("family.pool", {"method": method}, timeout=60)

    assert asyncio.run(main()) == [1, 4, 9]


def test_a_daemon_that_keeps_the_output_open_ends_with_the_host(
    family: Any, bench: Any, tmp_path: Path
) -> None:
    marker = tmp_path / "daemon"

    async def main() -> None:
        async with bench(worker_processes=1) as it:
            await it.add(family, "family")
            await it.bus.request("family.daemon", {"marker": str(marker)})
            assert _is_alive(await asyncio.to_thread(_until_written, marker))

    asyncio.run(main())
    assert not _is_alive(int(marker.read_text()))


@pytest.mark.parametrize("then", ["hang", "exit"])
def test_everything_that_a_worker_started_ends_with_it(
    family: Any, bench: Any, tmp_path: Path, then: str
) -> None:
    marker = tmp_path / "daemon"

    async def main() -> None:
        async with bench(worker_processes=1) as it:
            await it.add(family, "family")
            message = {"marker": str(marker), "then": then}
            call = asyncio.create_task(it.bus.request("family.children", message, timeout=60))
            daemon = await asyncio.to_thread(_until_written, marker)
            child = await asyncio.to_thread(_until_written, Path(f"{marker}.child"))
            if then == "hang":
                call.cancel()
            with pytest.raises((asyncio.CancelledError, HandlerFailedError)):
                await call
            assert not _is_alive(daemon)
            assert not _is_alive(child)
            assert await it.bus.request("family.pid", {}) > 0

    asyncio.run(main())


def test_a_host_that_is_killed_leaves_no_process_of_a_worker(
    family: Any, plugin_folder: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "daemon"
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(plugin_folder)!r})
from qtforge_host.bus.frames import Call
from qtforge_host.bus.processes import ProcessWorkers

call = Call("children", {{"marker": {str(marker)!r}, "then": "hang"}}, "family.children", "family",
            None, None, 1, None, None)
asyncio.run(ProcessWorkers("family_plugin:Family", None, 1).run(call, None))
"""
    host = subprocess.Popen([sys.executable, "-c", code])
    daemon, child = _until_written(marker), _until_written(Path(f"{marker}.child"))
    host.kill()
    host.wait()
    deadline = time.monotonic() + 60
    while _is_alive(daemon) or _is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_frames_of_many_threads_do_not_mix(family: Any, bench: Any) -> None:
    from qtforge_sdk.transport import Envelope

    heard: list[str] = []

    async def main() -> Any:
        async with bench(worker_processes=1) as it:
            await it.add(family, "family")
            envelope = Envelope("family.threads", {}, 60.0, time.monotonic() + 60)
            return await it.bus.send(envelope, lambda done, total, text: heard.append(text))

    assert asyncio.run(main()) == len(heard)
    assert set(heard) == {"x" * 500}


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("family.grow", {"mib": 400, "rest_s": 60}),
        ("family.leap", {"mib": 4000}),
        ("family.grow_in_child", {"mib": 400}),
    ],
)
def test_an_operation_over_the_memory_limit_fails_and_the_next_has_a_new_worker(
    family: Any, bench: Any, topic: str, message: dict[str, Any]
) -> None:
    async def main() -> tuple[HandlerFailedError, int, int]:
        async with bench(worker_processes=1, worker_memory_bytes=200 << 20) as it:
            await it.add(family, "family", "2.1")
            before = await it.bus.request("family.pid", {})
            with pytest.raises(HandlerFailedError) as failed:
                await it.bus.request(topic, message, timeout=60)
            return failed.value, before, await it.bus.request("family.pid", {})

    error, before, after = asyncio.run(main())
    assert error.cause_code == "plugin.memory_exceeded"
    assert (error.plugin, error.version) == ("family", "2.1")
    assert "the limit of 200 MiB" in error.why
    assert "worker_memory" in error.fix
    assert error.retryable is False
    assert before != after


def test_memory_below_the_limit_is_nobodys_business(family: Any, bench: Any) -> None:
    async def main() -> Any:
        async with bench(worker_processes=1, worker_memory_bytes=200 << 20) as it:
            await it.add(family, "family")
            return await it.bus.request("family.grow", {"mib": 80, "rest_s": 0.5}, timeout=60)

    assert asyncio.run(main()) == "grown"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("type", "Expected `int`, got `str`"),
        ("coroutine", "was not awaited"),
        ("object", "object"),
        ("too large", "OverflowError"),
        ("surrogate", "surrogate"),
        ("surrogate error", r"ValueError: \udcff"),
        ("odd error", "OddError"),
        ("exit", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
        ("cancelled", "CancelledError"),
    ],
)
def test_whatever_a_worker_returns_or_raises_is_that_calls_failure(
    family: Any, bench: Any, kind: str, why: str
) -> None:
    async def main() -> tuple[str, int, int]:
        async with bench(worker_processes=1) as it:
            await it.add(family, "family", "2.1")
            before = await it.bus.request("family.pid", {})
            with pytest.raises(HandlerFailedError) as failed:
                await it.bus.request("family.wrong", {"kind": kind})
            assert (failed.value.plugin, failed.value.version) == ("family", "2.1")
            return failed.value.why, before, await it.bus.request("family.pid", {})

    text, before, after = asyncio.run(main())
    assert why in text
    assert before == after
