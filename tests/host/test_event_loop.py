"""The loop that commands run in: what plugins do to it, and what they leave behind."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qtforge_host import event_loop


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
    async def stay() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    tasks: list[asyncio.Task[Any]] = []

    async def main() -> str:
        tasks.append(asyncio.create_task(stay()))
        await asyncio.sleep(0)
        return "ended"

    with caplog.at_level(logging.ERROR):
        assert event_loop.run(main()) == "ended"
    assert "ignores its cancellation, and is left" in caplog.text
