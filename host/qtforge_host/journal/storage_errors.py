"""Turn errors of the disk and of SQLite into `StateDirectoryError`; the only place for it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal_kit.encoding import UnreadableError

__all__ = ["STORAGE_ERRORS", "damaged", "is_lasting", "is_unwritable", "storage_error"]

STORAGE_ERRORS: Final = (OSError, sqlite3.Error, UnicodeDecodeError)
"""What the disk and SQLite raise; the last where a damaged name is in the text of an error."""

_FULL: Final = ("the disk is full", "make room on it, then try again")
_READ_ONLY: Final = ("it can't be written", "make it writable, or give another --state-dir")
_DAMAGED: Final = (
    "the journal in it is damaged",
    "restore it from a backup, or give another --state-dir",
)
_GONE: Final = ("a file of it is missing", "put it back, or start again with a new one")
_BUSY: Final = (
    "another process has been writing to the journal for too long",
    "wait for it, or end it",
)
_DISK: Final = ("the disk failed", "check the disk and the limits of the process, then try again")
_FAILED: Final = ("it could not be read or written", "check the disk, then start again")

# By the start of the error's name; the first match.
_BY_NAME: Final = (
    ("SQLITE_FULL", _FULL),
    ("SQLITE_CORRUPT", _DAMAGED),
    ("SQLITE_NOTADB", _DAMAGED),
    ("SQLITE_READONLY", _READ_ONLY),
    ("SQLITE_CANTOPEN", _READ_ONLY),
    ("SQLITE_PERM", _READ_ONLY),
    ("SQLITE_BUSY", _BUSY),
    ("SQLITE_LOCKED", _BUSY),
    ("SQLITE_IOERR_SHMSIZE", _FULL),  # no room for the index of the write-ahead log
    ("SQLITE_IOERR", _DISK),
)
_FULL_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY_ERRNOS: Final = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST,
)  # fmt: skip
# After these the state of the file is unknown: a failed fsync may have lost data. Any other
# failure of the disk (a file that may not grow, a drive that is away) has changed nothing: the
# transaction is undone, and the next one is tried.
_LASTING: Final = (
    "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC",
    "SQLITE_IOERR_CORRUPTFS", "SQLITE_IOERR_DATA",
)  # fmt: skip

_UNWRITABLE: Final = (
    "SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_SHM", "SQLITE_IOERR_TRUNCATE",
)  # fmt: skip


def storage_error(directory: Path, error: Exception) -> StateDirectoryError:
    """Return the error of the state directory for an error of the disk or of SQLite.

    It is not ``retryable`` where the journal is not written any more (`is_lasting`).
    """
    why, fix = _meaning(error)
    lasts = is_lasting(error)
    if lasts and why == _DISK[0]:
        why, fix = _FAILED
    found = StateDirectoryError(str(directory), f"{why} ({error})", fix)
    found.retryable = False if lasts else None
    found.__cause__ = error
    return found


def damaged(directory: Path, error: UnreadableError) -> StateDirectoryError:
    """Return the error of the state directory whose journal holds what was not written."""
    why, fix = _DAMAGED
    found = StateDirectoryError(str(directory), f"{why}: {error}", fix)
    found.retryable = False
    return found


def is_lasting(error: Exception) -> bool:
    """Return whether the journal must not be written any more after this error."""
    if isinstance(error, sqlite3.Error):
        return str(getattr(error, "sqlite_errorname", "")).startswith(_LASTING)
    return not isinstance(error, OSError)


def is_unwritable(error: Exception) -> bool:
    """Return whether an error says that a file can't be written now, but perhaps read."""
    if isinstance(error, OSError):
        return error.errno in (*_FULL_ERRNOS, errno.EACCES, errno.EPERM, errno.EROFS)
    name = str(getattr(error, "sqlite_errorname", ""))
    return name.startswith(_UNWRITABLE)


def _meaning(error: Exception) -> tuple[str, str]:
    if isinstance(error, OSError):
        if error.errno in _FULL_ERRNOS:
            return _FULL
        if error.errno == errno.ENOENT:
            return _GONE
        return _READ_ONLY if error.errno in _READ_ONLY_ERRNOS else _DISK
    if isinstance(error, UnicodeDecodeError):
        return _DAMAGED
    name = getattr(error, "sqlite_errorname", "")
    for start, meaning in _BY_NAME:
        if name.startswith(start):
            return meaning
    if isinstance(error, sqlite3.DatabaseError) and not name:
        return _DAMAGED
    return _FAILED
