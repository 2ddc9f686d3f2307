"""SQLite files of a plugin or the host: opening, schema, transactions and errors, once.

A store's owner makes one `SqliteStore` and uses its `transaction` and `reading`. Each call
opens a connection of its own and closes it, which costs less than a millisecond and needs no
lock: calls may come from several threads and processes, and SQLite orders them. A store
that is used very often keeps one connection from `open` instead, in one thread at a time,
and closes it at its end.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.files import private_file, private_folder

__all__ = ["Reason", "Schema", "SqliteStore", "StoreError", "reason_of", "set_wal"]

Reason = Literal["busy", "full", "unwritable", "damaged", "newer", "foreign", "failed"]
"""Why a store can't be used.

``busy``: another connection holds the lock. ``full``: the disk is full. ``unwritable``: the
file or its folder can't be read or written. ``damaged``: it is no sound SQLite file of this
schema. ``newer``: a newer version of its owner made it. ``foreign``: it is another
application's. ``failed``: anything else, such as a statement that is wrong.
"""

_RETRY_S: Final = 0.01
_STATE: Final = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
    " FROM pragma_application_id, pragma_user_version"
)
_BY_CODE: Final[tuple[tuple[Reason, frozenset[int]], ...]] = (
    ("busy", frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})),
    ("full", frozenset({sqlite3.SQLITE_FULL})),
    ("damaged", frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})),
    (
        "unwritable",
        frozenset(
            {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
             sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
        ),
    ),
)  # fmt: skip
_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FIXES: Final[dict[Reason, str]] = {
    "busy": "try again when the other process is done",
    "full": "free space on the disk",
    "unwritable": "check the file and the permissions of its folder",
    "damaged": "restore it from a backup, or move it away to start with a new one",
    "newer": "update the software, or move the file away",
    "foreign": "choose another file",
}
_RETRYABLE: Final[dict[Reason, bool]] = {
    "busy": True,
    "damaged": False,
    "newer": False,
    "foreign": False,
}


class StoreError(QtForgeError):
    """A store can't be used.

    Args:
        path: The file.
        reason: Why, as a word.
        why: Why, as a sentence.

    Attributes:
        code: ``store.<reason>``.
    """

    def __init__(self, path: Path, reason: Reason, why: str, /) -> None:
        super().__init__(f"{path} can't be used", why, _FIXES.get(reason, ""))
        self.path = path
        self.reason = reason
        self.code = f"store.{reason}"
        self.retryable = _RETRYABLE.get(reason)


def reason_of(error: sqlite3.Error | OSError) -> Reason:
    """Return what an error of SQLite or of the operating system means for a store."""
    if isinstance(error, OSError):
        return "full" if error.errno in _FULL_ERRNOS else "unwritable"
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the module itself: text that is not UTF-8, or wrong use
        is_content = isinstance(error, sqlite3.OperationalError)
        return "damaged" if is_content else "failed"
    primary = code & 0xFF  # the higher bits hold the extended code
    for reason, codes in _BY_CODE:
        if primary in codes:
            return reason
    # A file that lost its end may still be sound, without some of its tables.
    is_missing = primary == sqlite3.SQLITE_ERROR and str(error).startswith("no such")
    return "damaged" if is_missing else "failed"


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """A store's tables, and how an older file becomes one of this version.

    Attributes:
        application_id: A number of the store's own, which SQLite keeps in the file.
        migrations: The statements that lead from version 0, the empty file, to version 1,
            then those to version 2, and so on. A released one is never changed.
    """

    application_id: int
    migrations: Sequence[Sequence[str]]

    @property
    def version(self) -> int:
        """The version of a file after all migrations."""
        return len(self.migrations)


class SqliteStore:
    """One SQLite file with a schema; may be shared by threads and processes.

    Args:
        path: The file. It is made, with its folder, when it is first opened.
        schema: Its tables.
        busy_timeout_s: How long to wait for another connection's lock, in seconds.
        synchronous: ``FULL`` where a commit must survive a power failure, ``NORMAL`` where
            the last ones may be lost, ``OFF`` where the whole file may be.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        busy_timeout_s: float = 10.0,
        synchronous: Literal["FULL", "NORMAL", "OFF"] = "FULL",
    ) -> None:
        self.path: Final = path
        self._schema: Final = schema
        self._busy_timeout_s: Final = busy_timeout_s
        self._synchronous: Final = synchronous

    def open(self) -> sqlite3.Connection:
        """Return a connection to the file, with the schema up to date.

        The caller closes it, and uses it in one thread at a time. It is in autocommit mode.

        Raises:
            StoreError: For every `Reason`.
        """
        with self.errors():
            private_folder(self.path.parent)
            if not self.path.exists():
                private_file(self.path)  # SQLite gives its other files the same permissions
            connection = sqlite3.connect(
                self.path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.execute(f"PRAGMA synchronous = {self._synchronous}")
                connection.execute("PRAGMA foreign_keys = ON")
                if self._version(connection) < self._schema.version:
                    self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for some queries, and close it.

        Raises:
            StoreError: As for `open`, also from what the block does.
        """
        with closing(self.open()) as connection, self.errors():
            yield connection

    @contextmanager
    def transaction(
        self, connection: sqlite3.Connection | None = None
    ) -> Iterator[sqlite3.Connection]:
        """Make the block one transaction that no other writer interleaves.

        It is committed at the block's end, and rolled back when the block raises.

        Args:
            connection: One from `open`; without it a new one is opened and closed.

        Raises:
            StoreError: As for `open`, also from what the block does.
        """
        if connection is None:
            with closing(self.open()) as opened, self.errors(), _transaction(opened):
                yield opened
        else:
            with self.errors(), _transaction(connection):
                yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise the errors of SQLite and of the operating system in the block as `StoreError`."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = reason_of(error)
            why = str(error)
            if reason == "busy":
                why = f"another process held its lock for {self._busy_timeout_s:g} s"
            raise StoreError(self.path, reason, why) from error

    def _version(self, connection: sqlite3.Connection) -> int:
        # One statement reads all three at one moment: another process may be making the
        # schema right now.
        application, version, tables = connection.execute(_STATE).fetchone()
        if application != self._schema.application_id and (application or tables):
            raise StoreError(self.path, "foreign", "it is another application's database")
        if version > self._schema.version:
            why = f"its schema is {version}, and this version knows {self._schema.version}"
            raise StoreError(self.path, "newer", why)
        return int(version)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        set_wal(connection, self._busy_timeout_s)
        with _transaction(connection):
            # Another process may have been first while this one waited for the lock.
            for statements in self._schema.migrations[self._version(connection) :]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self._schema.application_id:d}")
            connection.execute(f"PRAGMA user_version = {self._schema.version:d}")


def set_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Set the write-ahead log, with which readers do not wait for a writer.

    SQLite does not apply the busy timeout to this change, so that of several processes that
    open a new file together all but one would fail.

    Args:
        connection: To the file, without a transaction.
        timeout_s: How long to wait for other connections to let the file go, in seconds.

    Raises:
        sqlite3.Error: The file can't be changed, or stayed locked for so long.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if reason_of(error) != "busy" or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE takes the writer's lock now: SQLite can't wait for a lock that is wanted only
    # after reading.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
