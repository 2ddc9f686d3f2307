"""A cache store in a SQLite file of the state directory; it outlives the process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["CacheFile", "DamagedCacheError", "SqliteCache"]

_APPLICATION_ID: Final = 1364477507  # "QTFC"


_VERSION: Final = 1


_BUSY_TIMEOUT_S: Final = 2.0


_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they were put
    key TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    put_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    size INTEGER NOT NULL,
    sum BLOB NOT NULL,
    value BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_topic ON entries (topic, id);
CREATE INDEX IF NOT EXISTS entries_by_end ON entries (expires_at);
-- Checkpoint by triggers, so that no put has to count.
CREATE TABLE IF NOT EXISTS totals (
    topic TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS entry_put AFTER INSERT ON entries BEGIN
    INSERT INTO totals VALUES (new.topic, 1, new.size) ON CONFLICT (topic)
        DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER IF NOT EXISTS entry_dropped AFTER DELETE ON entries BEGIN
    UPDATE totals SET count = count - 1, bytes = bytes - old.size WHERE topic = old.topic;
    DELETE FROM totals WHERE topic = old.topic AND count = 0;
END;
PRAGMA application_id = 1364477507;
PRAGMA user_version = 1;
COMMIT;
"""


class DamagedCacheError(Exception):
    """The file is not a sound cache of this format; the text says why."""


class CacheFile:
    """One connection to the file; use it from one thread at a time.

    Several processes may use one file. What was put first makes room first.

    Args:
        path: The file; it is made where it is missing, its folder too.
        max_bytes: How much all values together may take.

    Raises:
        DamagedCacheError: It can't be used, and should be set aside.
        sqlite3.Error: It can't be used for now: the disk is full or not writable.
        OSError: Its folder can't be made.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection: Final = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            with _damage_told_apart():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def get(self, key: str, now_s: float) -> bytes | None:
        """Return a value that is sound and whose time has come and is not over."""
        with _damage_told_apart():
            row = self._connection.execute(
                "SELECT put_at, expires_at, sum, value FROM entries WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            put_at_s, expires_at_s, digest, value = row
            # SQLite has no sums of its own: a flipped bit in a value would go unseen.
            if hashlib.sha256(value).digest() != digest:
                self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))
                return None
            # One from the future was put before the machine's clock was set back.
            return bytes(value) if put_at_s <= now_s < expires_at_s else None

    def put(
        self, key: str, value: bytes, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Put a value and make room, in one transaction."""
        with _damage_told_apart(), self._transaction() as execute:
            execute("DELETE FROM entries WHERE expires_at <= ? OR key = ?", (now_s, key))
            if len(value) > self._max_bytes:
                return
            execute(
                "INSERT INTO entries (key, topic, put_at, expires_at, size, sum, value)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    topic,
                    now_s,
                    now_s + ttl_s,
                    len(value),
                    hashlib.sha256(value).digest(),
                    value,
                ),
            )
            (count,) = execute("SELECT count FROM totals WHERE topic = ?", (topic,)).fetchone()
            if count > max_entries:
                execute(
                    "DELETE FROM entries WHERE id IN"
                    " (SELECT id FROM entries WHERE topic = ? ORDER BY id LIMIT ?)",
                    (topic, count - max_entries),
                )
            self._make_room()

    def clear(self, topic: str | None) -> int:
        """Drop a topic's entries, or all; return how many."""
        with _damage_told_apart():
            done = self._connection.execute(
                "DELETE FROM entries WHERE :topic IS NULL OR topic = :topic", {"topic": topic}
            )
            return done.rowcount

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("BEGIN")  # one view of all three, while another process may make the tables
        tables = execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,)
        (application,) = execute("PRAGMA application_id").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        execute("COMMIT")
        if tables and (application, version) != (_APPLICATION_ID, _VERSION):
            raise DamagedCacheError(f"it is not a cache of format {_VERSION}, but {version}")
        self._write_ahead()
        execute("PRAGMA synchronous = NORMAL")  # a lost answer is computed again
        if not tables:
            self._connection.executescript(_SCHEMA)

    def _write_ahead(self) -> None:
        # SQLite does not wait for other connections here, as it does elsewhere.
        give_up_at_s = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= give_up_at_s:
                    raise
            time.sleep(0.005)

    def _make_room(self) -> None:
        (held,) = self._connection.execute("SELECT coalesce(sum(bytes), 0) FROM totals").fetchone()
        excess = held - self._max_bytes
        if excess <= 0:
            return
        oldest = self._connection.execute("SELECT id, size FROM entries ORDER BY id")
        dropped = []
        while excess > 0 and (row := oldest.fetchone()) is not None:
            dropped.append(row[:1])
            excess -= row[1]
        oldest.close()
        self._connection.executemany("DELETE FROM entries WHERE id = ?", dropped)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def _damage_told_apart() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the primary code; the missing table of a torn file has code 1.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE or (code == sqlite3.SQLITE_ERROR and "no such" in str(error)):
            raise DamagedCacheError(str(error)) from error
        raise


T = TypeVar("T")


_LOG: Final = logging.getLogger("qtforge.policies")


_MAX_BYTES: Final = 256 * 2**20


class SqliteCache:
    """Keeps entries in a file, from a thread of its own; opens it when it is first needed.

    A damaged file is set aside as ``<name>.damaged``, in the place of an earlier one, and
    begun anew, with a warning. A file that can't be used (the disk is full, or not
    writable) makes every question a new one, with one warning. No caller ever sees an error.

    Args:
        path: The file.
        max_bytes: How much all values together may take; default 256 MiB.
    """

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path: Final = path
        self._max_bytes: Final = max_bytes
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="qtforge-cache")
        self._file: CacheFile | None = None  # touched by that thread only
        self._is_warned = False
        self._is_closed = False

    async def get(self, key: str, now_s: float) -> bytes | None:
        """Return what was put, unless its time is over or it is no longer sound."""
        return await self._do(lambda file: file.get(key, now_s), None)

    async def put(
        self, key: str, value: bytes, *, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Keep a value; what was put longest ago makes room."""
        await self._do(lambda file: file.put(key, value, topic, now_s, ttl_s, max_entries), None)

    async def clear(self, topic: str | None = None) -> int:
        """Drop a topic's entries, or all; return how many."""
        return await self._do(lambda file: file.clear(topic), 0)

    async def close(self) -> None:
        """Close the file and end the thread; what is under way is finished first."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        finally:
            self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[CacheFile], T], otherwise: T) -> T:
        if self._is_closed:
            return otherwise
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._attempt, work, otherwise
        )

    def _attempt(self, work: Callable[[CacheFile], T], otherwise: T) -> T:
        try:
            with contextlib.suppress(DamagedCacheError):
                return work(self._opened())
            self._let_go()
            try:  # another process may have begun the file anew meanwhile
                return work(self._opened())
            except DamagedCacheError as error:
                self._set_aside(error)
                return work(self._opened())
        except (DamagedCacheError, sqlite3.Error, OSError) as error:
            if not self._is_warned:
                self._is_warned = True
                _LOG.warning("the result cache %s can't be used: %s", self._path, error)
            return otherwise

    def _opened(self) -> CacheFile:
        if self._file is None:
            self._file = CacheFile(self._path, self._max_bytes)
        return self._file

    def _set_aside(self, error: DamagedCacheError) -> None:
        self._let_go()
        aside = self._path.with_name(f"{self._path.name}.damaged")
        _LOG.warning(
            "the result cache %s is damaged (%s); it is kept as %s, and begun anew",
            self._path,
            error,
            aside.name,
        )
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):  # they belong to the damaged file
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
