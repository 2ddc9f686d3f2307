"""Workers over one journal, and what they did: the journal's rows and the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import psycopg
from tests.servers.postgresql import PostgreSQL

from qtforge_sdk.journal import Journal
from qtforge_sdk.records import QueueEntry, RunStarted, StepSucceeded
from tools.chaos.stores import PostgresqlStore, Store

__all__ = ["Cluster", "Outcome", "Worker", "wait_for"]

_PLUGINS: Final = Path(__file__).with_name("ledger_plugin.py")
_METADATA: Final = (
    "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: qtforge-sdk>=1.0,<2\n"
)
_ENTRY: Final = "[qtforge.plugins]\n{name} = ledger_plugin:{kind}\n"
_PAGE: Final = 1000


def wait_for(
    holds: Callable[[], bool], within_s: float, what: str, *, every_s: float = 0.05
) -> float:
    """Wait until something holds, and return how long that took, in seconds.

    Args:
        holds: Whether it holds.
        within_s: How long it may take, in seconds.
        what: What is waited for, for the error.
        every_s: The pause between two looks; a look at many rows takes time from the workers.

    Raises:
        RuntimeError: It does not hold in time.
    """
    begun = time.monotonic()
    while not holds():
        if time.monotonic() > begun + within_s:
            raise RuntimeError(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)
    return time.monotonic() - begun


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the runs ended, from the journal and from the ledger.

    Attributes:
        runs: The number of runs.
        exact: Those that succeeded with each step in the journal once, and with its answer.
        lost: Calls that the journal has as answered, and the ledger has not as done.
        executions: Calls that the ledger has as begun.
        repeated: Those of them whose key was begun before.
    """

    runs: int
    exact: int
    lost: int
    executions: int
    repeated: int

    @property
    def is_exact(self) -> bool:
        """Whether every run is, and nothing was lost."""
        return self.exact == self.runs and not self.lost


@dataclass(slots=True)
class Worker:
    """A process that takes runs.

    Attributes:
        name: Its name, which is that of its state directory.
        process: The process.
    """

    name: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        return self.process.poll() is None


