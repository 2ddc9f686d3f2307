"""SQLite: a file opened read-only, and statements that end in time."""

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
from qtforge_builtin_plugins.collectors.row_sink import OddValue
from qtforge_builtin_plugins.collectors.sql.query import (
    Query,
    read_only_error,
    several_statements_error,
)
from qtforge_sdk.errors import OperationError

__all__ = ["SQLite"]

_BUSY_TIMEOUT_S: Final = 5.0
_STEPS: Final = 10_000  # of SQLite's machine between two checks of the time: about 0.1 ms
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_READS: Final = frozenset(
    (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    )
)
# An R-tree prepares these when it is opened; in a file that is opened read-only they fail.
_PREPARED_BY_INDEXES: Final = frozenset(
    (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
)
_PRAGMAS: Final = frozenset(  # which only describe the database
    (
        "collation_list", "compile_options", "data_version", "database_list", "encoding",
        "foreign_key_list", "function_list", "index_info", "index_list", "index_xinfo",
        "module_list", "page_size", "pragma_list", "table_info", "table_list", "table_xinfo",
        "user_version",
    )
)  # fmt: skip
# They reach outside of the database: a library, a file, or an address in memory.
_FUNCTIONS_REFUSED: Final = frozenset(
    ("edit", "fts3_tokenizer", "load_extension", "readfile", "writefile")
)
_NOT_A_DATABASE: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class SQLite:
    """A SQLite file below the roots.

    Args:
        roots: The paths that it may have.
        value_bytes: The longest text or blob, also of what a query computes.
    """

    def __init__(self, roots: AllowedPaths, value_bytes: int) -> None:
        self._roots = roots
        self._value_bytes = value_bytes

    def engine(self, url: URL, query: Query) -> Engine:
        """Return the engine; nothing is connected yet."""
        if not url.database or url.database == ":memory:" or url.query or url.host:
            raise OperationError(
                "database.invalid_endpoint",
                "the source's endpoint can't be used",
                "it has more than the path of a SQLite file",
                "write it as sqlite:///path/to/file.sqlite, or as the path",
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
        """Make the connection read-only, and limit its statements to the deadline.

        The file is opened read-only; a statement that writes fails, also for temporary
        tables. Only what reading needs is authorized, so that neither the query nor a view or
        a trigger in the file attaches a file, loads a library or calls a function that reaches
        outside of the database.
        """
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA query_only = ON").close()
        driver.execute("PRAGMA trusted_schema = OFF").close()
        driver.set_authorizer(_authorize)
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._value_bytes)
        driver.text_factory = _text
        deadline = query.deadline

        def is_over() -> bool:
            return interrupt.requested or (deadline is not None and time.monotonic() >= deadline)

        driver.set_progress_handler(is_over, _STEPS)

    def cancel(self, driver_connection: Any) -> None:
        """Do nothing: the progress handler checks the interrupt."""

    def failure(self, error: BaseException) -> OperationError | None:
        """Return the meaning of sqlite3's error."""
        if not isinstance(error, sqlite3.Error | sqlite3.Warning):
            return None
        why = str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended code
        if "one statement at a time" in why:
            return several_statements_error()
        if code == sqlite3.SQLITE_READONLY:
            return read_only_error(why)
        if "not authorized" in why or "unsafe use of" in why:  # they have no code of their own
            return _not_authorized(why)
        if code == sqlite3.SQLITE_TOOBIG:
            what = f"the query gives a value of more than {self._value_bytes:,} bytes"
            fix = "select a part of it, or raise value_bytes of database-collector"
            return OperationError("database.value_too_large", what, why, fix, retryable=False)
        if code == sqlite3.SQLITE_INTERRUPT:
            return OperationError("database.timeout", "the query took too long", why)
        if code in _LOCKED:
            return OperationError(
                "database.unavailable", "the file is locked", why,
                "wait until the other process has finished writing", retryable=True,
            )  # fmt: skip
        return _final(code, why)


def _authorize(
    action: int, name: str | None, detail: str | None, database: str | None, source: str | None
) -> int:
    """Decide whether SQLite may prepare an action; see sqlite3_set_authorizer."""
    if action in _READS or action in _PREPARED_BY_INDEXES:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:  # its name is in `detail`
        allowed = (detail or "").lower() not in _FUNCTIONS_REFUSED
    else:
        allowed = action == sqlite3.SQLITE_PRAGMA and (name or "").lower() in _PRAGMAS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _text(data: bytes) -> str | OddValue:
    """Return a text, which SQLite stores without a check of its encoding."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return OddValue(
            plain=data.decode("utf-8", "replace"),
            code="database.odd_value",
            reason="bytes that are not UTF-8 are replaced",
        )


def _not_authorized(why: str) -> OperationError:
    if why == "not authorized":
        return read_only_error(why)
    return OperationError(
        "database.not_allowed",
        "the query uses what reaches outside of the database",
        why,
        "leave it out, or query the tables instead of the view",
        retryable=False,
    )


def _final(code: int, why: str) -> OperationError | None:
    if code in _NOT_A_DATABASE:
        name, what = "database.damaged", "the file is not a valid SQLite database"
    elif code == sqlite3.SQLITE_CANTOPEN:
        name, what = "database.unreadable", "the file can't be opened as a SQLite database"
    elif why.startswith("no such table"):
        name, what = "database.no_such_table", "the query names a table that does not exist"
    elif why.startswith("no such column"):
        name, what = "database.no_such_column", "the query names a column that does not exist"
    elif code == sqlite3.SQLITE_ERROR:
        name, what = "database.invalid_query", "the database does not accept the query"
    else:
        return None
    return OperationError(name, what, why, retryable=False)
