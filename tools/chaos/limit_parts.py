"""The part of ``make chaos`` about limits that all workers share."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Final

from tools.chaos.checking import Say, check, cluster_on_postgresql, exact
from tools.chaos.cluster import Cluster, wait_for

__all__ = ["limits"]

_PLACES: Final = 8
_RUNS: Final = 60
_LIMIT: Final = f'[topics."ledger.note"]\nlimits = {{ concurrency = {_PLACES} }}\n'


def limits(folder: Path, say: Say) -> None:
    """Kill workers that hold places of a limit: it is never exceeded, and no place is lost."""
    with cluster_on_postgresql(folder, config=_LIMIT) as cluster:
        for _ in range(4):
            cluster.start()
        wait_for(lambda: all(map(cluster.owner_of, cluster.workers)), 120, "the workers are there")
        cluster.enqueue(_RUNS, pause_s=0.3)
        choose, ended, in_progress = random.Random(13), dict[int, float](), 0
        for fault in ("kill", "kill", "crash", "kill", "kill"):
            wait_for(lambda: len(_open(cluster, ended)) == _PLACES, 60, "all places are taken")
            if fault == "kill":
                in_progress += _kill_one(cluster, choose, ended)
            else:
                in_progress += max(0, cluster.count("status = 'running'"))
                cluster.server.restart()
        wait_for(lambda: cluster.finished() == _RUNS, 300, "all runs end")
        exact(cluster.outcome(), say, in_progress)
        # The places of the dead are there again: as many calls as the limit allows begin at once.
        cluster.enqueue(_PLACES, pause_s=15, workflow="one-step")
        took = wait_for(lambda: len(_open(cluster, ended)) == _PLACES, 30, "all places are used")
        wait_for(lambda: cluster.finished() == _RUNS + _PLACES, 120, "the last runs end")
        most, held = _most_at_once(cluster, ended), len(_open(cluster, {}))
        say(
            f"{len(ended)} workers died with {held} places of a limit of {_PLACES}: at most {most}"
            f" calls at once, and {_PLACES} at the end within {took:.1f} s"
        )
        check(held > 0, "no worker died with a place")
        check(most == _PLACES, "the limit was exceeded")


def _kill_one(cluster: Cluster, choose: random.Random, ended: dict[int, float]) -> int:
    """Kill a worker that holds a place, and start another one; return how many runs it had."""
    holding = set(_open(cluster, ended).values())
    worker = choose.choice([each for each in cluster.workers if each.pid in holding])
    count = max(0, cluster.owned_by(cluster.owner_of(worker)))
    worker.send(signal.SIGKILL)
    worker.process.wait()
    ended[worker.pid] = time.time()
    cluster.start()
    return count


def _open(cluster: Cluster, ended: dict[int, float]) -> dict[str, int]:
    """Return the calls that have begun and not ended, with their processes, dead ones excepted."""
    found = dict[tuple[str, int], None]()
    for what, key, pid, _ in cluster.ledger():
        if what == "begun":
            found[key, pid] = None
        else:
            found.pop((key, pid), None)
    return {f"{key} {pid}": pid for key, pid in found if pid not in ended}


def _most_at_once(cluster: Cluster, ended: dict[int, float]) -> int:
    """Return how many calls were in progress at once at most; those of the dead until they died."""
    changes = [(at, 1 if what == "begun" else -1) for what, _, _, at in cluster.ledger()]
    changes += [(ended[pid], -1) for pid in _open(cluster, {}).values()]
    count = most = 0
    for _, change in sorted(changes):
        count += change
        most = max(most, count)
    return most
