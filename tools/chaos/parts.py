"""The parts of ``make chaos``: each breaks something, prints figures, and checks them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from qtforge_sdk.journal import InboxMessage, Journal
from qtforge_sdk.testing._journal_scenarios import started, step
from tools.chaos.bus_parts import nodes
from tools.chaos.checking import (
    RECOVERED_S,
    Part,
    Say,
    check,
    cluster_on_postgresql,
    exact,
    link,
    namespace,
)
from tools.chaos.cluster import Cluster, Worker, wait_for
from tools.chaos.limit_parts import limits
from tools.chaos.scale_parts import idle, share_out, upgrade
from tools.chaos.stores import SqliteStore

__all__ = ["PARTS"]

_ROOM: Final = 250  # so that others have room for what a worker leaves: no run waits for another


def kills(folder: Path, say: Say) -> None:
    """Run 1,000 runs of 12 steps on 6 workers: 9 SIGKILL, 3 SIGSTOP, 2 crashes of the server."""
    with cluster_on_postgresql(folder) as cluster:
        for _ in range(6):
            cluster.start(capacity=_ROOM)
        cluster.enqueue(1000, pause_s=5.0)
        choose = random.Random(13)
        faults = ["kill"] * 9 + ["stop"] * 3 + ["crash"] * 2
        choose.shuffle(faults)
        wait_for(lambda: cluster.finished() >= 0 and cluster.count("owner IS NOT NULL") >= 100,
                 120, "the workers begin")  # fmt: skip
        took, in_progress = list[tuple[float, str]](), 0
        for fault in faults:
            in_progress += max(0, cluster.count("status = 'running'"))
            if fault == "crash":
                cluster.server.restart()
                took.append((_progress(cluster), fault))
            else:
                took.append((_broken(cluster, choose, stops=fault == "stop"), fault))
        wait_for(lambda: cluster.finished() == 1000, 600, "all runs end")
        seconds = [each for each, _ in took]
        longest, by = max(took)
        say(f"{len(faults)} faults; recovered within {min(seconds):.1f} to {longest:.1f} s"
            f" ({by}), {statistics.median(seconds):.1f} s in the middle, with a lease of"
            f" {cluster.lease_s:g} s")  # fmt: skip
        exact(cluster.outcome(), say, in_progress)
        check(longest < RECOVERED_S, "a recovery took longer than 10 s")


def _progress(cluster: Cluster) -> float:
    """Return how long it takes after a crash of the server until a call begins, in seconds."""
    back = time.time()
    return wait_for(
        lambda: any(what == "begun" and at > back for what, _, _, at in cluster.ledger()),
        60, "a call begins after the crash",
    )  # fmt: skip


def _broken(cluster: Cluster, choose: random.Random, *, stops: bool) -> float:
    """Kill or freeze a worker; return how long others take to own all its runs, in seconds."""
    alive = [each for each in cluster.workers if each.is_alive() and cluster.owner_of(each)]
    worker = choose.choice(alive)
    owner = cluster.owner_of(worker)
    worker.send(signal.SIGSTOP if stops else signal.SIGKILL)
    took = wait_for(lambda: cluster.owned_by(owner) == 0, 60, "others own the runs of a worker")
    if stops:
        worker.send(signal.SIGCONT)  # what it writes now is refused
    else:
        worker.process.wait()
        cluster.start(capacity=_ROOM)
    time.sleep(choose.uniform(0.2, 1.0))
    return took


def follower(folder: Path, say: Say) -> None:
    """Let 12 writers append beside a follower, which must miss nothing and get nothing twice."""
    with cluster_on_postgresql(folder, lease_s=10.0) as cluster:
        asyncio.run(_follow(cluster, say))


async def _follow(cluster: Cluster, say: Say) -> None:
    writers, runs, steps = 12, 8, 250
    journals = [cluster.store.journal() for _ in range(writers)]
    reader = cluster.store.journal()
    for journal in (*journals, reader):
        await journal.open()

    async def write(journal: Journal, run_id: str) -> None:
        ownership = await journal.create(started(run_id))
        for number in range(steps):
            await journal.append(ownership, [step(run_id, f"s{number}")])

    total = writers * runs * (steps + 1)
    seen: Counter[tuple[str, int]] = Counter()
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        for number, journal in enumerate(journals):
            for run in range(runs):
                group.create_task(write(journal, f"w{number}-{run}"))
        after, quiet = "", 0
        while quiet < 20:
            page = await reader.records_since(after)
            after = page.until
            for each in page.records:
                counts[each.run_id] += 1
                seen[each.run_id, counts[each.run_id]] += 1
            quiet = 0 if page.records or counts.total() < total else quiet + 1
            await asyncio.sleep(0.01)
    rate = total / (time.monotonic() - begun)
    for journal in (*journals, reader):
        await journal.close()
    missed, twice = total - len(seen), counts.total() - total
    say(f"{total:,} records of {writers} writers at {rate:,.0f} a second:"
        f" {max(missed, 0)} missed, {max(twice, 0)} twice")  # fmt: skip
    check(counts.total() == total, "the follower missed a record, or got one twice")


def drain(folder: Path, say: Say) -> None:
    """End a worker with SIGTERM: its runs are handed over, and nothing is repeated."""
    with cluster_on_postgresql(folder) as cluster:
        first = cluster.start(capacity=40)
        cluster.enqueue(40, pause_s=2.0)
        wait_for(lambda: cluster.count("owner IS NOT NULL") == 40, 120, "it owns 40 runs")
        owner = cluster.owner_of(first)
        cluster.start(capacity=100)
        wait_for(lambda: bool(cluster.owner_of(cluster.workers[1])), 60, "another one is there")
        time.sleep(2)
        count = cluster.owned_by(owner)
        check(count >= 20, f"it owns only {count} runs at the end")
        first.send(signal.SIGTERM)
        took = wait_for(lambda: cluster.owned_by(owner) == 0, 30, "the runs are handed over")
        wait_for(lambda: cluster.finished() == 40, 120, "all runs end")
        say(f"{count} runs left within {took:.1f} s of SIGTERM, amid steps of 2 s")
        exact(cluster.outcome(), say, 0)


def outage(folder: Path, say: Say) -> None:
    """Take the server away for a minute."""
    with cluster_on_postgresql(folder) as cluster:
        for _ in range(4):
            cluster.start(capacity=50)
        cluster.enqueue(200, pause_s=1.0)
        wait_for(lambda: cluster.count("owner IS NOT NULL") >= 100, 120, "the workers begin")
        in_progress = cluster.count("status = 'running'")
        cluster.server.stop()
        time.sleep(60)
        cluster.server.start()
        took = _progress(cluster)
        wait_for(lambda: cluster.finished() == 200, 300, "all runs end")
        say(f"away for 60 s; the next run ended {took:.1f} s after the return")
        exact(cluster.outcome(), say, in_progress)


def frozen(folder: Path, say: Say) -> None:
    """Freeze the server for 20 s: no connection is lost, and no question is answered."""
    with cluster_on_postgresql(folder) as cluster:
        for _ in range(3):
            cluster.start(capacity=50)
        cluster.enqueue(90, pause_s=0.5)
        wait_for(lambda: sum(1 for _ in cluster.ledger()) >= 200, 120, "the workers begin")
        in_progress = cluster.count("status = 'running'")
        cluster.store.close()
        cluster.server.send(signal.SIGSTOP)
        try:
            stopped = time.time()
            time.sleep(20)
            begun = [at for what, _, _, at in cluster.ledger() if what == "begun"]
        finally:
            cluster.server.send(signal.SIGCONT)
        took = _progress(cluster)
        wait_for(lambda: cluster.finished() == 90, 300, "all runs end")
        last = max(0.0, max(begun) - stopped)
        say(f"frozen for 20 s: the last call began {last:.1f} s after that, the next one"
            f" {took:.1f} s after the return")  # fmt: skip
        exact(cluster.outcome(), say, in_progress)
        check(last < cluster.lease_s, "workers went on without the server")


def disk_full(folder: Path, say: Say) -> None:
    """Fill the server's disk for three seconds."""
    check(os.geteuid() == 0, "only root can mount a small disk")
    disk = folder / "disk"
    disk.mkdir()
    folder.chmod(0o711)  # the server runs as another user
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=0777", "tmpfs", disk], check=True)
    before, tempfile.tempdir = tempfile.tempdir, str(disk)
    try:
        with cluster_on_postgresql(folder) as cluster:
            for _ in range(3):
                cluster.start(capacity=50)
            cluster.enqueue(150, pause_s=1.0)
            wait_for(lambda: cluster.count("owner IS NOT NULL") >= 75, 120, "the workers begin")
            in_progress = cluster.count("status = 'running'")
            _fill(disk / "filling")
            time.sleep(3)
            (disk / "filling").unlink()
            crashed = not cluster.server.is_running()
            if crashed:
                cluster.server.start()
            took = _progress(cluster)
            wait_for(lambda: cluster.finished() == 150, 300, "all runs end")
            say(f"full for 3 s{', the server ended by it' if crashed else ''}; the next run ended"
                f" {took:.1f} s later")  # fmt: skip
            exact(cluster.outcome(), say, in_progress)
    finally:
        tempfile.tempdir = before
        subprocess.run(["umount", "-l", disk], check=False)


