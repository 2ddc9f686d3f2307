"""Which failures of the disk and of SQLite last, and what they say."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from qtforge_host.journal.storage_errors import is_lasting, is_unwritable, storage_error


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "lasts"),
    [
        (sqlite_error("SQLITE_FULL"), False),
        (sqlite_error("SQLITE_BUSY"), False),
        (sqlite_error("SQLITE_READONLY"), False),
        (sqlite_error("SQLITE_CANTOPEN"), False),
        (sqlite_error("SQLITE_IOERR_WRITE"), False),
        (sqlite_error("SQLITE_IOERR_READ"), False),
        (sqlite_error("SQLITE_IOERR_SHMMAP"), False),
        (sqlite_error("SQLITE_IOERR"), False),
        (OSError(errno.EFBIG, "too large"), False),
        (OSError(errno.EIO, "pulled out"), False),
        (sqlite_error("SQLITE_IOERR_FSYNC"), True),
        (sqlite_error("SQLITE_IOERR_DIR_FSYNC"), True),
        (sqlite_error("SQLITE_IOERR_DATA"), True),
        (sqlite_error("SQLITE_CORRUPT"), True),
        (sqlite_error("SQLITE_NOTADB"), True),
        (ZeroDivisionError("a fault"), True),
    ],
)
def test_only_what_may_have_lost_data_ends_the_writing_and_is_not_tried_again(
    error: Exception, lasts: bool
) -> None:
    found = storage_error(Path("state"), error)
    assert is_lasting(error) is lasts
    assert found.retryable is (False if lasts else None)
    if isinstance(error, sqlite3.Error) and not lasts:
        assert "start again" not in found.fix


@pytest.mark.parametrize(
    ("error", "may_be_read"),
    [
        (sqlite_error("SQLITE_FULL"), True),
        (sqlite_error("SQLITE_READONLY_DBMOVED"), True),
        (sqlite_error("SQLITE_CANTOPEN_FULLPATH"), True),
        (sqlite_error("SQLITE_IOERR_SHMSIZE"), True),  # a full tmpfs
        (sqlite_error("SQLITE_IOERR_SHMOPEN"), True),
        (sqlite_error("SQLITE_IOERR_WRITE"), True),
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EROFS, "read-only"), True),
        (sqlite_error("SQLITE_IOERR_READ"), False),
        (sqlite_error("SQLITE_CORRUPT"), False),
        (sqlite_error("SQLITE_NOTADB"), False),
        (OSError(errno.EIO, "pulled out"), False),
    ],
)
def test_what_can_not_be_written_may_still_be_read(error: Exception, may_be_read: bool) -> None:
    assert is_unwritable(error) is may_be_read
