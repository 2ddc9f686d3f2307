"""The part of ``make chaos`` about nodes that answer over NATS."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.servers.nats import Nats

from tools.chaos.checking import Say, check, cluster_on_postgresql, exact, link, namespace
from tools.chaos.cluster import Cluster, Worker, wait_for

__all__ = ["nodes"]

_NAMESPACE: Final = "qtnodes"
_HERE: Final = "10.213.78.1"
_THERE: Final = "10.213.78.2"
_RUNS: Final = 100
_AWAY_S: Final = 20.0
_ABOUT_S: Final = 0.2  # between a fault and what is written then
_LATE_S: Final = 10.0  # a lost node is noticed within 3 s; a busy machine takes longer


def nodes(folder: Path, say: Say) -> None:
    """Ask a plugin on three nodes over NATS, while nodes are killed, frozen and cut off from it."""
    is_root = os.geteuid() == 0 and shutil.which("ip") is not None
    with contextlib.ExitStack() as stack:
        if is_root:
            stack.enter_context(namespace(_NAMESPACE, _HERE, _THERE))
        server = stack.enter_context(_running(_HERE if is_root else "127.0.0.1"))
        cluster = stack.enter_context(cluster_on_postgresql(folder, lease_s=10.0))
        _break(cluster, server, say, is_root=is_root)


@contextlib.contextmanager
def _running(address: str) -> Iterator[Nats]:
    with tempfile.TemporaryDirectory(prefix="nats-") as name:
        server = Nats(Path(name), address=address)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _break(cluster: Cluster, server: Nats, say: Say, *, is_root: bool) -> None:
    bus = {"QTFORGE_BUS": server.url}
    site = {"PYTHONPATH": str(cluster.site("remote", "1.0.0", "site-remote"))}

    def node(*before: str) -> Worker:
        return cluster.answer("remote", before=before, variables={**bus, **site})

    cut_off = node("ip", "netns", "exec", _NAMESPACE) if is_root else node()
    killed, frozen = node(), node()
    answering = (cut_off, killed, frozen)
    for _ in range(2):
        cluster.start(variables=bus)
    wait_for(lambda: all(map(cluster.is_ready, answering)), 120, "the nodes answer")
    wait_for(lambda: all(map(cluster.owner_of, cluster.workers[3:])), 120, "the workers are there")
    cluster.enqueue(_RUNS, pause_s=1.0, workflow="remote-steps", variables=bus)
    wait_for(lambda: _calls(cluster) >= 2 * _RUNS, 120, "the runs ask the nodes")
    in_progress = 0

    took, count = _asked_elsewhere(cluster, killed, lambda: killed.send(signal.SIGKILL))
    killed.process.wait()
    killed = node()
    say(f"a node was killed: its calls began on others within {took:.1f} s")
    check(took < _LATE_S, "others were asked too late")
    in_progress += count

    took, count = _asked_elsewhere(cluster, frozen, lambda: frozen.send(signal.SIGSTOP))
    frozen.send(signal.SIGCONT)
    say(f"a node was frozen: within {took:.1f} s")
    check(took < _LATE_S, "others were asked too late")
    in_progress += count

    if is_root:
        took, count = _asked_elsewhere(cluster, cut_off, lambda: link(_NAMESPACE, "down"))
        link(_NAMESPACE, "up")
        say(f"a node was cut off from the server: within {took:.1f} s")
        check(took < _LATE_S, "others were asked too late")
        in_progress += count
    else:
        say("no node was cut off: that needs root and iproute2")

    in_progress += _RUNS  # each run has one call in progress
    server.stop()
    time.sleep(_AWAY_S)
    server.start()
    back = time.time()
    took = wait_for(
        lambda: any(what == "begun" and at > back for what, _, _, at in cluster.ledger()),
        60, "a call begins after the server's return",
    )  # fmt: skip
    say(f"the server was away for {_AWAY_S:g} s: calls began again {took:.1f} s after its return")
    wait_for(lambda: cluster.finished() == _RUNS, 300, "all runs end")
    exact(cluster.outcome(), say, in_progress)


def _calls(cluster: Cluster) -> int:
    return sum(what == "begun" for what, *_ in cluster.ledger())


def _open(cluster: Cluster, node: Worker, at: float = math.inf) -> set[str]:
    """Return the keys of the calls that a node has in progress, or had about then."""
    begun, done = set[str](), set[str]()
    for what, key, pid, when in cluster.ledger():
        if what == "begun" and pid == node.pid and when <= at + _ABOUT_S:
            begun.add(key)
        elif what == "done" and when <= at - _ABOUT_S:
            done.add(key)
    return begun - done


def _asked_elsewhere(
    cluster: Cluster, node: Worker, breaks: Callable[[], None]
) -> tuple[float, int]:
    """Break a node, and wait until others begin what it had in progress.

    Returns:
        How long that takes, in seconds, and how many calls it had in progress at most.
    """
    wait_for(lambda: bool(_open(cluster, node)), 60, "the node is asked")
    breaks()
    at = time.time()
    time.sleep(_ABOUT_S)  # what it had written by then is in the ledger
    left = _open(cluster, node)

    def again() -> bool:
        begun = {
            key
            for what, key, pid, when in cluster.ledger()
            if what == "begun" and pid != node.pid and when > at
        }
        return left <= begun

    wait_for(again, 60, "others are asked for what the node had in progress")
    return time.time() - at, len(_open(cluster, node, at))