def _fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as target:
        while True:
            target.write(b"\0" * (64 << 10))


def partition(folder: Path, say: Say) -> None:
    """Cut one of three workers off from PostgreSQL alone, in a network namespace of its own."""
    check(os.geteuid() == 0 and shutil.which("ip") is not None, "root and iproute2 are needed")
    name, here, there = "qtchaos", "10.213.77.1", "10.213.77.2"
    with namespace(name, here, there), cluster_on_postgresql(folder, listen=here) as cluster:
        cut_off = cluster.start(
            capacity=50,
            url=cluster.store.url.replace("127.0.0.1", here),
            before=("ip", "netns", "exec", name),
        )
        wait_for(lambda: bool(cluster.owner_of(cut_off)), 120, "the worker is there")
        cluster.enqueue(100, pause_s=1.0)
        owner = cluster.owner_of(cut_off)
        wait_for(lambda: cluster.owned_by(owner) >= 20, 60, "it owns runs")
        for _ in range(2):
            cluster.start(capacity=50)
        time.sleep(3)
        in_progress = max(0, cluster.owned_by(owner))
        link(name, "down")
        cut = time.time()
        took = wait_for(lambda: cluster.owned_by(owner) == 0, 60, "others own its runs")
        time.sleep(2 * cluster.lease_s)
        last = max((each for each in _calls(cluster, cut_off) if each > cut), default=cut)
        link(name, "up")
        wait_for(lambda: cluster.finished() == 100, 300, "all runs end")
        say(
            f"its {in_progress} runs were owned by others after {took:.1f} s; its last call began"
            f" {last - cut:.1f} s after the cut, with a lease of {cluster.lease_s:g} s"
        )
        exact(cluster.outcome(), say, 2 * in_progress)
        check(last - cut < cluster.lease_s, "the worker that was cut off went on")


