"""The parts of ``make chaos`` in which nothing breaks: shares, upgrades, and idle workers."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psycopg
from tests.servers.pgbouncer import running_pgbouncer
from tests.servers.postgresql import PostgreSQL

from qtforge_sdk.records import StepSucceeded
from tools.chaos.checking import Say, check, cluster_on_postgresql, exact
from tools.chaos.cluster import Cluster, wait_for

__all__ = ["idle", "share_out", "upgrade"]

_IDLE_S: Final = 60.0
_MOST_TRANSACTIONS: Final = 0.5  # a second


def share_out(folder: Path, say: Say) -> None:
    """Queue 600 runs for six workers: the busiest does at most twice the work of the idlest."""
    with cluster_on_postgresql(folder, lease_s=10.0) as cluster:
        for _ in range(6):
            cluster.start(capacity=20)
        wait_for(lambda: all(map(cluster.owner_of, cluster.workers)), 120, "the workers are there")
        cluster.enqueue(600, pause_s=0.05)
        wait_for(lambda: cluster.finished() == 600, 600, "all runs end")
        shares = Counter(pid for what, _, pid, _ in cluster.ledger() if what == "begun")
        most, least = max(shares.values()), min(shares.values())
        say(f"steps of six workers: {', '.join(f'{each:,}' for each in sorted(shares.values()))};"
            f" {most / least:.2f} to 1")  # fmt: skip
        exact(cluster.outcome(), say, 0)
        check(len(shares) == 6, "a worker did nothing")
        check(most <= 2 * least, "a worker did more than twice the work of another one")


def upgrade(folder: Path, say: Say) -> None:
    """Upgrade a plugin from 1.0 to 2.0 while runs execute; one old worker is killed meanwhile."""
    with cluster_on_postgresql(folder) as cluster:
        newer = {"PYTHONPATH": str(cluster.site("ledger", "2.0.0", "site-2"))}
        old = [cluster.start(capacity=60) for _ in range(3)]
        wait_for(lambda: all(map(cluster.owner_of, old)), 120, "the workers are there")
        cluster.enqueue(100, pause_s=1.0)
        # One that no version has served yet may go to any.
        wait_for(lambda: cluster.count("served <> %s", ["{}"]) == 100, 120, "1.0 serves the runs")
        new = [cluster.start(capacity=60, variables=newer) for _ in range(2)]
        wait_for(lambda: all(map(cluster.owner_of, new)), 120, "the new workers are there")
        # The one with the most runs dies, of the others one is drained.
        killed, drained, _ = sorted(old, key=lambda each: -cluster.owned_by(cluster.owner_of(each)))
        asyncio.run(_drain(cluster, cluster.owner_of(drained)))
        cut = max(0, cluster.owned_by(cluster.owner_of(killed)))
        check(cut > 0, "the worker that dies has no runs")
        killed.send(signal.SIGKILL)
        killed.process.wait()
        cluster.enqueue(50, pause_s=0.1, variables=newer)
        blocked = 0

        def all_ended() -> bool:
            nonlocal blocked
            blocked = max(blocked, cluster.count("status = 'blocked'"))
            return cluster.finished() == 150

        wait_for(all_ended, 300, "all runs end")
        versions = asyncio.run(_versions(cluster))
        say(f"{versions['1.0.0']} runs ended on 1.0, where they began, {versions['2.0.0']} on 2.0;"
            f" at most {blocked} blocked")  # fmt: skip
        exact(cluster.outcome(), say, cut)
        check(not blocked, "a run was blocked although a node that fits was there")
        check(versions == {"1.0.0": 100, "2.0.0": 50}, "a run changed its version")


async def _drain(cluster: Cluster, owner: str) -> None:
    async with cluster.journal() as journal:
        check(await journal.drain(owner, draining=True), "the node is not there")


async def _versions(cluster: Cluster) -> Counter[str]:
    """Return how many runs each version served; those that two served under both names."""
    found: Counter[str] = Counter()
    async with cluster.journal() as journal:
        for (run_id,) in cluster.store.query("SELECT run_id FROM {s}runs"):
            records = await journal.records(run_id)
            served = {each.plugin_version for each in records if isinstance(each, StepSucceeded)}
            found["+".join(sorted(map(str, served)))] += 1
    return found


def idle(folder: Path, say: Say) -> None:
    """Count the transactions of an idle worker, also behind pgbouncer in transaction mode."""
    for name in ("direct", "pgbouncer"):
        (folder / name).mkdir()
        with cluster_on_postgresql(folder / name, lease_s=10.0) as cluster:
            _without_autovacuum(cluster.server)
            if name == "direct":
                rate = _idle_rate(cluster, cluster.store.url)
            else:
                with running_pgbouncer(cluster.server) as pooler:
                    ports = (f":{cluster.server.port}/", f":{pooler.port}/")
                    rate = _idle_rate(cluster, cluster.store.url.replace(*ports))
        say(f"{name}: {rate:.2f} transactions a second")
        check(rate <= _MOST_TRANSACTIONS, "that is more than 0.5 a second")


def _idle_rate(cluster: Cluster, url: str) -> float:
    worker = cluster.start(url=url)
    wait_for(lambda: bool(cluster.owner_of(worker)), 120, "the worker is there")
    time.sleep(15)  # what it does at its start is over, and counted
    cluster.store.close()
    before, begun = _transactions(cluster.server), time.monotonic()
    time.sleep(_IDLE_S)
    return (_transactions(cluster.server) - before) / (time.monotonic() - begun)


def _transactions(server: PostgreSQL) -> int:
    # From another database, so that these questions do not count.
    with psycopg.connect(server.url(database="template1"), autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'"
        ).fetchone()
    return 0 if row is None else int(row[0])


def _without_autovacuum(server: PostgreSQL) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
