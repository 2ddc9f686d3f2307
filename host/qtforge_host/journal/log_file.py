"""The logs of runs in a SQLite file of the state directory, which several processes share."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from qtforge_host.journal.log_memory import MemoryLogs
from qtforge_sdk.journal import Journal
from qtforge_sdk.journal_kit.encoding import to_us
from qtforge_sdk.journal_kit.log_rows import LogRow, log_row, stored_log
from qtforge_sdk.run_logs import LOG_LEVELS, LogEntry, LogKeeper, LogQuery, StoredLog
from qtforge_sdk.sqlite_store import Schema, SqliteStore

__all__ = ["LogFile", "log_keeper"]

T = TypeVar("T")

_BUSY_TIMEOUT_S: Final = 5.0
_AT_ONCE: Final = 10_000  # entries that are removed by one transaction
_SCHEMA: Final = Schema(
    application_id=0x51544C47,  # "QTLG"
    migrations=(
        (
            "CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,"
            " at INTEGER NOT NULL, level INTEGER NOT NULL, logger TEXT NOT NULL,"
            " step TEXT NOT NULL, attempt INTEGER NOT NULL, text TEXT NOT NULL)",
            "CREATE INDEX logs_by_run ON logs (run, id)",
        ),
    ),
)
_ADD: Final = """INSERT INTO logs (run, at, level, logger, step, attempt, text)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_FIND: Final = """SELECT id, run, at, level, logger, step, attempt, text FROM logs
    WHERE run = :run AND id > :after AND level >= :level AND (:step IS NULL OR step = :step)
    ORDER BY id LIMIT :limit"""
_SIZE: Final = "SELECT coalesce(sum(length(text)), 0) FROM logs WHERE run = ?"
_REMOVE: Final = "DELETE FROM logs WHERE run IN (SELECT value FROM json_each(?))"
# In the order of ids, which is that of the times but for clocks that were set back.
_DROP_OLD: Final = f"""DELETE FROM logs WHERE id IN (
    SELECT id FROM (SELECT id, at FROM logs ORDER BY id LIMIT {_AT_ONCE:d}) WHERE at < ?)"""  # noqa: S608 - of constants
_DROP_FIRST: Final = f"""DELETE FROM logs
    WHERE id IN (SELECT id FROM logs ORDER BY id LIMIT {_AT_ONCE:d})"""  # noqa: S608 - of constants
_USED: Final = """SELECT (SELECT page_count FROM pragma_page_count)
    - (SELECT freelist_count FROM pragma_freelist_count)"""
_PAGE_BYTES: Final = "SELECT page_size FROM pragma_page_size"


class LogFile:
    """Keeps the logs of runs in a file; implements `LogKeeper`.

    Args:
        path: The file; it is made when the first entry is added.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        # An entry that a crash loses is not missed, so nothing waits for the disk.
        self._store: Final = SqliteStore(
            path, _SCHEMA, busy_timeout_s=_BUSY_TIMEOUT_S, synchronous="NORMAL"
        )

    async def add_logs(self, entries: Sequence[LogEntry]) -> None:
        """Add entries, in order."""
        rows = list(map(log_row, entries))

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany(_ADD, rows)

        await self._write(add)

    async def logs(self, query: LogQuery) -> Sequence[StoredLog]:
        """Return entries of a run, the oldest first."""
        try:
            f"{query.run_id}{query.step}".encode()
        except UnicodeEncodeError:
            return []  # nothing has such a name
        given = {
            "run": query.run_id,
            "after": query.after,
            "level": LOG_LEVELS.index(query.level),
            "step": query.step,
            "limit": query.limit,
        }
        nothing: list[Any] = []
        rows = await self._read(lambda each: each.execute(_FIND, given).fetchall(), nothing)
        return [stored_log(position, LogRow._make(row)) for position, *row in rows]

    async def log_size(self, run_id: str) -> int:
        """Return how many characters the texts of a run's entries have."""
        return int(await self._read(lambda each: each.execute(_SIZE, (run_id,)).fetchone()[0], 0))

    async def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove the entries of runs."""
        names = msgspec.json.encode(list(run_ids)).decode()
        if self._path.exists():
            await self._write(lambda each: each.execute(_REMOVE, (names,)))

    async def prune_logs(self, before: datetime.datetime, most_bytes: int) -> int:
        """Remove old entries, and the oldest while all together are too large."""
        if not self._path.exists():
            return 0
        removed, before_us = 0, to_us(before)

        def drop(connection: sqlite3.Connection) -> int:
            count = connection.execute(_DROP_OLD, (before_us,)).rowcount
            (pages,), (page,) = (
                connection.execute(_USED).fetchone(),
                connection.execute(_PAGE_BYTES).fetchone(),
            )
            if count < _AT_ONCE and pages * page > most_bytes:
                count += connection.execute(_DROP_FIRST).rowcount
            return count

        while count := await self._write(drop):
            removed += count
        return removed

    async def _read(self, work: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """Read; where there is no file, nothing was logged."""

        def read() -> T:
            if not self._path.exists():
                return nothing
            with self._store.reading() as connection:
                return work(connection)

        return await asyncio.to_thread(read)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def write() -> T:
            with self._store.transaction() as connection:
                return work(connection)

        return await asyncio.to_thread(write)


def log_keeper(journal: Journal, directory: Path | None) -> LogKeeper:
    """Return what keeps the logs of a journal's runs.

    Args:
        journal: The journal; one that several machines share keeps them itself.
        directory: The state directory; None where the runs are in memory.
    """
    if isinstance(journal, LogKeeper):
        return journal
    return MemoryLogs() if directory is None else LogFile(directory / "logs.sqlite3")