def _calls(cluster: Cluster, worker: Worker) -> Iterator[float]:
    """Give when a worker began calls."""
    for what, _, pid, at in cluster.ledger():
        if what == "begun" and pid == worker.pid:
            yield at


def clocks(folder: Path, say: Say) -> None:
    """Run on three workers whose clocks differ by ten minutes; nothing is taken from the living."""
    program = shutil.which("faketime")
    check(program is not None, "faketime is needed: apt-get install faketime")
    with cluster_on_postgresql(folder) as cluster:
        for offset in ("-5m", "+5m", ""):
            cluster.start(
                capacity=40,
                before=(str(program), "-f", offset) if offset else (),
                variables={"FAKETIME_DONT_FAKE_MONOTONIC": "1"},
            )
        cluster.enqueue(120, pause_s=0.5)
        wait_for(lambda: cluster.finished() == 120, 300, "all runs end")
        shares = Counter(pid for what, _, pid, _ in cluster.ledger() if what == "begun")
        say(f"calls of each worker: {', '.join(map(str, sorted(shares.values())))}")
        exact(cluster.outcome(), say, 0)
        _timers(cluster, say)


def _timers(cluster: Cluster, say: Say) -> None:
    """Let runs rest for 10 s: each is set by one worker, and mostly woken by another one."""
    before = cluster.finished()
    cluster.enqueue(60, pause_s=0, workflow="ten-seconds")
    wait_for(lambda: cluster.finished() == before + 60, 120, "all timers fire")
    rows = cluster.store.query(
        "SELECT min(finished_at - started_at) / 1e6, max(finished_at - started_at) / 1e6"
        " FROM {s}runs WHERE workflow = 'ten-seconds'"
    )
    shortest, longest = map(float, rows[0])
    say(f"60 timers of 10 s fired after {shortest:.1f} to {longest:.1f} s, by the server's clock")
    check(shortest >= 10 and longest < 10 + RECOVERED_S, "a timer fired early or late")


_MANY: Final = 10_000
_WAITS: Final = 'rest_after = "1h"\n'  # so that their worker keeps the runs, and owns them


def dead_worker(folder: Path, say: Say) -> None:
    """Kill a worker with 10,000 runs that wait for an event: others own them once it comes."""
    (folder / "postgresql").mkdir()
    with cluster_on_postgresql(folder / "postgresql", lease_s=10.0, config=_WAITS) as cluster:
        took = [_taken_over(cluster, say, "PostgreSQL")]
    (folder / "sqlite").mkdir()
    cluster = Cluster(folder / "sqlite", SqliteStore(folder / "sqlite"), config=_WAITS)
    try:
        took.append(_taken_over(cluster, say, "SQLite"))
    finally:
        cluster.close()
    check(max(took) < RECOVERED_S, "it took longer than 10 s")


