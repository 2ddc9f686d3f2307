"""A program whose runs need places of a concurrency key, and that dies when it is told to.

python -m tests.integration.place_worker sweep FOLDER CASE        killed at every write in turn
python -m tests.integration.place_worker race FOLDER WHO [URL]    compete for the last places

URL is the address of a shared journal; without it the journal is in the folder. Who races as 0
first takes all places but the last of each key.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.integration.crash_worker import DEADLINE_S, child, orchestrators, process, warm

from qtforge_host.clock import SystemClock
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk.journal import Journal, JournalSettings, RunQuery
from qtforge_sdk.journal_errors import RunConcurrencyError, RunDuplicateError

ALL: Final = RunQuery(limit=1000, oldest_first=True)
MISSES: Final = 3  # writes at which a process has not died, after which there are no more
KEYS: Final = 25  # of a race
TEXT: Final = """
name = "place"
kind = "sequential"
unique = {{ key = "${{input.number}}", within = "1d" }}
[concurrency_key]
key = "${{input.key}}"
limit = {limit}
when_full = "{when_full}"
[[stages]]
name = "stay"
operation = "crash.stay"
message = {{ until = "${{input.until}}" }}
"""
CASES: Final = {  # when_full: the limit, and how many runs are started
    "wait": (2, 4),
    "latest": (1, 3),
    "cancel": (1, 3),
    "refuse": (1, 2),
}


def workflow(when_full: str, limit: int) -> Workflow:
    text = TEXT.format(when_full=when_full, limit=limit)
    found = parse(text, "place", orchestrators()).workflow
    assert found is not None
    return found


@contextlib.asynccontextmanager
async def executing(engine: Engine) -> AsyncIterator[Supervisor]:
    """Execute runs that are queued or interrupted, as ``serve`` does."""
    supervisor = Supervisor(engine)
    loop = RecoveryLoop(supervisor, engine.journal, SystemClock())
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    try:
        yield supervisor
    finally:
        work.cancel()
        await asyncio.wait({work})


async def tell(engine: Engine, when_full: str) -> None:
    """Start the runs of a case, those of an earlier process once more, and wait for their ends."""
    limit, count = CASES[when_full]
    async with executing(engine) as supervisor:
        for number in range(count):
            with contextlib.suppress(RunDuplicateError, RunConcurrencyError):
                given = {"number": number, "key": "k", "until": ""}
                await supervisor.start(workflow(when_full, limit), given)
        while any(  # noqa: ASYNC110 - nothing tells of the end of a run
            each.finished_at is None for each in await engine.journal.runs(ALL)
        ):
            await asyncio.sleep(0.005)


async def begin(folder: Path, when_full: str, write: int, when: str) -> None:
    """Start the runs in a process that dies at a write."""
    async with process(folder, write, when, owners=True) as (engine, _):
        await tell(engine, when_full)


async def finish(folder: Path, when_full: str) -> dict[str, Any]:
    """Start the runs again and end them; return what an observer saw of the places."""
    limit, _ = CASES[when_full]
    async with process(folder) as (engine, journal):
        await tell(engine, when_full)
        free = []  # nothing holds a place: so many runs can begin at once
        for number in range(limit):
            given = {"number": 100 + number, "key": "k", "until": ""}
            free.append((await engine.execute(workflow(when_full, limit), given)).status)
        runs = await journal.runs(ALL)
        states = [
            RunState.from_records(each.run_id, await journal.records(each.run_id, limit=1))
            for each in runs
        ]
        numbers = Counter(each.input["number"] for each in states)
        ends = {each.run_id: each.finished_at.timestamp() for each in runs if each.finished_at}
        return {
            "runs": max(numbers.values()),
            "numbers": sorted(number for number in numbers if number < 100),
            "statuses": sorted({each.status for each in runs}),
            "most": most_at_once(folder, ends),
            "free": free,
            "damage": [each.what for each in await journal.check()],
        }


def most_at_once(folder: Path, ends: Mapping[str, float]) -> int:
    """Return how many runs had begun and not ended at once, over all processes."""
    begins: dict[str, float] = {}
    for line in (folder / "stays").read_text(encoding="utf-8").splitlines():
        at, run_id = line.split()
        begins.setdefault(run_id, int(at) / 1e9)
    return max(
        sum(1 for other, begun in begins.items() if begun <= at < ends[other])
        for at in begins.values()
    )


def sweep(folder: Path, when_full: str) -> None:
    """Print what comes of runs whose process dies at write n, as JSON lines; n = 0 is none."""
    warm(lambda: finish(folder / "warm", when_full), folder / "warm")
    for when in ("before", "after"):
        write = misses = 0
        while misses < MISSES:
            write += 1
            found = case(folder / f"{when}-{write}", when_full, write, when)
            if found is None:
                misses += 1
            else:
                print(json.dumps({"write": write, "when": when, **found}), flush=True)


def case(folder: Path, when_full: str, write: int, when: str) -> dict[str, Any] | None:
    """Return what comes of one case; None when there was no such write."""
    folder.mkdir()
    ended = child(lambda: begin(folder, when_full, write, when))
    if ended == 0:
        return None
    if ended != -signal.SIGKILL:
        raise SystemExit(f"the process ended with {ended} {when} write {write}")

    async def finished() -> None:
        told = json.dumps(await finish(folder, when_full))
        (folder / "told").write_text(told, encoding="utf-8")

    if child(finished) != 0:
        raise SystemExit(f"the runs do not end after a death {when} write {write}")
    found: dict[str, Any] = json.loads((folder / "told").read_text(encoding="utf-8"))
    return found


async def race(folder: Path, who: int, url: str = "") -> None:
    """Compete for the last place of each key, and print the keys of those that were taken."""
    raced = workflow("refuse", 2)
    async with process(folder, shared=shared_journal(folder, url)) as (engine, _):
        supervisor = Supervisor(engine)

        async def start(key: int, number: str) -> None:
            given = {"key": f"k{key}", "number": number, "until": "stop"}
            await supervisor.start(raced, given)

        if who == 0:
            for key in range(KEYS):
                await start(key, f"{key}-before")
        (folder / f"ready-{who}").touch()
        while not (folder / "go").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.001)
        for key in range(KEYS):
            with contextlib.suppress(RunConcurrencyError):
                await start(key, f"{key}-{who}")
                print(key, flush=True)
        (folder / f"done-{who}").touch()
        # Also without a place, so that nobody takes its end for a failure.
        while supervisor.count() or not (folder / "stop").exists():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


def shared_journal(folder: Path, url: str) -> Journal | None:
    if not url:
        return None
    from qtforge_postgresql import PostgresqlJournal  # it may not be installed

    return PostgresqlJournal(JournalSettings(directory=folder, url=url))


if __name__ == "__main__":
    command, where, *arguments = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    if command == "sweep":
        sweep(where, arguments[0])
    else:
        signal.alarm(DEADLINE_S)
        asyncio.run(race(where, int(arguments[0]), *arguments[1:]))
