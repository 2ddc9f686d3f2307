"""Machines survive the death of their process, and lose or repeat no event."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.records import CheckpointSaved

from .machine_worker import ALL, EVENTS

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120
SENDERS = 4
MACHINES = 1000

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL and no fork")

Worker = Callable[[str, Path, object], "subprocess.Popen[str]"]


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A function that starts the worker program; what still goes on at the end is killed."""
    begun: list[subprocess.Popen[str]] = []

    def start(command: str, folder: Path, argument: object) -> subprocess.Popen[str]:
        module = "tests.integration.machine_worker"
        process = subprocess.Popen(
            [sys.executable, "-m", module, command, str(folder), str(argument)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.returncode is None:
            process.kill()
            process.communicate(timeout=DEADLINE_S)


def ended(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")  # a task that failed is logged there
    return out


def test_a_machine_killed_at_any_write_ends_as_if_it_had_not_been(
    tmp_path: Path, worker: Worker
) -> None:
    sweeps = [worker("sweep", tmp_path, when) for when in ("before", "after")]
    for sweep in sweeps:
        undisturbed, *cases = map(json.loads, ended(sweep).splitlines())
        check_undisturbed(undisturbed)
        assert len(cases) >= 15
        for write, case in enumerate(cases, 1):
            assert case == undisturbed, f"killed at write {write}"


def check_undisturbed(told: dict[str, Any]) -> None:
    """Check the measure itself: all that a crash could spoil is in it."""
    assert told["status"] == "succeeded"
    assert told["result"] == {"seen": [0, 1], "child": "succeeded"}
    assert told["events"] == [
        [name, "taken"] for name in ("go", "state", "workflow.begin", "note", "note", "end")
    ]
    assert told["timers"] == 1
    assert told["runs"] == [["child", "succeeded"], ["machine", "succeeded"]]
    assert told["effects"] == ["1.first#1", "3.second#1", "4.last#1", "one#1"]
    assert (told["stirred"], told["damage"]) == ([], [])


def test_events_of_four_processes_are_handled_once_and_in_order_over_kills(
    tmp_path: Path, worker: Worker
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    ended(worker("make", tmp_path, MACHINES))
    senders = [worker("send", tmp_path, who) for who in range(SENDERS)]
    kills = 0
    for _ in range(3):
        server = worker("serve", tmp_path, 0)
        serves(tmp_path, server)
        time.sleep(chance.uniform(0.1, 1.0))
        server.kill()
        server.communicate(timeout=DEADLINE_S)
        kills += server.returncode == -signal.SIGKILL
    server = worker("serve", tmp_path, 0)
    for sender in senders:
        ended(sender)
    expected = MACHINES * SENDERS * EVENTS
    asyncio.run(until_handled(tmp_path, server))
    (tmp_path / "stop").touch()
    ended(server)
    assert kills == 3
    found, trouble = asyncio.run(histories(tmp_path))
    assert trouble == ([], [], [])
    assert sum(len(events) for events in found.values()) == expected
    for run_id, events in found.items():
        for who in range(SENDERS):
            numbers = [number for sender, number in events if sender == who]
            assert numbers == list(range(EVENTS)), f"{run_id}: {events}"


def serves(folder: Path, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not (folder / "serves").exists():
        assert server.poll() is None, server.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (folder / "serves").unlink()


async def until_handled(folder: Path, server: subprocess.Popen[str]) -> None:
    """Wait until no message is left."""
    journal = SqliteJournal(folder / "state")
    await journal.open()
    try:
        runs = [each.run_id for each in await journal.runs(ALL)]
        async with asyncio.timeout(DEADLINE_S):
            for run_id in runs:
                while await journal.pending(run_id):
                    assert server.poll() is None, server.communicate()
                    await asyncio.sleep(0.02)
    finally:
        await journal.close()


async def histories(folder: Path) -> tuple[dict[str, list[Any]], Any]:
    """Return each machine's events, and what is wrong: unfinished, stirred, damaged."""
    journal = SqliteJournal(folder / "state")
    await journal.open()
    try:
        found = {}
        for each in await journal.runs(ALL):
            kept = [
                it for it in await journal.records(each.run_id) if isinstance(it, CheckpointSaved)
            ]
            found[each.run_id] = [it.event_data for it in kept if it.event]
            assert kept[-1].state["data"]["seen"] == found[each.run_id]
        wrong = (
            await journal.unfinished(),
            await journal.runs_with_pending(),
            await journal.check(),
        )
        return found, tuple(map(list, wrong))
    finally:
        await journal.close()
