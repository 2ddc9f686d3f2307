"""Steps a second of four workers over one PostgreSQL, beside one worker's.

It needs the extension qtforge-postgresql, and a server that waits for the disk. Each call sleeps,
so that the workers' work is the host's alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.servers.postgresql import PostgreSQL
from tools.chaos.cluster import Cluster, wait_for
from tools.chaos.stores import PostgresqlStore

from benchmarks.measuring import Figure, Goal, figures

__all__ = ["measure_workers"]

_ROUNDS: Final = 3
_WORKERS: Final = 4
_CAPACITY: Final = 8
_CALL_S: Final = 0.05
_STEPS: Final = 12
_RUNS: Final = 100  # for each worker
_START_S: Final = 120.0
_END_S: Final = 600.0
# So many times as fast is the inverse of the time.
_GOAL: Final = Goal(ratio=1 / 3.6)


def measure_workers(server: PostgreSQL, rounds: int) -> list[Figure]:
    """Time the steps of one worker and of four.

    Args:
        server: The server.
        rounds: How often each is timed; at most three times.
    """
    times: Sequence[list[float]] = ([], [])
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        for number in range(min(rounds, _ROUNDS)):
            for count, found in zip((1, _WORKERS), times, strict=True):
                folder = Path(name) / f"bench_{Path(name).name[-8:]}_{number}_{count}"
                folder.mkdir()
                found.append(_time_of_a_step(server, folder, count))
    return figures(
        f"one step of runs of {_STEPS} whose calls take {_CALL_S * 1e3:g} ms, --capacity"
        f" {_CAPACITY}, PostgreSQL",
        [("one worker", None), ("four workers", _GOAL)],
        times,
    )


def _time_of_a_step(server: PostgreSQL, folder: Path, count: int) -> float:
    cluster = Cluster(folder, PostgresqlStore(server, folder, 10.0), 10.0)
    try:
        workers = [cluster.start(capacity=_CAPACITY) for _ in range(count)]
        wait_for(lambda: all(map(cluster.owner_of, workers)), _START_S, "the workers start")
        cluster.enqueue(_RUNS * count, pause_s=_CALL_S)
        wait_for(lambda: cluster.finished() >= 2 * _CAPACITY * count, _START_S, "the workers begin")
        begun, before = time.perf_counter(), cluster.finished()
        # Not until the last: of the last runs some workers have none.
        wait_for(lambda: cluster.finished() >= 0.9 * _RUNS * count, _END_S, "the runs end")
        steps = _STEPS * (cluster.finished() - before)
        return (time.perf_counter() - begun) / steps
    finally:
        cluster.close()
