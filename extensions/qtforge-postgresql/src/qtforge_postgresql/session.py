"""Connections to the server, with limits of time, also through a pooler in transaction mode.

A pooler such as pgbouncer gives each transaction another session of the server. Nothing here
outlives a transaction then: no prepared statement, no advisory lock of a session, no setting.
Where settings can be given at the start of a session, they are; where the pooler refuses or
drops them, every transaction makes them for itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from qtforge_postgresql.address import Address
from qtforge_postgresql.errors import JournalNotReadyError

__all__ = ["Connector", "Session"]

_CONNECT_TIMEOUT_S: Final = 5
_LOCK_TIMEOUT_MS: Final = 5_000
_IDLE_TIMEOUT_MS: Final = 5_000  # a frozen process holds no lock for longer
_STATEMENT_TIMEOUT_MS: Final = 30_000
_SETTINGS: Final = {
    "lock_timeout": f"{_LOCK_TIMEOUT_MS}ms",
    "idle_in_transaction_session_timeout": f"{_IDLE_TIMEOUT_MS}ms",
    "statement_timeout": f"{_STATEMENT_TIMEOUT_MS}ms",
    "jit": "off",  # which takes a tenth of a second where the planner believes in many rows
}
_CONNECTION: Final = {
    "application_name": "qtforge-host",
    "client_encoding": "UTF8",
    "connect_timeout": str(_CONNECT_TIMEOUT_S),
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "target_session_attrs": "read-write",  # not a primary of yesterday
}
"""Unless the address says otherwise."""
_PREPARE_AFTER: Final = 2  # executions; saves a third of a small append's time on the server
_REFUSED: Final = "unsupported startup parameter"  # what pgbouncer says
_LOOK: Final = b"""SELECT current_setting('lock_timeout'), current_setting('synchronous_commit'),
    current_setting('default_transaction_isolation'), current_setting('server_encoding')"""
_SET_LOCAL: Final = ("SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
)).encode()  # fmt: skip

_LOST_STATEMENT: Final = (
    psycopg.errors.InvalidSqlStatementName,
    psycopg.errors.DuplicatePreparedStatement,
)


class Session:
    """A connection, and the statements of a journal in its schema.

    Attributes:
        connection: The connection, in autocommit mode.
        is_pooled: Whether each transaction may have another session of the server.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str, *, is_pooled: bool
    ) -> None:
        self.connection = connection
        self.is_pooled = is_pooled
        self._schema = sql.Identifier(schema)
        self._is_refused = False
        self._texts: dict[str, bytes] = {}

    @property
    def is_broken(self) -> bool:
        """Whether the connection is lost."""
        return self.connection.closed or self._is_refused

    def refuse(self) -> None:
        """Have another connection made, although this one is not lost."""
        self._is_refused = True

    def text(self, statement: str) -> bytes:
        """Return a statement with the schema's quoted name for ``{s}``."""
        found = self._texts.get(statement)
        if found is None:
            composed = sql.SQL(statement).format(s=self._schema)
            found = self._texts[statement] = composed.as_bytes(self.connection)
        return found

    def execute(self, statement: str, given: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        """Execute a statement; ``{s}`` in it stands for the schema."""
        return self.connection.execute(self.text(statement), given or None, binary=True)

    def rows(self, statement: str, given: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a query."""
        return self.execute(statement, given).fetchall()

    def row(self, statement: str, given: Sequence[Any] = ()) -> Any:
        """Return the first row of a query, or None."""
        return self.execute(statement, given).fetchone()

    def alone(self, statement: str, given: Sequence[Any] = ()) -> Any:
        """Return the first row of a statement that is a transaction, within the limits of time."""
        if not self.is_pooled:
            return self.row(statement, given)
        with self.connection.pipeline(), self.transaction():  # the server is waited for once
            cursor = self.execute(statement, given)
        return cursor.fetchone()

    def renew_plans(self) -> None:
        """Let the server plan the prepared statements anew, for tables as they are now."""
        if not self.is_pooled:
            self.connection.execute(b"DISCARD PLANS")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all statements of the block as one transaction, within the limits of time."""
        with self.connection.transaction():
            if self.is_pooled:
                self.connection.execute(_SET_LOCAL)
            yield

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the database in the block, however long that takes."""
        with self.connection.transaction():
            self.connection.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self.connection.execute(_SET_LOCAL)
            self.connection.execute(b"SET LOCAL idle_in_transaction_session_timeout = '60s'")
            yield

    def stream(self, statement: str, given: Sequence[Any] = ()) -> Iterator[Any]:
        """Give the rows of a query, a few at a time; within a transaction."""
        with self.connection.cursor(name="qtforge_stream", binary=True) as cursor:
            cursor.itersize = 500
            cursor.execute(self.text(statement), given or None)
            yield from cursor

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self.connection.close()


class Connector:
    """Makes connections to one address, and remembers what its pooler refuses.

    Args:
        address: Where to.

    Methods may be called from any thread.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._is_pooled = False

    def connect(self) -> Session:
        """Return a new connection.

        Raises:
            psycopg.Error: The server can't be reached, or refuses.
            JournalNotReadyError: The database's settings don't fit.
        """
        if not self._is_pooled:
            try:
                return self._checked(self._connect(with_settings=True))
            except psycopg.OperationalError as error:
                if _REFUSED not in str(error):
                    raise
            self._is_pooled = True
        return self._checked(self._connect(with_settings=False))

    def note(self, error: psycopg.Error, session: Session) -> None:
        """Learn from an error: one that a prepared statement met behind a pooler.

        Such a pooler passes settings on, so that it is only noticed now.
        """
        if isinstance(error, _LOST_STATEMENT):
            self._is_pooled = True
            session.refuse()
        elif isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            session.refuse()  # another server is the primary now

    def _connect(self, *, with_settings: bool) -> psycopg.Connection[Any]:
        parameters = {**_CONNECTION, **self._address.parameters}
        if with_settings:
            settings = {**_SETTINGS, "default_transaction_isolation": r"read\ committed"}
            ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
            parameters["options"] = f"{parameters.get('options', '')} {ours}".strip()
        prepare = _PREPARE_AFTER if with_settings else None
        return psycopg.connect("", autocommit=True, prepare_threshold=prepare, **parameters)  # type: ignore[arg-type]

    def _checked(self, connection: psycopg.Connection[Any]) -> Session:
        try:
            ((lock_timeout, durable, isolation, encoding),) = connection.execute(_LOOK).fetchall()
            if lock_timeout != "5s":  # a pooler that drops what it does not know
                self._is_pooled = True
                connection.prepare_threshold = None
            if durable == "off" and not self._is_pooled:
                connection.execute(b"SET synchronous_commit = on")
                durable = "on"
            for what, is_, wanted in (
                ("server_encoding", encoding, "UTF8"),
                ("default_transaction_isolation", isolation, "read committed"),
                ("synchronous_commit", "off" if durable == "off" else "on", "on"),
            ):
                if is_ != wanted:
                    raise JournalNotReadyError(
                        self._address.shown,
                        f"{what} is '{is_}', and must be '{wanted}'",
                        "CREATE DATABASE ... ENCODING 'UTF8'"
                        if what == "server_encoding"
                        else f"ALTER ROLE ... SET {what} = '{wanted}'",
                    )
        except BaseException:
            connection.close()
            raise
        return Session(connection, self._address.schema, is_pooled=self._is_pooled)
