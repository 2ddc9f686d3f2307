"""``python -m benchmarks.searching``: how long a search takes in a journal of many runs.

The runs are generated: every one has the word ``invoice``, one in fifty has failed, half of them
are of each of two workflows whose runs have words of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from qtforge_host.journal.schema import INSERT_RUNS
from qtforge_host.journal.search_index import ADD_WORDS, rebuild_index
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk import Record
from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.journal_kit.appending import run_row
from qtforge_sdk.journal_kit.encoding import encode_record
from qtforge_sdk.journal_kit.search_words import search_row
from qtforge_sdk.records import ErrorInfo, RunFinished, RunKeys, RunStarted

__all__ = ["QUERIES", "make_runs", "make_sqlite", "measure"]

_SINCE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
_FAILED = frozenset({"failed"})
_AT_ONCE = 10_000
QUERIES = {
    "in every run": RunQuery(search="invoice"),
    "its beginning": RunQuery(search="in"),
    "in none": RunQuery(search="needle"),
    "in every and in none": RunQuery(search="invoice needle"),
    "in one": RunQuery(search="n12345z"),
    "in the older half": RunQuery(search="older"),
    "beginnings of very many": RunQuery(search="n1"),
    "in every, failed": RunQuery(search="invoice", statuses=_FAILED),
    "in every, cancelled": RunQuery(search="invoice", statuses=frozenset({"cancelled"})),
    "in none, failed": RunQuery(search="needle", statuses=_FAILED),
    "in every, of a workflow": RunQuery(search="invoice", workflow="bill-paying"),
    "of the other workflow": RunQuery(search="left", workflow="bill-paying"),
    "an error, of a workflow": RunQuery(search="closed", workflow="bill-paying"),
    "a page of 1,001": RunQuery(search="invoice", limit=1_001),
}
"""What is searched for, by what is special about it."""


def make_runs(runs: int) -> Iterator[tuple[RunStarted, RunFinished]]:
    """Generate the first and the last record of runs, the oldest first."""
    chance = random.Random(1)
    for number in range(runs):
        run_id = f"2025-{number:07d}"
        at = _SINCE + datetime.timedelta(seconds=number)
        is_bill = number % 2
        age = "older" if number < runs // 2 else "newer"
        words = [f"w{min(20_000, int(chance.paretovariate(0.7)))}x" for _ in range(8)]
        text = f"invoice {'right' if is_bill else 'left'} {age} n{number}z {' '.join(words)}"
        failed = number % 50 == 0
        error = ErrorInfo(code="shop.closed", message="it opens at 9", plugin="cashier")
        yield (
            RunStarted(
                run_id=run_id,
                at=at,
                workflow="bill-paying" if is_bill else "order-intake",
                kind="sequential",
                workflow_version="1.0.0",
                input={"document": {"path": f"in/{number}.pdf", "text": text}},
                plugins={},
                keys=RunKeys(title=f"{number}.pdf"),
            ),
            RunFinished(
                run_id=run_id,
                at=at,
                status="failed" if failed else "succeeded",
                degraded=False,
                result=None,
                summary="",
                error=error if failed else None,
            ),
        )


async def make_sqlite(folder: Path, runs: int) -> SqliteJournal:
    """Make a journal of generated runs, past its own methods and in a minute."""
    journal = SqliteJournal(folder)
    await journal.open()
    await journal.close()
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite3")) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        values = ", ".join("?" * 18)
        for key, records in enumerate(make_runs(runs), 1):
            both: Sequence[Record] = records
            row = run_row([*both], None, 1)
            connection.execute(f"{INSERT_RUNS} VALUES ({values})", row)
            connection.execute(f"{ADD_WORDS} VALUES (?, ?, ?, ?)", (key, *search_row(both)))
            for position, record in enumerate(both, 1):
                entry = encode_record(record)
                connection.execute(
                    "INSERT INTO records (run, position, checksum, payload) VALUES (?, ?, ?, ?)",
                    (key, position, entry.checksum, entry.payload),
                )
            if key % _AT_ONCE == 0:
                connection.commit()
        rebuild_index(connection)
        connection.commit()
    await journal.open()
    return journal


async def measure(journal: Journal, rounds: int) -> dict[str, tuple[float, int]]:
    """Return for each query the median of its times, in ms, and how many runs it found."""
    found = {}
    for name, query in QUERIES.items():
        times, count = [], 0
        for _ in range(rounds):
            begun = time.perf_counter()
            count = len(await journal.runs(query))
            times.append((time.perf_counter() - begun) * 1e3)
        found[name] = (statistics.median(times), count)
    return found


async def _main(runs: int, rounds: int, folder: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        begun = time.perf_counter()
        journal = await make_sqlite(Path(name), runs)
        print(f"{runs:,} runs, made in {time.perf_counter() - begun:.0f} s")
        for what, (median_ms, count) in (await measure(journal, rounds)).items():
            print(f"{what:<26}{median_ms:8.1f} ms  {count:>6,} runs")
        await journal.close()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searching", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=None, help="where the journal is made")
    options = parser.parse_args()
    asyncio.run(_main(options.runs, options.rounds, options.folder))


if __name__ == "__main__":
    main()
