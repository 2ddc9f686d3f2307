"""Where the runs of a cluster are: a schema of a PostgreSQL server, or a state directory."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg
from tests.servers.postgresql import PostgreSQL

from qtforge_host.journal.database import JOURNAL_FILE
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_postgresql import PostgresqlJournal, initialize
from qtforge_sdk.journal import Journal, JournalSettings

__all__ = ["PostgresqlStore", "SqliteStore", "Store"]


class Store(Protocol):
    """A journal, which workers and questions about it reach.

    Attributes:
        url: The journal's name or address.
    """

    url: str

    def state_dir(self, name: str) -> Path:
        """Return the state directory of a machine."""

    def journal(self) -> Journal:
        """Return the journal for this process; not open yet."""

    def query(self, statement: str, given: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query.

        Args:
            statement: ``{s}`` in it stands for the schema and a dot, ``%s`` for a value.
            given: The values.

        Raises:
            psycopg.Error: The server does not answer.
        """

    def owner_of(self, pid: int) -> str:
        """Return the name of a process in the journal; "" while it has none."""

    def close(self) -> None:
        """End the connection."""


class PostgresqlStore:
    """A schema of its own on a server.

    Args:
        server: The server.
        folder: Of the cluster; its name is that of the schema.
        lease_s: The length of a lease, in seconds.
    """

    def __init__(self, server: PostgreSQL, folder: Path, lease_s: float) -> None:
        self.server = server
        self.schema = f"chaos_{folder.name.replace('-', '_')}"
        self.url = f"{server.url()}?schema={self.schema}"
        self.settings = JournalSettings(directory=folder, url=self.url, lease_s=lease_s)
        self._folder = folder
        self._connection: psycopg.Connection[Any] | None = None
        asyncio.run(initialize(self.settings))

    def state_dir(self, name: str) -> Path:
        """Return the state directory of a machine: one each."""
        return self._folder / name

    def journal(self) -> Journal:
        """Return the journal for this process; not open yet."""
        return PostgresqlJournal(self.settings)

    def query(self, statement: str, given: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query; see `Store`."""
        text = statement.format(s=f"{self.schema}.").encode()
        if self._connection is not None:
            # It is lost with each crash of the server: then a new one is tried.
            with contextlib.suppress(psycopg.OperationalError):
                return self._connection.execute(text, given or None).fetchall()
            self.close()
        self._connection = psycopg.connect(self.server.url(), autocommit=True, connect_timeout=5)
        return self._connection.execute(text, given or None).fetchall()

    def owner_of(self, pid: int) -> str:
        """Return the name of a process in the journal; "" while it has none."""
        with contextlib.suppress(psycopg.Error):
            statement = "SELECT owner FROM {s}owners WHERE pid = %s ORDER BY started DESC"
            rows = self.query(statement, (pid,))
            return str(rows[0][0]) if rows else ""
        return ""

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SqliteStore:
    """A state directory that all workers share.

    Args:
        folder: Of the cluster.
    """

    url = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self._connection: sqlite3.Connection | None = None

    def state_dir(self, name: str) -> Path:
        """Return the state directory of a machine: the same for all."""
        return self._state

    def journal(self) -> Journal:
        """Return the journal for this process; not open yet."""
        return SqliteJournal(self._state / "runs")

    def query(self, statement: str, given: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query; see `Store`."""
        if self._connection is None:
            file = self._state / "runs" / JOURNAL_FILE
            self._connection = sqlite3.connect(file, timeout=60, isolation_level=None)
        text = statement.format(s="").replace("%s", "?")
        return self._connection.execute(text, tuple(given)).fetchall()

    def owner_of(self, pid: int) -> str:
        """Return the name of a process in the journal; "" while it has none."""
        for file in (self._state / "runs" / "owners").glob("*.lock"):
            with contextlib.suppress(OSError, msgspec.MsgspecError, AttributeError):
                if msgspec.json.decode(file.read_bytes()).get("pid") == pid:
                    return file.stem
        return ""

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