def _taken_over(cluster: Cluster, say: Say, where: str) -> float:
    """Return how long it takes until others own all runs, in seconds.

    It begins when the lease has ended, and each run was sent what it waits for.
    """
    cluster.enqueue(_MANY, pause_s=0, workflow="waits")
    first = cluster.start(capacity=500)
    wait_for(lambda: _waiting(cluster) == _MANY, 600, "all runs wait", every_s=0.5)
    owner = cluster.owner_of(first)
    others = [cluster.start(capacity=_MANY) for _ in range(3)]
    wait_for(lambda: all(map(cluster.owner_of, others)), 120, "the other workers are there")
    check(cluster.owned_by(owner) == _MANY, "it does not own them all")
    ends = _lease_end(cluster, owner)
    first.send(signal.SIGKILL)
    ends = max(ends, _lease_end(cluster, owner))
    first.process.wait()
    # A run that waits needs no process until then.
    asyncio.run(_send_all(cluster))
    ends = max(ends, time.time())
    wait_for(lambda: cluster.count("owner = %s", (owner,)) == 0, 300, "others own all runs",
             every_s=0.5)  # fmt: skip
    took = time.time() - ends
    wait_for(lambda: cluster.finished() == _MANY, 600, "all runs end")
    shares = Counter(
        pid for what, key, pid, _ in cluster.ledger() if what == "begun" and key.endswith("step_2")
    )
    calls = ", ".join(map(str, sorted(shares.values())))
    say(f"{where}: {_MANY:,} runs that were sent an event owned by others {took:.1f} s after the"
        f" end of the lease; calls of each: {calls}")  # fmt: skip
    exact(cluster.outcome(2), say, 0)
    return took


def _waiting(cluster: Cluster) -> int:
    """Return how many runs have begun to wait: their first call is done, and no other one is."""
    return sum(what == "done" for what, *_ in cluster.ledger())


def _lease_end(cluster: Cluster, owner: str) -> float:
    """Return when an owner's lease ends, as `time.time` counts; now where it has none."""
    if isinstance(cluster.store, SqliteStore):
        return time.time()  # its lock ends with it
    rows = cluster.store.query(
        "SELECT extract(epoch FROM expires) FROM {s}owners WHERE owner = %s", (owner,)
    )
    return float(rows[0][0]) if rows else 0.0


async def _send_all(cluster: Cluster) -> None:
    names = [row[0] for row in cluster.store.query("SELECT run_id FROM {s}runs")]
    async with cluster.journal() as journal:
        for begin in range(0, len(names), 100):
            await asyncio.gather(*(
                journal.post(name, InboxMessage(
                    message_id=f"go-{name}", kind="event", name="go",
                    at=datetime.datetime.now(datetime.UTC),
                ))
                for name in names[begin : begin + 100]
            ))  # fmt: skip


def schedules(folder: Path, say: Say) -> None:
    """Keep one schedule on three workers: each planned time starts one run."""
    schedule = (
        '[schedules.every-minute]\nworkflow = "one-step"\ncron = "* * * * *"\n'
        "input = { number = 1, pause_s = 0 }\n"
    )
    with cluster_on_postgresql(folder, config=schedule) as cluster:
        for _ in range(3):
            cluster.start()
        wait_for(lambda: all(map(cluster.owner_of, cluster.workers)), 60, "the workers are there")
        begun = time.time()
        wait_for(lambda: time.time() // 60 - begun // 60 >= 3 and time.time() % 60 > 5, 300, "")
        rows = cluster.store.query("SELECT started_at / 60000000 AS at FROM {s}runs ORDER BY 1")
        times = Counter(int(row[0]) for row in rows)
        say(f"{len(times)} planned times, {sum(times.values())} runs")
        check(len(times) >= 3, "a planned time started no run")
        check(set(times.values()) == {1}, "a planned time started several runs")


PARTS: Final[Mapping[str, Part]] = MappingProxyType(
    {
        "kills": kills,
        "follower": follower,
        "drain": drain,
        "outage": outage,
        "frozen": frozen,
        "disk-full": disk_full,
        "partition": partition,
        "clocks": clocks,
        "limits": limits,
        "dead-worker": dead_worker,
        "schedules": schedules,
        "share-out": share_out,
        "upgrade": upgrade,
        "idle": idle,
        "nodes": nodes,
    }
)
"""The parts by their names, in the order of a whole run."""
