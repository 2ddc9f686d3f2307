"""Several processes on one journal, some of which are killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from qtforge_host.journal.database import JOURNAL_FILE, prepare
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.testing._journal_scenarios import event, keep, names, started, step, steps_of

SCRIPT = Path(__file__).with_name("another_process.py")
DEADLINE_S = 120.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and rlimits")


@contextlib.contextmanager
def process(what: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process on the journal, and kill it at the end."""
    found = subprocess.Popen(
        [sys.executable, str(SCRIPT), what, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(DEADLINE_S, found.kill)
    timer.start()
    try:
        yield found
    finally:
        timer.cancel()
        found.kill()
        found.communicate()


def stdout(found: subprocess.Popen[str]) -> IO[str]:
    assert found.stdout is not None
    return found.stdout


def test_a_killed_owners_run_is_claimed_by_another_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        with process("own", tmp_path) as owner:
            assert stdout(owner).readline() == "held\n"
            with pytest.raises(RunOwnedError, match=f"process {owner.pid} on host"):
                await journal.claim("held")
            assert not await journal.unfinished()
            owner.kill()
            owner.wait(DEADLINE_S)
            assert list(await journal.unfinished()) == ["held"]
            ownership = await journal.claim("held")
            assert ownership.epoch == 2
            await journal.append(ownership, [step("held")])
        # Only its own lock is left; the dead one's was removed.
        assert len(list((tmp_path / "owners").iterdir())) == 1
        await journal.close()

    asyncio.run(scenario())


def test_of_two_processes_that_race_for_100_runs_each_run_has_one_owner(tmp_path: Path) -> None:
    async def prepare() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for name in names(100):
            await journal.release(await journal.create(started(name)))
        await journal.close()

    async def look() -> Counter[int]:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        counts = Counter([len(await journal.records(name)) for name in names(100)])
        assert {each.epoch for each in await journal.runs(RunQuery(limit=200))} == {2}
        assert not await journal.check()
        await journal.close()
        return counts

    asyncio.run(prepare())
    with process("race", tmp_path) as one, process("race", tmp_path) as two:
        taken: list[list[str]] = [[], []]
        for place, each in enumerate((one, two)):
            for line in stdout(each):
                if line == "done\n":
                    break
                taken[place].append(line.strip())
        assert sorted(taken[0] + taken[1]) == names(100)
        assert asyncio.run(look()) == {2: 100}


def test_acknowledged_records_are_there_after_every_kill(tmp_path: Path) -> None:
    async def prepare() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for name in names(16):
            await journal.release(await journal.create(started(name)))
        await journal.close()

    async def verify() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for name in names(16):
            steps = steps_of(await journal.records(name))
            assert steps == [str(number) for number in range(len(steps))]
            assert len(steps) > acknowledged.get(name, -1)
        assert not await journal.check()
        await journal.close()

    asyncio.run(prepare())
    acknowledged: dict[str, int] = {}
    chance = random.Random(7)
    for _ in range(6):
        with process("write", tmp_path) as writer:
            first = stdout(writer).readline().split()
            threading.Timer(chance.uniform(0.02, 0.4), writer.kill).start()
            for run_id, number in [first, *(line.split() for line in whole_lines(writer))]:
                acknowledged[run_id] = int(number)
        asyncio.run(verify())
    assert sum(acknowledged.values()) > 100


def whole_lines(writer: subprocess.Popen[str]) -> list[str]:
    lines = stdout(writer).read().split("\n")
    return [line for line in lines[:-1] if line]


def test_a_message_from_another_process_ends_the_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal, other = SqliteJournal(tmp_path), SqliteJournal(tmp_path)
        await journal.open()
        await other.open()
        await keep(journal, started())
        while await journal.changed(0.2):
            pass
        # An hour: whoever is not told of the message runs into the test's own limit.
        waiting = asyncio.ensure_future(journal.changed(3600))
        await asyncio.sleep(0.1)
        await other.post("run", event("m1"))
        assert await waiting
        await other.close()
        await journal.close()

    asyncio.run(scenario())


def test_a_disk_that_is_full_for_a_while_refuses_appends_and_keeps_acknowledged_records(
    tmp_path: Path,
) -> None:
    with process("fill", tmp_path) as filler:
        lines = stdout(filler).read().splitlines()
        assert filler.wait(DEADLINE_S) == 0
    assert lines[-3:] == ["refused state.unusable", "again state.unusable", "room"]
    kept = [int(line) for line in lines[:-3]]
    assert len(kept) > 5

    async def verify() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        steps = steps_of(await journal.records("full"))
        assert steps == [*(str(number) for number in kept), "room"]
        ownership = await journal.claim("full")
        await journal.append(ownership, [step("full", "room again")])
        assert not await journal.check()
        await journal.close()

    asyncio.run(verify())


def test_a_forked_child_does_not_keep_its_parents_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        program = (
            "import asyncio, os, sys, time, pathlib\n"
            "from qtforge_host.journal.owner_lock import OwnerLocks\n"
            "locks = OwnerLocks(pathlib.Path(sys.argv[1]))\n"
            "locks.acquire()\n"
            "if os.fork() == 0:\n"
            "    os.close(1)\n"
            "    time.sleep(20)\n"
            "    os._exit(0)\n"
            "print(locks.owner, flush=True)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        found = subprocess.run(  # noqa: ASYNC221 - nothing else runs on this loop
            [sys.executable, "-c", program, str(tmp_path / "owners")],
            stdout=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert found.returncode == -9
        assert not journal._locks.is_alive(found.stdout.strip())
        await journal.close()

    asyncio.run(scenario())


def test_processes_that_make_a_journal_together_all_open_it(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def opened(folder: Path) -> None:
        together.wait(DEADLINE_S)
        prepare(folder / JOURNAL_FILE)  # each has a connection of its own, as a process has

    with ThreadPoolExecutor(together.parties) as threads:
        for name in names(20):
            for _ in threads.map(opened, [tmp_path / name] * together.parties):
                pass


def test_a_new_journal_waits_for_a_reader_of_the_file(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with ThreadPoolExecutor(1) as thread:
            opened = thread.submit(prepare, tmp_path / JOURNAL_FILE)
            with pytest.raises(TimeoutError):
                opened.result(0.2)
            reader.execute("COMMIT")
            opened.result(DEADLINE_S)
