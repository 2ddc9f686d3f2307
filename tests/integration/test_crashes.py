"""Runs survive the death of their process, at whatever moment it comes."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk import Record
from qtforge_sdk.journal import Damage, RunQuery
from qtforge_sdk.records import (
    CompensationSucceeded,
    RunFinished,
    RunResumed,
    StepFailed,
    StepSucceeded,
)

WORKER = Path(__file__).with_name("crash_worker.py")
DEADLINE_S = 120
KINDS = ("checklist", "sequential")
CHECKLIST_EFFECTS = {
    "left#1", "right#1", "flaky#1", "flaky#2", "ask#1", "first#1", "second#1", "third#1", "end#1",
    "left/compensation#1", "right/compensation#1", "first/compensation#1",
    "second/compensation#1", "third/compensation#1",
}  # fmt: skip
SEQUENTIAL_EFFECTS = {
    "one#1",
    "flaky#1",
    "flaky#2",
    "ask#1",
    "extra#1",
    "last#1",
    "more#1",
    "most#1",
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL and no fork")


Worker = Callable[[str, Path, object], "subprocess.Popen[str]"]


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A function that starts the worker program; what still goes on at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(command: str, folder: Path, argument: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(WORKER), command, str(folder), str(argument)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            process.communicate(timeout=DEADLINE_S)


def ended(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    return out


def histories(folder: Path) -> tuple[dict[str, list[Record]], list[Damage]]:
    """Return every run's records, and what `Journal.check` finds."""

    async def read() -> tuple[dict[str, list[Record]], list[Damage]]:
        journal = SqliteJournal(folder / "state")
        await journal.open()
        try:
            runs = await journal.runs(RunQuery(limit=1000))
            found = {each.run_id: list(await journal.records(each.run_id)) for each in runs}
            return found, list(await journal.check())
        finally:
            await journal.close()

    return asyncio.run(read())


def effects(folder: Path) -> list[tuple[str, str, str]]:
    """Return what handlers did, in order: the process, the run, and the call."""
    found = []
    for line in (folder / "effects").read_text(encoding="utf-8").splitlines():
        process, _, key = line.partition(" ")
        run_id, _, call = key.partition("/")
        found.append((process, run_id, call))
    return found


def test_a_run_killed_at_any_write_ends_as_if_it_had_not_been(
    tmp_path: Path, worker: Worker
) -> None:
    folders = {kind: tmp_path / kind for kind in KINDS}
    for folder in folders.values():
        folder.mkdir()
    sweeps = {kind: worker("sweep", folder, kind) for kind, folder in folders.items()}
    for kind, sweep in sweeps.items():
        undisturbed, *cases = map(json.loads, ended(sweep).splitlines())
        check_undisturbed(kind, undisturbed)
        places = [(case.pop("when"), case.pop("write")) for case in cases]
        for moment in ("before", "after"):
            writes = [write for when, write in places if when == moment]
            assert writes == list(range(1, len(writes) + 1))
            assert len(writes) >= 9
        del undisturbed["when"], undisturbed["write"]
        for place, case in zip(places, cases, strict=True):
            assert case == undisturbed, f"{kind}, killed {place[0]} write {place[1]}"


def check_undisturbed(kind: str, told: dict[str, Any]) -> None:
    """Check the measure itself: all that a crash could spoil is in it."""
    assert (told["runs"], told["again"], told["damage"]) == (1, [], [])
    assert told["amendments"] == (1 if kind == "checklist" else 3)
    assert ["flaky", "succeeded", 2] in told["steps"]
    if kind == "checklist":
        assert (told["status"], told["error"]) == ("compensated", ["crash.refused", "end"])
        assert set(told["effects"]) == CHECKLIST_EFFECTS
    else:
        assert told["status"] == "succeeded"
        assert told["order"] == ["one", "flaky", "ask", "extra", "last", "more", "most"]
        assert told["result"] == {"last": "last", "extra": "extra"}
        assert set(told["effects"]) == SEQUENTIAL_EFFECTS


def test_fifty_runs_survive_kills_at_random_moments(tmp_path: Path, worker: Worker) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    count, kills = 50, 0
    for _ in range(6):
        process = worker("many", tmp_path, count)
        began = size(tmp_path)
        deadline = time.monotonic() + DEADLINE_S
        while size(tmp_path) == began and process.poll() is None:  # until it does something
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.12))
        process.kill()
        process.communicate(timeout=DEADLINE_S)
        kills += process.returncode == -signal.SIGKILL
    ended(worker("many", tmp_path, count))
    assert kills >= 2  # else this was no trial
    found, damage = histories(tmp_path)
    assert damage == []
    assert len(found) == count
    check_every_run(found, tmp_path)
    resumed = [each for records in found.values() for each in records if is_resumed(each)]
    assert resumed


def size(folder: Path) -> int:
    path = folder / "effects"
    return path.stat().st_size if path.exists() else 0


def is_resumed(record: Record) -> bool:
    return isinstance(record, RunResumed)


def check_every_run(found: dict[str, list[Record]], folder: Path) -> None:
    """Check each run's end, its effects, and that each outcome is in the journal once."""
    done: dict[str, set[str]] = {run_id: set() for run_id in found}
    for _, run_id, call in effects(folder):
        done[run_id].add(call)
    for run_id, records in found.items():
        (end,) = [each for each in records if isinstance(each, RunFinished)]
        assert records[-1] is end
        if end.status == "compensated":
            assert done[run_id] == CHECKLIST_EFFECTS
        else:
            assert (end.status, end.result) == ("succeeded", {"last": "last", "extra": "extra"})
            assert done[run_id] == SEQUENTIAL_EFFECTS
        outcomes = Counter(
            (type(each).__name__, each.step, getattr(each, "attempt", 1))
            for each in records
            if isinstance(each, StepSucceeded | StepFailed | CompensationSucceeded)
        )
        assert set(outcomes.values()) == {1}
        assert len(outcomes) == len(done[run_id])


def test_two_processes_that_race_for_the_same_runs_never_do_one_together(
    tmp_path: Path, worker: Worker
) -> None:
    count = 100
    process = worker("many", tmp_path, count)
    deadline = time.monotonic() + DEADLINE_S
    while not (tmp_path / "effects").exists() or len(effects(tmp_path)) < 2 * count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    before = histories(tmp_path)[0]
    unfinished = {
        run_id for run_id, records in before.items() if not isinstance(records[-1], RunFinished)
    }
    assert len(unfinished) > count // 2  # few had the time to end

    racers = [worker("take", tmp_path, who) for who in (0, 1)]
    while not all((tmp_path / f"ready-{who}").exists() for who in (0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    (tmp_path / "go").touch()
    for racer in racers:
        ended(racer)

    found, damage = histories(tmp_path)
    assert damage == []
    check_every_run(found, tmp_path)
    owners = {
        run_id: [each.owner for each in found[run_id] if isinstance(each, RunResumed)]
        for run_id in unfinished
    }
    assert all(len(each) == 1 for each in owners.values())  # taken once, by one of them
    assert len({each[0] for each in owners.values()}) == 2
    check_no_process_works_beside_another(found, tmp_path)


def check_no_process_works_beside_another(found: dict[str, list[Record]], folder: Path) -> None:
    for run_id in found:
        turns: list[str] = []
        for process, run, _ in effects(folder):
            if run == run_id and turns[-1:] != [process]:
                turns.append(process)
        assert len(turns) == len(set(turns)), f"{run_id} went from process to process: {turns}"
        assert len(turns) <= 2
