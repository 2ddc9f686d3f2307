"""The other process of the journal's tests: ``python another_process.py WHAT DIRECTORY``.

Prints a line for each thing done, after it is durable.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.testing._journal_scenarios import names, started, step

LARGE = "x" * 300_000


async def own(journal: SqliteJournal) -> None:
    """Create a run and hold it."""
    await journal.create(started("held"))
    print("held", flush=True)
    await asyncio.sleep(3600)


async def race(journal: SqliteJournal) -> None:
    """Claim each of 100 runs, write into those that were got, and hold them."""
    for name in names(100):
        try:
            ownership = await journal.claim(name)
        except RunOwnedError:
            continue
        await journal.append(ownership, [step(name, journal_name(journal))])
        print(name, flush=True)
    print("done", flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def write(journal: SqliteJournal) -> None:
    """Append without end from 16 tasks, some of it large."""

    async def lane(run_id: str) -> None:
        ownership = await journal.claim(run_id)
        done = len(await journal.records(run_id)) - 1
        for number in range(done, 1_000_000):
            data = LARGE + str(number) if number % 50 == 49 else None
            await journal.append(ownership, [step(run_id, str(number), data)])
            print(run_id, number, flush=True)

    await asyncio.gather(*map(lane, names(16)))


async def fill(journal: SqliteJournal) -> None:
    """Append until the disk refuses, once more, and again when there is room."""
    ownership = await journal.create(started("full"))
    for number in range(100_000):
        try:
            await journal.append(ownership, [step("full", str(number), "y" * 20_000)])
        except StateDirectoryError as error:
            print("refused", error.code, flush=True)
            break
        print(number, flush=True)
    try:
        await journal.append(ownership, [step("full", "more", "y" * 20_000)])
    except StateDirectoryError as error:
        print("again", error.code, flush=True)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await journal.append(ownership, [step("full", "room", "y" * 20_000)])
    print("room", flush=True)


def journal_name(journal: SqliteJournal) -> str:
    return f"step-{id(journal)}"


async def main(what: str, directory: Path) -> None:
    journal = SqliteJournal(directory)
    await journal.open()
    await {"own": own, "race": race, "write": write, "fill": fill}[what](journal)
    await journal.close()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        limit_bytes = 1_500_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
