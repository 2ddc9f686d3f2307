"""The loop that commands run in: what plugins do to it, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from qtforge_host import event_loop
from qtforge_host.cancellation import run_before
from qtforge_host.plugin_code import Author, is_interruption


async def leave() -> None:
    sys.exit(3)


async def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("task", [leave, interrupt])
def test_a_task_that_is_not_the_main_one_does_not_end_it(
    task: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> str:
        asyncio.ensure_future(task()).add_done_callback(lambda done: done.exception())
        await asyncio.sleep(0.01)
        return "still here"

    assert event_loop.run(main()) == "still here"
    assert "tried to end the host" in caplog.text
    assert __file__ in caplog.text


def test_the_main_task_ends_the_loop_as_it_likes() -> None:
    with pytest.raises(SystemExit):
        event_loop.run(leave())


def test_the_loop_can_not_be_stopped_from_within() -> None:
    async def main() -> str:
        with pytest.raises(RuntimeError, match="belongs to the host"):
            asyncio.get_running_loop().stop()
        return "still here"

    assert event_loop.run(main()) == "still here"


def test_a_task_that_ignores_its_cancellation_is_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def main() -> str:
        watch = event_loop.end_watch()
        assert watch is not None
        watch.author_of = {__name__.partition(".")[0]: Author("acme", "1.0")}.get
        # A host's function awaits it with a deadline, as it awaits an operation.
        tasks.append(asyncio.create_task(run_before(later(), swallow())))
        await asyncio.sleep(0)
        return "ended"

    def later() -> float:
        return asyncio.get_running_loop().time() + 600

    with caplog.at_level(logging.ERROR):
        assert event_loop.run(main()) == "ended"
    assert "ignores its cancellation, and is left" in caplog.text
    assert f"of acme 1.0 at {__file__}:" in caplog.text


async def swallow() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@pytest.mark.parametrize("is_of_host", [False, True])
def test_a_task_that_was_left_is_not_waited_for_again(
    is_of_host: bool, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[asyncio.Task[Any]] = []

    async def main() -> set[asyncio.Task[Any]]:
        work = swallow()
        kept.append(task_of_the_host(work) if is_of_host else asyncio.create_task(work))
        await asyncio.sleep(0)
        return await event_loop.end_tasks(set(kept), 0.01)

    assert event_loop.run(main()) == set(kept)
    assert caplog.text.count("is left") == 1


async def cancel_all() -> bool:
    mine = asyncio.create_task(asyncio.sleep(60))
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.wait([mine])
    return mine.cancelled()


async def cancel_this() -> None:
    this = asyncio.current_task()
    assert this is not None
    this.cancel()
    await asyncio.sleep(0.001)


def task_of_the_host(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Make a task in code that has the file name of a module of the host."""
    module = event_loop.__file__.replace("event_loop", "app")
    names: dict[str, Any] = {"asyncio": asyncio, "work": work}
    exec(compile("task = asyncio.create_task(work)", module, "exec"), names)
    task: asyncio.Task[Any] = names["task"]
    return task


def test_a_plugin_that_cancels_all_tasks_cancels_its_own() -> None:
    async def main() -> tuple[bool, str]:
        host = task_of_the_host(asyncio.sleep(0.05, "done"))
        answer = asyncio.create_task(cancel_all())
        assert host not in asyncio.all_tasks()
        assert answer in asyncio.all_tasks()
        with contextlib.suppress(asyncio.CancelledError):
            await answer
        return answer.cancelled(), await host

    assert event_loop.run(main()) == (True, "done")


def test_a_plugin_that_cancels_the_host_s_task_that_it_runs_in_fails() -> None:
    async def guarded() -> str:
        try:
            await cancel_this()
        except BaseException as error:  # noqa: BLE001
            return "from outside" if is_interruption(error) else type(error).__name__
        return "ignored"

    async def main() -> str:
        answer: str = await task_of_the_host(guarded())
        return answer

    # From Python 3.13 on, `uncancel` takes back what was not delivered yet.
    assert event_loop.run(main()) in ("CancelledError", "ignored")


def test_tasks_of_the_host_are_ended_with_the_loop() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    async def main() -> None:
        task_of_the_host(work())
        await asyncio.sleep(0.01)

    event_loop.run(main())
    assert ended == ["ended"]
