"""Open the journal's SQLite file, migrate it, and refuse one that this version can't use."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qtforge_host.journal.schema import APPLICATION_ID, FORMAT_VERSION, MIGRATIONS
from qtforge_host.journal.storage_errors import STORAGE_ERRORS, storage_error
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.files import private_file, private_folder, sync_folder
from qtforge_sdk.journal_kit.encoding import UnreadableError

__all__ = [
    "JOURNAL_FILE",
    "FileWatch",
    "connect",
    "connect_read_only",
    "is_readable_only",
    "prepare",
    "snapshot",
]

JOURNAL_FILE: Final = "journal.sqlite3"
_MAGIC: Final = b"SQLite format 3\x00"
_BUSY_TIMEOUT_MS: Final = 30_000
_WAL_PAGES: Final = 10_000  # 40 MB between checkpoints: a page that changes often is copied once
_WAL_BYTES: Final = 64 << 20
# One statement reads all three at one moment: another process may be making the tables.
_STATE: Final = (
    "SELECT application_id, user_version,"
    " (SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table')"
    " FROM pragma_application_id, pragma_user_version"
)
_RESTORE: Final = "restore it from a backup, or give another --state-dir"


def is_readable_only(path: Path) -> bool:
    """Return whether a journal is there and can be read, but not written."""
    try:
        is_file = path.is_file() and path.stat().st_size > 0
        return is_file and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    except OSError:
        return False


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that never writes to the folder, for one thread at a time.

    Where nothing is beside the file, no process has it open, and it is read as it is: SQLite
    could not make its lock files there.

    Raises:
        StateDirectoryError: It is damaged, another program's, or not of the newest format.
    """
    wal = path.with_name(f"{path.name}-wal")
    is_at_rest = not wal.exists() or wal.stat().st_size == 0
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_at_rest else ''}"
    try:
        _check_header(path)
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _check_origin(connection, path)
            version = _pragma(connection, "PRAGMA user_version")
            if version < FORMAT_VERSION:
                why = f"the journal in it has format {version}, and can't be brought up to date"
                raise StateDirectoryError(str(path.parent), why, "make it writable, or copy it")
        except BaseException:
            connection.close()
            raise
    except STORAGE_ERRORS as error:
        raise storage_error(path.parent, error) from error
    except UnreadableError as error:
        raise StateDirectoryError(
            str(path.parent), f"the journal in it is damaged: {error}", _RESTORE
        ) from error
    return connection


def prepare(path: Path) -> None:
    """Create the file, or migrate it to the newest format.

    Raises:
        StateDirectoryError: It is damaged, another program's, of a newer format, or not
            writable; nothing was changed.
    """
    try:
        private_folder(path.parent)
        is_new = not path.exists()
        if is_new:
            private_file(path)  # SQLite gives its other files the same permissions
        _check_header(path)
        connection = connect(path)
        try:
            _check_origin(connection, path)
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                from qtforge_sdk.sqlite_store import set_wal  # most commands find it set

                set_wal(connection, _BUSY_TIMEOUT_MS / 1000)
            _migrate(connection)
        finally:
            connection.close()
        if is_new:
            sync_folder(path.parent)
            sync_folder(path.parent.parent)
    except STORAGE_ERRORS as error:
        raise storage_error(path.parent, error) from error
    except UnreadableError as error:
        raise StateDirectoryError(
            str(path.parent), f"the journal in it is damaged: {error}", _RESTORE
        ) from error


class FileWatch:
    """Notices that a database file was removed or replaced while it is open.

    SQLite would write to the removed file without an error, and everything would be lost.

    Args:
        path: The file, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._status: Final = path.stat()

    def check(self) -> None:
        """Check that the file is still there; costs microseconds.

        Raises:
            FileNotFoundError: It was removed or replaced.
        """
        try:
            is_same = os.path.samestat(os.stat(self._path), self._status)
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise FileNotFoundError(
                errno.ENOENT, "it was removed while it was in use", str(self._path)
            )


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection for one thread at a time.

    Raises:
        sqlite3.Error: The file can't be opened.
    """
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for setting in (
            "PRAGMA synchronous = FULL",
            "PRAGMA fullfsync = ON",  # macOS: fsync alone leaves data in the drive's cache
            "PRAGMA foreign_keys = OFF",
            f"PRAGMA wal_autocheckpoint = {_WAL_PAGES:d}",
            f"PRAGMA journal_size_limit = {_WAL_BYTES:d}",
            "PRAGMA cache_size = -16384",
        ):
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_header(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        header = file.read(100)
    size_bytes = path.stat().st_size
    if not header:
        if path.with_name("owners").exists():  # it is made after the tables
            raise UnreadableError("it is empty, and was used before")
        return
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise UnreadableError("it is not an SQLite file")
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        return  # it may hold pages that SQLite will restore
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    count_is_valid = header[24:28] == header[92:96]
    pages = int.from_bytes(header[28:32], "big")
    if count_is_valid and size_bytes < pages * page_bytes:
        raise UnreadableError(f"it has {size_bytes} bytes, and should have {pages * page_bytes}")


def _check_origin(connection: sqlite3.Connection, path: Path) -> None:
    application_id, version, names = connection.execute(_STATE).fetchone()
    if version > FORMAT_VERSION:
        raise StateDirectoryError(
            str(path.parent),
            f"the journal in it has format {version}, and this version knows up to"
            f" {FORMAT_VERSION}",
            "upgrade qtforge-host, or give another --state-dir",
        )
    is_ours = application_id == APPLICATION_ID if version else names in (None, "history")
    if not is_ours:
        raise StateDirectoryError(
            str(path.parent), f"{path.name} is another program's", "give another --state-dir"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # also checks that it can be written
    try:
        version = _pragma(connection, "PRAGMA user_version")
        for migration in MIGRATIONS[version:]:
            migration(connection)
        if version < FORMAT_VERSION:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all statements within this read one state of the file."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
