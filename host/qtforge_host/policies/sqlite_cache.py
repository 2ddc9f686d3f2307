"""A cache store in a SQLite file of the state directory; it outlives the process."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from qtforge_sdk.sqlite_store import Reason, Schema, SqliteStore, StoreError

__all__ = ["CacheFile", "SqliteCache"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.policies")
_MAX_BYTES: Final = 256 * 2**20
_BUSY_TIMEOUT_S: Final = 2.0
_SCHEMA: Final = Schema(
    application_id=0x51544643,  # "QTFC"
    migrations=(
        (
            "CREATE TABLE entries ("
            " id INTEGER PRIMARY KEY AUTOINCREMENT,"  # the order in which they were put
            " key TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, put_at REAL NOT NULL,"
            " expires_at REAL NOT NULL, size INTEGER NOT NULL, sum BLOB NOT NULL,"
            " value BLOB NOT NULL) STRICT",
            "CREATE INDEX entries_by_topic ON entries (topic, id)",
            "CREATE INDEX entries_by_end ON entries (expires_at)",
            # Triggers keep the totals, so that no put has to count.
            "CREATE TABLE totals ("
            " topic TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL"
            ") STRICT, WITHOUT ROWID",
            "CREATE TRIGGER entry_put AFTER INSERT ON entries BEGIN"
            " INSERT INTO totals VALUES (new.topic, 1, new.size) ON CONFLICT (topic)"
            " DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;"
            " END",
            "CREATE TRIGGER entry_dropped AFTER DELETE ON entries BEGIN"
            " UPDATE totals SET count = count - 1, bytes = bytes - old.size"
            " WHERE topic = old.topic;"
            " DELETE FROM totals WHERE topic = old.topic AND count = 0;"
            " END",
        ),
    ),
)
# The file is set aside for these reasons; the others may pass.
_USELESS: Final[frozenset[Reason]] = frozenset({"damaged", "newer", "foreign"})


class CacheFile:
    """One connection to the file; use it in one thread at a time.

    Several processes may use one file. Entries are dropped in the order in which they were
    put when there is no room.

    Args:
        path: The file; it is made where it is missing, its folder too.
        max_bytes: The most bytes of all values together.

    Raises:
        StoreError: It can't be used.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        # A lost answer is computed again, so no put waits for the disk.
        self._store: Final = SqliteStore(
            path, _SCHEMA, busy_timeout_s=_BUSY_TIMEOUT_S, synchronous="NORMAL"
        )
        self._connection: Final = self._store.open()

    def get(self, key: str, now_s: float) -> bytes | None:
        """Return a value that is sound and neither expired nor of the future."""
        with self._store.errors():
            row = self._connection.execute(
                "SELECT put_at, expires_at, sum, value FROM entries WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            put_at_s, expires_at_s, digest, value = row
            # SQLite has no checksums of its own, so it would not notice a flipped bit.
            if _digest(value) != digest:
                self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))
                return None
            # One from the future was put before the machine's clock was set back.
            return bytes(value) if put_at_s <= now_s < expires_at_s else None

    def put(
        self, key: str, value: bytes, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Put a value and make room, in one transaction."""
        with self._store.transaction(self._connection) as connection:
            execute = connection.execute
            execute("DELETE FROM entries WHERE expires_at <= ? OR key = ?", (now_s, key))
            if len(value) > self._max_bytes:
                return
            digest = _digest(value)
            execute(
                "INSERT INTO entries (key, topic, put_at, expires_at, size, sum, value)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, topic, now_s, now_s + ttl_s, len(value), digest, value),
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
        """Drop the entries of a topic, or all; return how many."""
        with self._store.errors():
            done = self._connection.execute(
                "DELETE FROM entries WHERE :topic IS NULL OR topic = :topic", {"topic": topic}
            )
            return done.rowcount

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

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


class SqliteCache:
    """Cache entries in a file, in a thread of its own; the first use opens the file.

    A damaged file is renamed to ``<name>.damaged``, which replaces an earlier one, and a new
    file is made, with a warning. While the file can't be used (the disk is full or not
    writable) nothing is found in it, with one warning. No caller ever sees an error.

    Args:
        path: The file.
        max_bytes: The most bytes of all values together; default 256 MiB.
    """

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path: Final = path
        self._max_bytes: Final = max_bytes
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="qtforge-cache")
        self._file: CacheFile | None = None  # touched by that thread only
        self._is_warned = False
        self._is_used = False
        self._is_closed = False

    async def get(self, key: str, now_s: float) -> bytes | None:
        """Return a value that was put, unless it is expired or no longer sound."""
        return await self._do(lambda file: file.get(key, now_s), None)

    async def put(
        self, key: str, value: bytes, *, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Put a value; the oldest entries are dropped where there is no room."""
        await self._do(lambda file: file.put(key, value, topic, now_s, ttl_s, max_entries), None)

    async def clear(self, topic: str | None = None) -> int:
        """Drop the entries of a topic, or all; return how many."""
        return await self._do(lambda file: file.clear(topic), 0)

    async def close(self) -> None:
        """Finish the calls in progress, close the file and end the thread."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_used:
            return  # no thread is started to close what was never opened
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close_file)
        finally:
            self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[CacheFile], T], otherwise: T) -> T:
        if self._is_closed:
            return otherwise
        self._is_used = True
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._attempt, work, otherwise
        )

    def _attempt(self, work: Callable[[CacheFile], T], otherwise: T) -> T:
        try:
            try:
                return work(self._opened())
            except StoreError as error:
                if error.reason not in _USELESS:
                    raise
            self._close_file()
            try:  # another process may have made a new file meanwhile
                return work(self._opened())
            except StoreError as error:
                if error.reason not in _USELESS:
                    raise
                self._set_aside(error)
                return work(self._opened())
        except (StoreError, OSError) as error:
            if not self._is_warned:
                self._is_warned = True
                _LOG.warning("the result cache %s can't be used: %s", self._path, _why(error))
            return otherwise

    def _opened(self) -> CacheFile:
        if self._file is None:
            self._file = CacheFile(self._path, self._max_bytes)
        return self._file

    def _set_aside(self, error: StoreError) -> None:
        self._close_file()
        aside = self._path.with_name(f"{self._path.name}.damaged")
        _LOG.warning(
            "the result cache %s is damaged (%s); it is kept as %s, and a new one is made",
            self._path,
            error.why,
            aside.name,
        )
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):  # they belong to the damaged file
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _why(error: StoreError | OSError) -> str:
    return error.why if isinstance(error, StoreError) else str(error)


def _digest(value: bytes) -> bytes:
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    return hashlib.sha256(value).digest()
