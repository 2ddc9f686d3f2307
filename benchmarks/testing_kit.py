"""What the test kit takes: a crash at every write of a run, and the replay of a long one."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.measuring import Figure, Goal
from qtforge_host.testing import PluginTestHost, WorkflowKit
from qtforge_sdk import Run, workflow
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["measure_testing"]

_STEPS: Final = 10
_LONG: Final = 10_000
_SWEEP_S: Final = 1.0
_REPLAY_S: Final = 2.0
_ROUNDS: Final = 5  # at most: each is long enough to be timed alone


def _steps(name: str, count: int) -> PythonWorkflow:
    @workflow(name)
    async def code(run: Run) -> None:
        for number in range(count):
            await run.request(f"step {number}", "bench.step", {"number": number})
        await run.wait_event("end")

    return code


def measure_testing(rounds: int) -> list[Figure]:
    """Time the test kit.

    Args:
        rounds: How often each call is timed, up to a few.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        PluginTestHost(Path(name)) as host,
        WorkflowKit(host) as kit,
    ):
        kit.add(_steps("short", _STEPS), _steps("long", _LONG))
        kit.fake("bench.step", {"ok": True})
        export = Path(name) / "long.qtforge-run"
        kit.run("long").export(export)

        def crash() -> None:
            kit.crash_at_every_write("short", story=lambda run: run.send("end")).check()

        def replay() -> None:
            kit.replay(export).expect(next_step="event end")

        return [
            _timed(f"crash_at_every_write, {_STEPS} steps", crash, _SWEEP_S, rounds),
            _timed(f"replay, {_LONG} steps", replay, _REPLAY_S, rounds),
        ]


def _timed(name: str, call: Callable[[], None], goal_s: float, rounds: int) -> Figure:
    call()  # warm
    times = []
    for _ in range(min(rounds, _ROUNDS)):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return Figure(
        group=name,
        name=name,
        time_s=statistics.median(times),
        ratio=1.0,
        goal=Goal(time_s=goal_s),
    )
