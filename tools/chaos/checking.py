"""What the parts of ``make chaos`` share: clusters, networks, and how a figure is checked."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.servers.postgresql import running_postgresql

from tools.chaos.cluster import Cluster, Outcome
from tools.chaos.stores import PostgresqlStore

__all__ = [
    "RECOVERED_S",
    "ChaosError",
    "Part",
    "Say",
    "check",
    "cluster_on_postgresql",
    "exact",
    "link",
    "namespace",
]

RECOVERED_S: Final = 10.0
"""Within which others continue what a process has left, in seconds."""

Say = Callable[[str], None]
"""Prints a line of figures."""

Part = Callable[[Path, Say], None]
"""Breaks something in a folder, and checks the outcome."""


class ChaosError(Exception):
    """A figure is not as it has to be."""


def check(holds: bool, what: str) -> None:
    """Check a figure.

    Raises:
        ChaosError: It is not as it has to be.
    """
    if not holds:
        raise ChaosError(what)


@contextlib.contextmanager
def cluster_on_postgresql(
    folder: Path, *, lease_s: float = 3.0, config: str = "", listen: str = ""
) -> Iterator[Cluster]:
    """Give a cluster on a server of its own, which waits for the disk.

    Args:
        folder: For the cluster.
        lease_s: The length of a lease, in seconds.
        config: Further lines of the configuration.
        listen: A further address of the server.
    """
    with running_postgresql(durable=True, listen=listen) as server:
        store = PostgresqlStore(server, folder, lease_s)
        cluster = Cluster(folder, store, lease_s, config)
        try:
            yield cluster
        finally:
            cluster.close()


def exact(outcome: Outcome, say: Say, most_repeated: int | None = None) -> None:
    """Say how the runs ended, and check it.

    Raises:
        ChaosError: A run is not exact, or more was repeated than that.
    """
    say(
        f"{outcome.exact:,} of {outcome.runs:,} runs exact, {outcome.lost} calls lost;"
        f" {outcome.repeated:,} of {outcome.executions:,} calls repeated"
        + ("" if most_repeated is None else f", {most_repeated:,} were in progress at the faults")
    )
    check(outcome.is_exact, "a run is not exact")
    if most_repeated is not None:
        check(outcome.repeated <= most_repeated, "more was repeated than was in progress")


@contextlib.contextmanager
def namespace(name: str, here: str, there: str) -> Iterator[None]:
    """Make a network namespace with a cable to this one, until the block ends.

    Args:
        name: Its name.
        here: This side's address.
        there: That side's address.
    """
    for words in (
        f"netns add {name}",
        f"link add {name}0 type veth peer name {name}1 netns {name}",
        f"addr add {here}/30 dev {name}0",
        f"link set {name}0 up",
        f"-n {name} addr add {there}/30 dev {name}1",
        f"-n {name} link set {name}1 up",
        f"-n {name} link set lo up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def link(name: str, state: str) -> None:
    """Plug the cable of a namespace in (``up``), or pull it out (``down``)."""
    subprocess.run(["ip", "link", "set", f"{name}0", state], check=True)
