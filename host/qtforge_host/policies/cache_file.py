"""The SQLite file of the result cache: its tables, bounds and soundness. Blocking."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["CacheFile", "DamagedCacheError"]

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
-- Kept by triggers, so that no put has to count.
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
