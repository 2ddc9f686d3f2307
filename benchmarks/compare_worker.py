"""One commit's half of ``python -m benchmarks.compare``: times a candidate when it is asked to.

The file is started with the commit's own interpreter and packages, and drives the commit's own
``benchmarks``. What the two commits share is small: a suite calls ``benchmarks.measuring.measure``
with candidates that have ``name``, ``call`` and ``batch``. Here that function does not time them
against each other but waits for the other process, so that the rounds of both are interleaved.

It reads and writes one JSON object a line:

- it writes ``{"group": ..., "names": [...], "calls": [...]}``, what it is about to time, and how
  many calls fill a round;
- it reads ``{"time": candidate, "calls": calls}``, and writes ``{"time_s": ...}``, one call's time;
- it reads ``{"next": true}``, and goes to its next group;
- it writes ``{"done": true}`` after the last.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

_SUITES = {
    "requests": "benchmarks.requests:measure_requests",
    "publishing": "benchmarks.publishing:measure_publishing",
    "runs": "benchmarks.runs:measure_runs",
    "parallel": "benchmarks.fanning_out:measure_fanning_out",
    "machines": "benchmarks.machines:measure_machines",
    "instances": "benchmarks.instances:measure_instances",
    "routing": "benchmarks.routing:measure_routing",
    "aggregation": "",
}
"""The function that measures a suite; aggregation calls no ``measure``, and is driven from here."""

_PEERS = (
    "asyncio.timeout", "pluggy", "blinker", "pyee", "PyPubSub", "DBOS", "TaskFlow", "cel-python",
    "transitions", "python-statemachine",
)  # fmt: skip
_ROWS = 200_000
_METHODS = ("union", "intersect", "statistical")
_MOST_CALLS = 1 << 20


class _Lockstep:
    """Takes the place of ``benchmarks.measuring.measure``."""

    def __init__(self, told: TextIO) -> None:
        self._told = told

    async def measure(
        self, group: str, candidates: Sequence[Any], rounds: int, round_s: float = 0.04
    ) -> list[Any]:
        """Time our own candidates, as often as the other process says."""
        own = [each for each in candidates if not any(peer in each.name for peer in _PEERS)]
        if not own:
            return []
        calls = [await self._warm_up(each, round_s) for each in own]
        self._tell({"group": group, "names": [each.name for each in own], "calls": calls})
        while True:
            # In a thread: a suite's own tasks, such as the renewal of a lease, continue meanwhile.
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                raise SystemExit("the other process has gone")
            asked = json.loads(line)
            if asked.get("next"):
                return []
            candidate, count = own[asked["time"]], asked["calls"]
            self._tell({"time_s": await self._time(candidate, count) / count})

    def done(self) -> None:
        """Say that there is nothing more."""
        self._tell({"done": True})

    async def _warm_up(self, candidate: Any, round_s: float) -> int:
        batch: int = candidate.batch
        calls = batch
        while True:
            took_s = await self._time(candidate, calls)
            if took_s >= round_s / 2 or calls >= _MOST_CALLS:
                return max(1, round(calls * round_s / took_s / batch)) * batch
            calls *= 2

    @staticmethod
    async def _time(candidate: Any, calls: int) -> float:
        gc.collect()
        started = time.perf_counter()
        await candidate.call(calls)
        return time.perf_counter() - started

    def _tell(self, document: dict[str, Any]) -> None:
        print(json.dumps(document), file=self._told, flush=True)


async def _measure_aggregating(lockstep: _Lockstep) -> None:
    """Compute results of rows in files, as the plugin does."""
    aggregating = importlib.import_module("benchmarks.aggregating")
    measuring = importlib.import_module("benchmarks.measuring")
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        folder = Path(name)
        sources = aggregating.write_sources(folder, _ROWS)

        def calling(method: str) -> Callable[[int], Any]:
            async def call(calls: int) -> None:
                for _ in range(calls):
                    aggregating.aggregate(folder, sources, method)

            return call

        candidates = [measuring.Candidate(method, calling(method)) for method in _METHODS]
        await lockstep.measure(f"data-aggregator, {_ROWS:,} rows", candidates, 1)


def main() -> None:
    """Measure one suite, named by the first argument."""
    # Whatever a library prints goes to the log, and not between the answers.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lockstep = _Lockstep(told)
    # Before the suite's module is imported, which takes the function by its name.
    importlib.import_module("benchmarks.measuring").measure = lockstep.measure  # type: ignore[attr-defined]
    module, _, function = _SUITES[sys.argv[1]].partition(":")
    if module:
        measured = getattr(importlib.import_module(module), function)(1)
    else:
        measured = _measure_aggregating(lockstep)
    if inspect.iscoroutine(measured):
        asyncio.run(measured)
    lockstep.done()


if __name__ == "__main__":
    main()
