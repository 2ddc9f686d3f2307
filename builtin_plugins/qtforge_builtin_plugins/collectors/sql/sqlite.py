"""SQLite: a file opened for reading alone, and statements that end in time."""

from __future__ import annotations

import sqlite3
import time
import urllib.parse
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.sql.query import (
    Query,
    read_only_error,
    several_statements_error,
)
from qtforge_sdk.errors import OperationError

__all__ = ["SQLite"]

_BUSY_TIMEOUT_S: Final = 5.0
_STEPS: Final = 10_000  # of SQLite's machine between two looks at the time: about 0.1 ms
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NOT_A_DATABASE: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class SQLite:
    """A SQLite file below the roots.

    Args:
        roots: Where it may be.
    """

    def __init__(self, roots: AllowedPaths) -> None:
        self._roots = roots

    def engine(self, url: URL, query: Query) -> Engine:
        """Return the engine; nothing is connected yet."""
        if not url.database or url.database == ":memory:" or url.query or url.host:
            raise OperationError(
                "database.invalid_endpoint",
                "the source's endpoint can't be used",
                "it is not the path of a SQLite file alone",
                "write it as sqlite:///path/to/file.sqlite, or as the path alone",
                retryable=False,
            )
        path = self._roots.file(self._roots.absolute(url.database))
        uri = f"file:{urllib.parse.quote(str(path))}?mode=ro"
        wait_s = _BUSY_TIMEOUT_S
        if query.deadline is not None:
            wait_s = max(0.0, min(wait_s, query.deadline - time.monotonic()))
        return create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=wait_s),
            poolclass=NullPool,
            hide_parameters=True,
        )

    def prepare(self, connection: Connection, query: Query, interrupt: Interrupt) -> None:
        """Let it only read, and only until the deadline.

        The file is opened for reading; a statement that writes, temporary tables included,
        fails. Only a statement of its own could attach another file.
        """
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA query_only = ON").close()
        deadline = query.deadline

        def is_over() -> bool:
            return interrupt.requested or (deadline is not None and time.monotonic() >= deadline)

        driver.set_progress_handler(is_over, _STEPS)

    def cancel(self, driver_connection: Any) -> None:
        """Do nothing: the progress handler looks by itself."""

    def failure(self, error: BaseException) -> OperationError | None:
        """Return what sqlite3's error means."""
        if not isinstance(error, sqlite3.Error | sqlite3.Warning):
            return None
        why = str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what extends it
        if "one statement at a time" in why:
            return several_statements_error()
        if code == sqlite3.SQLITE_READONLY:
            return read_only_error(why)
        if code == sqlite3.SQLITE_INTERRUPT:
            return OperationError("database.timeout", "the query took too long", why)
        if code in _LOCKED:
            return OperationError(
                "database.unavailable", "the file is locked", why,
                "wait until who writes to it is done", retryable=True,
            )  # fmt: skip
        return _final(code, why)


def _final(code: int, why: str) -> OperationError | None:
    if code in _NOT_A_DATABASE:
        name, what = "database.damaged", "the file is no sound SQLite database"
    elif code == sqlite3.SQLITE_CANTOPEN:
        name, what = "database.unreadable", "the file can't be opened as a SQLite database"
    elif why.startswith("no such table"):
        name, what = "database.no_such_table", "the query names a table that is not there"
    elif why.startswith("no such column"):
        name, what = "database.no_such_column", "the query names a column that is not there"
    elif code == sqlite3.SQLITE_ERROR:
        name, what = "database.invalid_query", "the database does not accept the query"
    else:
        return None
    return OperationError(name, what, why, retryable=False)
