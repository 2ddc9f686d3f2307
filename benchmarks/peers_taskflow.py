"""Runs of TaskFlow's serial engine, which blocks its thread, in memory and in SQLite."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from taskflow import engines
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.persistence import backends
from taskflow.task import Task

__all__ = ["taskflow_fanning_out", "taskflow_in_memory", "taskflow_with"]

Once = Callable[[], Awaitable[None]]


class _Count(Task):  # type: ignore[misc]  # the library is not typed
    def execute(self, number: int) -> int:
        return number + 1


def taskflow_in_memory(steps: int) -> Once:
    """Return what does one run of so many steps, kept in memory."""
    return _running(steps, {})


@contextlib.contextmanager
def taskflow_with(path: Path, steps: int) -> Iterator[Once]:
    """Give what does one run of so many steps, kept in an SQLite file."""
    backend = backends.fetch({"connection": f"sqlite:///{path}"})
    with contextlib.closing(backend):
        with contextlib.closing(backend.get_connection()) as connection:
            connection.upgrade()
        yield _running(steps, {"backend": backend})


def _running(steps: int, options: dict[str, Any]) -> Once:
    async def once() -> None:
        flow = linear_flow.Flow("four-steps")
        for step in range(steps):
            before = f"number {step}"
            flow.add(
                _Count(f"step {step}", provides=f"number {step + 1}", rebind={"number": before})
            )
        engine = engines.load(flow, store={"number 0": 0}, engine="serial", **options)
        engine.run()
        found = engine.storage.fetch(f"number {steps}")
        if found != steps:
            raise RuntimeError(f"TaskFlow counted {found}")

    return once


def taskflow_fanning_out(tasks: int) -> Once:
    """Return what does one unordered flow of so many tasks, in memory, one after another."""

    async def once() -> None:
        flow = unordered_flow.Flow("fan")
        for number in range(tasks):
            flow.add(_Count(f"task {number}", provides=f"answer {number}"))
        engine = engines.load(flow, store={"number": 0}, engine="serial")
        engine.run()
        if engine.storage.fetch(f"answer {tasks - 1}") != 1:
            raise RuntimeError("TaskFlow did not count")

    return once
