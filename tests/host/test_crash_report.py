"""Where a process has crashed, as the next one reads it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qtforge_host import app, event_loop
from qtforge_host.crash_report import Crash, CrashReport, find_culprit

HERE = Path(__file__)


def leave() -> None:
    os._exit(3)


def crash() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def in_a_task(end: Callable[[], None]) -> None:
    async def work() -> None:
        end()

    async def main() -> None:
        await asyncio.create_task(work())

    event_loop.run(main())


def in_a_thread(end: Callable[[], None]) -> None:
    thread = threading.Thread(target=end)
    thread.start()
    thread.join()


def after(path: Path, work: Callable[[], None]) -> Crash | None:
    """Do something in a process of its own, and return the report that is read after it."""
    child = os.fork()
    if not child:
        report = CrashReport(path)
        report.open()
        try:
            work()
            report.close()
        finally:
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    return CrashReport(path).before


@pytest.mark.parametrize("place", [in_a_task, in_a_thread])
@pytest.mark.parametrize(
    ("end", "cause"), [(leave, "os._exit(3)"), (crash, "Segmentation"), (abort, "Aborted")]
)
def test_the_plugin_that_ended_the_process_by_itself_is_known(
    tmp_path: Path, place: Callable[[Callable[[], None]], None], end: Callable[[], None], cause: str
) -> None:
    found = after(tmp_path / "crash", lambda: place(end))

    assert found is not None
    culprit = find_culprit(found, {HERE: "acme"}.get)
    assert culprit is not None
    name, where = culprit
    assert name == "acme"
    assert where.startswith(cause)
    assert f"{HERE}:" in where


@pytest.mark.parametrize("end", [lambda: None, lambda: os.kill(os.getpid(), 9)])
def test_a_process_that_ends_in_order_or_is_killed_has_no_report(
    tmp_path: Path, end: Callable[[], None]
) -> None:
    assert after(tmp_path / "crash", end) is None


def test_a_call_of_the_host_is_nothing_that_a_plugin_did_by_itself() -> None:
    called = Crash("os._exit(0)", ((str(HERE), 1), (app.__file__, 1), (event_loop.__file__, 1)))

    assert find_culprit(called, {HERE: "acme"}.get) is None


def test_a_forked_child_that_exits_has_not_crashed(tmp_path: Path) -> None:
    def fork() -> None:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        os.kill(os.getpid(), 9)

    assert after(tmp_path / "crash", fork) is None
