"""`Reader`: the reads of one turn of the loop are done together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.queries import Queries
from qtforge_host.journal.store import SqliteReads
from qtforge_sdk.journal_kit.reader import Reader


class CountingPool(ThreadPoolExecutor):
    def __init__(self) -> None:
        super().__init__(1)
        self.submitted = 0

    def submit(self, *arguments, **named):  # type: ignore[no-untyped-def]
        self.submitted += 1
        return super().submit(*arguments, **named)


@asynccontextmanager
async def a_reader(folder: Path) -> AsyncIterator[tuple[Reader[Queries], CountingPool]]:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    queries = Queries(connection, folder, OwnerLocks(folder / "owners"), BlobFiles(folder / "b"))
    pool = CountingPool()
    reader = Reader(SqliteReads(queries, connection), pool)
    yield reader, pool
    await reader.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_reads_of_one_turn_share_a_wake_up_of_the_thread_and_keep_their_order(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with a_reader(tmp_path) as (reader, pool):
            numbers = iter(range(10))
            found = await asyncio.gather(*(reader.read(lambda _: next(numbers)) for _ in range(10)))
            assert found == list(range(10))
            assert pool.submitted == 1

    asyncio.run(main())


def test_a_read_that_fails_fails_for_its_caller_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_reader(tmp_path) as (reader, _):
            found = await asyncio.gather(
                reader.read(lambda _: 1 // 0), reader.read(lambda _: 2), return_exceptions=True
            )
            assert isinstance(found[0], ZeroDivisionError)
            assert found[1] == 2

    asyncio.run(main())


def test_a_cancelled_caller_does_not_delay_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        go_on = threading.Event()
        async with a_reader(tmp_path) as (reader, _):
            first = asyncio.ensure_future(reader.read(lambda _: go_on.wait(60)))
            second = asyncio.ensure_future(reader.read(lambda _: "second"))
            await asyncio.sleep(0.01)
            first.cancel()
            go_on.set()
            assert await asyncio.wait_for(second, 60) == "second"
            assert first.cancelled()

    asyncio.run(main())


def test_reads_that_were_requested_are_done_before_closing(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_reader(tmp_path) as (reader, _):
            asked = asyncio.ensure_future(reader.read(lambda _: "read"))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(asked, 60) == "read"

    asyncio.run(main())
