"""PostgreSQL through psycopg: read-only transactions, server-side cursors, real cancelling."""

from __future__ import annotations

import re
import time
from typing import Any, Final

import psycopg
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.sql.postgresql_types import register_loaders
from qtforge_builtin_plugins.collectors.sql.query import (
    Query,
    read_only_error,
    several_statements_error,
)
from qtforge_sdk.errors import OperationError

__all__ = ["PostgreSQL"]

_CONNECT_TIMEOUT_S: Final = 10
_CANCEL_TIMEOUT_S: Final = 5
_MOST_MS: Final = 2**31 - 1
# The options of libpq that only say where and how to connect.
_OPTIONS: Final = frozenset(
    {"application_name", "channel_binding", "connect_timeout", "gssencmode", "host", "port",
     "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs"}
)  # fmt: skip
# Names of the server's functions that raise the error: unlike its texts, not translated.
_SEVERAL: Final = "exec_parse_message"
_WRITING: Final = frozenset({"transformDeclareCursorStmt", "transformSelectStmt"})
# Temporary failures, by SQLSTATE or its class: connections, resources, operators.
_PASSING: Final = ("08", "40", "53", "55", "57P")
_BUSY: Final = re.compile("too many|starting up|shutting down|recovery|remaining connection slots")


class PostgreSQL:
    """PostgreSQL, through psycopg 3."""

    def engine(self, url: URL, query: Query) -> Engine:
        """Return the engine; nothing is connected yet."""
        unknown = sorted(set(url.query) - _OPTIONS)
        if unknown:
            raise OperationError(
                "database.invalid_endpoint",
                "the source's endpoint can't be used",
                f"it has the option '{unknown[0]}'",
                f"the options are {', '.join(sorted(_OPTIONS))}",
                retryable=False,
            )
        left_s = _CONNECT_TIMEOUT_S
        if query.deadline is not None:
            left_s = min(left_s, int(query.deadline - time.monotonic()) + 1)
        given: dict[str, Any] = {
            "connect_timeout": max(2, left_s),
            "application_name": "qtforge-host",
            # Detect a lost server: 10 s of silence, then three probes without an answer.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            hide_parameters=True,  # values may be secrets, and its errors are logged
            native_inet_types=False,
            use_native_hstore=False,
            connect_args={key: given[key] for key in given if key not in url.query},
        )

    def prepare(self, connection: Connection, query: Query, interrupt: Interrupt) -> None:
        """Begin a read-only transaction with a statement timeout.

        After its first statement a transaction can't be switched to writing.
        """
        driver: Any = connection.connection.driver_connection
        register_loaders(driver)
        connection.execution_options(postgresql_readonly=True)
        timeout_ms = 0
        if query.deadline is not None:
            left_s = query.deadline - time.monotonic()
            timeout_ms = max(1, min(_MOST_MS, int(left_s * 1000)))
        statement = text("SELECT set_config('statement_timeout', :timeout, true)")
        connection.execute(statement, {"timeout": str(timeout_ms)})

    def cancel(self, driver_connection: Any) -> None:
        """Cancel the statement on the server."""
        driver_connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)

    def failure(self, error: BaseException) -> OperationError | None:
        """Return the meaning of psycopg's error."""
        if not isinstance(error, psycopg.Error):
            return None
        state = error.sqlstate or ""
        why = error.diag.message_primary or str(error).strip()
        if error.diag.message_hint:
            why += f" ({error.diag.message_hint})"
        if state in ("0A000", "42601") and error.diag.source_function in _WRITING:
            return read_only_error(why)
        if state == "42601" and error.diag.source_function == _SEVERAL:
            return several_statements_error()
        match state:
            case "":
                return _not_connected(why) if isinstance(error, psycopg.OperationalError) else None
            case "25006":
                return read_only_error(why)
            case "42P01" | "3F000":
                return _final(
                    "database.no_such_table", "the query names a table that does not exist", why
                )
            case "42703":
                return _final(
                    "database.no_such_column", "the query names a column that does not exist", why
                )
            case "42501":
                return _final("database.access_denied", "the database refuses the query", why,
                              "grant the user SELECT on it")  # fmt: skip
            case "57014":
                return OperationError("database.timeout", "the query took too long", why)
            case _ if state.startswith("42"):
                return _final(
                    "database.invalid_query", "the database does not accept the query", why
                )
            case _ if state.startswith("22"):
                return _final("database.invalid_value", "the query fails on a value", why)
            case _ if state.startswith(_PASSING):
                return _passing(why)
        return None


def _not_connected(why: str) -> OperationError:
    """Return the error of a failed connection; libpq gives the reason as text only."""
    why = " ".join(why.split())
    if "FATAL" not in why or _BUSY.search(why):
        return _passing(why)
    if re.search(r'database ".*" does not exist', why):
        return _final("database.not_found", "the database does not exist", why, "check its name")
    return _final(
        "database.access_denied", "the database rejects this user and password", why,
        "check the user and the secret of its password",
    )  # fmt: skip


def _passing(why: str) -> OperationError:
    return OperationError(
        "database.unavailable", "the database can't be reached at the moment", why,
        "check host and port, and that the server runs", retryable=True,
    )  # fmt: skip


def _final(code: str, what: str, why: str, fix: str = "") -> OperationError:
    return OperationError(code, what, why, fix, retryable=False)
