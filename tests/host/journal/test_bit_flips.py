"""A bit that flips anywhere in the database is found, or changes nothing that is read."""

from __future__ import annotations

import asyncio
import datetime
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.errors import StorageError
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    event,
    finished,
    keep,
    names,
    started,
    step,
)

SEED = 11
FEW, MANY = 20, 200
FAR = NOW + datetime.timedelta(days=400)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every kind: ended, interrupted, waiting with a timer and a message, and pruned."""
    directory = tmp_path_factory.mktemp("kept")

    async def make() -> None:
        journal = SqliteJournal(directory)
        await journal.open()
        for name in names(10):
            await keep(journal, started(name), step(name, data="text" * 20), finished(name))
        for name in ("one", "two"):
            waiting = CheckpointSaved(
                run_id=name, at=NOW, state={"n": 1}, label="open", accepts=("approved",),
                timers={"late": FAR}, timers_set=("late",), key=f"key-{name}",
            )  # fmt: skip
            ownership = await keep(journal, started(name), waiting)
            await journal.post(name, event(f"m-{name}", {"a": 1}))
            await journal.release(ownership)
        await keep(journal, started("large", parent="one"), step("large", data="x" * 300_000))
        await journal.close()

    asyncio.run(make())
    assert not (directory / "journal.sqlite3-wal").exists()
    return directory


async def read_all(directory: Path) -> dict[str, Any]:
    """Return everything that a journal gives, and what it finds wrong."""
    journal = SqliteJournal(directory)
    await journal.open()
    try:
        damage = list(await journal.check())
        if damage:
            return {"damage": damage}  # it is found; what is read may be anything
        listed = await journal.runs(RunQuery(limit=1000))
        runs = sorted({each.run_id for each in listed} | {*names(10), "one", "two", "large"})
        return {
            "damage": damage,
            "listed": [(each.run_id, each.status, each.started_at, each.label) for each in listed],
            "records": {run_id: list(await journal.records(run_id)) for run_id in runs},
            "tails": {run_id: list(await journal.tail(run_id)) for run_id in runs},
            "inbox": {run_id: list(await journal.inbox(run_id)) for run_id in runs},
            "pending": {run_id: list(await journal.pending(run_id)) for run_id in runs},
            "unfinished": list(await journal.unfinished()),
            "with_pending": sorted(await journal.runs_with_pending()),
            "due": sorted(await journal.due(FAR)),
            "next_due": await journal.next_due(NOW),
            "waiting": [
                each.run_id for each in await journal.runs(RunQuery(waiting_for="approved"))
            ],
            "children": [each.run_id for each in await journal.runs(RunQuery(parent="one"))],
            "statistics": await journal.statistics(),
            "order": await journal.records_since(""),
        }
    finally:
        await journal.close()


def check_flips(kept: Path, folder: Path, count: int) -> None:
    before = asyncio.run(read_all(kept))
    assert not before["damage"]
    places = random.Random(SEED)
    content = (kept / "journal.sqlite3").read_bytes()
    silent = []
    for _ in range(count):
        place, bit = places.randrange(len(content)), places.randrange(8)
        directory = folder / f"{place}-{bit}"
        shutil.copytree(kept, directory)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        (directory / "journal.sqlite3").write_bytes(flipped)
        try:
            after = asyncio.run(read_all(directory))
        except StorageError:  # found; of which `JournalDamagedError` is one
            pass
        else:
            if not after["damage"] and after != before:
                wrong = [part for part in before if after[part] != before[part]]
                silent.append((place, bit, wrong))
        shutil.rmtree(directory)
    assert not silent


def test_a_flipped_bit_is_found_or_harmless(kept: Path, tmp_path: Path) -> None:
    check_flips(kept, tmp_path, FEW)


@pytest.mark.soak
def test_a_flipped_bit_at_any_of_many_places_is_found_or_harmless(
    kept: Path, tmp_path: Path
) -> None:
    check_flips(kept, tmp_path, MANY)