@dataclass(slots=True)
class Cluster:
    """A journal, its workers and their ledger, in a folder.

    Attributes:
        folder: The folder; a new one for each part.
        store: The journal.
        lease_s: The length of a lease, in seconds.
        config: Further lines of the configuration.
        workers: All that were started, also those that have ended.
    """

    folder: Path
    store: Store
    lease_s: float = 3.0
    config: str = ""
    workers: list[Worker] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.site("ledger", "1.0.0", "site")
        # Processes die on purpose: a step that many of them died in is not to blame.
        lease = f'[host]\njournal_lease = "{self.lease_s:g}s"\nstep_crash_limit = 100\n'
        (self.folder / "config.toml").write_text(lease + self.config)
        (self.folder / "ledger").touch()

    def site(self, name: str, version: str, folder: str) -> Path:
        """Install a plugin of `tools.chaos.ledger_plugin` into a folder, and return that.

        Args:
            name: The plugin: ``ledger`` or ``remote``.
            version: The version that it is installed as.
            folder: The name of the folder.
        """
        site = self.folder / folder
        place = site / f"{name}-{version}.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(_METADATA.format(name=name, version=version))
        (place / "entry_points.txt").write_text(_ENTRY.format(name=name, kind=name.capitalize()))
        shutil.copy(_PLUGINS, site)
        return site

    @property
    def server(self) -> PostgreSQL:
        """The server of a journal in PostgreSQL."""
        if not isinstance(self.store, PostgresqlStore):
            raise TypeError("its runs are in SQLite")
        return self.store.server

    def environment(self, url: str = "") -> dict[str, str]:
        """Return the variables of a worker."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(self.folder / "site"),
            "LEDGER": str(self.folder / "ledger"),
            "QTFORGE_JOURNAL": url or self.store.url,
        }

    def command(self, name: str, *words: str) -> list[str]:
        """Return a command of the machine of that name."""
        place = ["--config", str(self.folder / "config.toml"), "--state-dir",
                 str(self.store.state_dir(name))]  # fmt: skip
        return [sys.executable, "-m", "qtforge_host.cli.main", *place, *words]

    def start(
        self,
        *,
        capacity: int = 100,
        url: str = "",
        before: Sequence[str] = (),
        variables: Mapping[str, str] = MappingProxyType({}),
        options: Sequence[str] = (),
    ) -> Worker:
        """Start a worker.

        Args:
            capacity: The most runs that it executes at once.
            url: The address of the journal, as the worker reaches it; "" for the same.
            before: A command that executes it, such as ``ip netns exec NAME``.
            variables: Further variables of its environment.
            options: Further options.
        """
        words = ("worker", "--capacity", str(capacity), "--grace", "5s", *options)
        return self._start(words, before, {**self.environment(url), **variables})

    def answer(self, plugin: str, *, before: Sequence[str], variables: Mapping[str, str]) -> Worker:
        """Start a node that only answers over the bus.

        Args:
            plugin: The plugin that it answers for.
            before: A command that executes it.
            variables: Further variables of its environment.
        """
        words = ("worker", "--operations-only", "--plugins", plugin)
        return self._start(words, before, {**self.environment(), **variables})

    def is_ready(self, worker: Worker) -> bool:
        """Return whether a worker has said that it works."""
        return "end it with SIGTERM" in (self.folder / f"{worker.name}.log").read_text()

    def _start(
        self, words: Sequence[str], before: Sequence[str], variables: Mapping[str, str]
    ) -> Worker:
        self._count += 1
        name = f"w{self._count}"
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*before, *self.command(name, *words)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=variables, cwd=self.folder,
            )  # fmt: skip
        worker = Worker(name, process)
        self.workers.append(worker)
        return worker

    def enqueue(
        self,
        count: int,
        *,
        pause_s: float,
        workflow: str = "twelve-steps",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Let new runs wait in the queue; each has its number as its input.

        Args:
            count: How many.
            pause_s: How long each call takes, in seconds.
            workflow: The workflow.
            variables: Further variables of the command that queues the first.
        """
        asyncio.run(self._enqueue(count, pause_s, workflow, variables))

    async def _enqueue(
        self, count: int, pause_s: float, workflow: str, variables: Mapping[str, str]
    ) -> None:
        words = ("run", workflow, "--detach", "--set", "number=0", "--set", f"pause_s={pause_s}")
        done = await asyncio.to_thread(
            subprocess.run, self.command("client", *words),
            env={**self.environment(), **variables},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr)
        run_id = done.stdout.split()[1]
        async with self.journal() as journal:
            (first,) = await journal.records(run_id, limit=1)
            if not isinstance(first, RunStarted):
                raise TypeError("the run does not begin with its start")
            for begin in range(1, count, 100):
                await asyncio.gather(*(
                    journal.enqueue(msgspec.structs.replace(
                        first, run_id=f"{run_id}-{number}", queue=QueueEntry(),
                        input={**first.input, "number": number},
                    ))
                    for number in range(begin, min(begin + 100, count))
                ))  # fmt: skip

    @contextlib.asynccontextmanager
    async def journal(self) -> AsyncIterator[Journal]:
        """Give the journal, open."""
        journal = self.store.journal()
        await journal.open()
        try:
            yield journal
        finally:
            await journal.close()

    def count(self, what: str, given: Sequence[Any] = ()) -> int:
        """Return the number of runs for which a condition holds."""
        rows = self.store.query(f"SELECT count(*) FROM {{s}}runs WHERE {what}", given)
        return int(rows[0][0])

    def finished(self) -> int:
        """Return the number of runs that have ended; -1 while the server is away."""
        with contextlib.suppress(psycopg.Error):
            return self.count("finished_at IS NOT NULL")
        return -1

    def owner_of(self, worker: Worker) -> str:
        """Return the name of a worker in the journal, or ""."""
        return self.store.owner_of(worker.pid)

    def owned_by(self, owner: str) -> int:
        """Return how many unfinished runs an owner has; -1 while the server is away."""
        with contextlib.suppress(psycopg.Error):
            return self.count("owner = %s AND finished_at IS NULL", (owner,))
        return -1

    def ledger(self) -> Iterator[tuple[str, str, int, float]]:
        """Give what each call noted (``begun``, ``done``, ``cut``), its key, process, and when."""
        with (self.folder / "ledger").open() as file:
            for line in file:
                what, key, pid, at = line.split()
                yield what, key, int(pid), float(at)

    def outcome(self, steps: int = 12) -> Outcome:
        """Compare the journal with the ledger."""
        return asyncio.run(self._outcome(steps))

    async def _outcome(self, steps: int) -> Outcome:
        begun = Counter(key for what, key, *_ in self.ledger() if what == "begun")
        done = {key for what, key, *_ in self.ledger() if what == "done"}
        exact = lost = 0
        rows = self.store.query("SELECT run_id, status FROM {s}runs")
        async with self.journal() as journal:
            for run_id, status in rows:
                good, gone = await _checked(journal, run_id, done, steps)
                exact += good and status == "succeeded"
                lost += gone
        executions = sum(begun.values())
        return Outcome(len(rows), exact, lost, executions, executions - len(begun))

    def close(self) -> None:
        """End the workers that are still there, and the connection for queries."""
        self.store.close()
        for worker in self.workers:
            if worker.is_alive():
                worker.process.kill()
            worker.process.wait()


async def _checked(journal: Journal, run_id: str, done: set[str], steps: int) -> tuple[bool, int]:
    """Return whether a run's records are exact, and how many of its calls were never done."""
    records = await journal.records(run_id)
    number = records[0].input["number"] if isinstance(records[0], RunStarted) else None
    answers = [each for each in records if isinstance(each, StepSucceeded)]
    answers = [each for each in answers if each.step.startswith("step_")]  # the others are waits
    names = [each.step for each in answers]
    good = names == [f"step_{each}" for each in range(1, steps + 1)]
    good = good and all(each.data == number for each in answers)
    return good, sum(f"{run_id}/{name}" not in done for name in names)
