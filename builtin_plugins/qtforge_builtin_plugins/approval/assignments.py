"""The assignments in one SQLite file, which several host processes may use at once."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.approval.choosing import Choice, Past, identity
from qtforge_builtin_plugins.approval.messages import Person
from qtforge_sdk import OperationError
from qtforge_sdk.sqlite_store import Schema, SqliteStore, StoreError

__all__ = ["Assignments"]

_VERSION_1: Final = (
    "CREATE TABLE assignments ("
    " seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL,"
    " person TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL, reason TEXT NOT NULL,"
    " escalated INTEGER NOT NULL, assigned_at TEXT NOT NULL, released_at TEXT) STRICT",
    "CREATE INDEX assignments_by_request ON assignments (request_id)",
    "CREATE INDEX assignments_by_person ON assignments (person, seq)",
    "CREATE INDEX open_assignments ON assignments (person) WHERE released_at IS NULL",
)
_SCHEMA: Final = Schema(application_id=0x51467276, migrations=(_VERSION_1,))  # "QFrv"


class Assignments:
    """The reviewer of each review; the first assignment makes the file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._store = SqliteStore(path, _SCHEMA)

    def assign(self, key: str, request_id: str, choose: Callable[[Past], Choice]) -> Choice:
        """Choose a reviewer, once for each key, and release the review's earlier assignment.

        Args:
            key: The same key gives the same answer.
            request_id: The review.
            choose: Returns the choice; called while no other process chooses.

        Raises:
            OperationError: ``reviewer.store``: the file can't be used.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT name, email, reason, escalated FROM assignments WHERE key = ?", (key,)
            ).fetchone()
            if row is not None:
                person = Person(name=row[0], email=row[1]) if row[0] or row[1] else None
                return Choice(person, row[2], bool(row[3]))
            found = choose(_past(connection, request_id))
            now = _now()
            _release(connection, request_id, now)
            person = found.person or Person()
            connection.execute(
                "INSERT INTO assignments (key, request_id, person, name, email, reason,"
                " escalated, assigned_at, released_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (key, request_id, identity(person), person.name, person.email, found.reason,
                 found.escalated, now, None if found.person else now),
            )  # fmt: skip
            return found

    def release(self, request_id: str) -> int:
        """End a review's assignments, and return how many were open.

        Raises:
            OperationError: ``reviewer.store``: the file can't be used.
        """
        with self._transaction() as connection:
            return _release(connection, request_id, _now())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._store.transaction() as connection:
                yield connection
        except StoreError as error:
            raise OperationError(
                "reviewer.store", error.what, error.why, error.fix, retryable=error.retryable
            ) from error


def _past(connection: sqlite3.Connection, request_id: str) -> Past:
    last = connection.execute("SELECT person, max(seq) FROM assignments GROUP BY person")
    load = connection.execute(
        "SELECT person, count(*) FROM assignments WHERE released_at IS NULL AND request_id <> ?"
        " GROUP BY person",
        (request_id,),
    )
    asked = connection.execute(
        "SELECT DISTINCT person FROM assignments WHERE request_id = ?", (request_id,)
    )
    return Past(
        dict(last.fetchall()), dict(load.fetchall()), frozenset(row[0] for row in asked.fetchall())
    )


def _release(connection: sqlite3.Connection, request_id: str, now: str) -> int:
    done = connection.execute(
        "UPDATE assignments SET released_at = ? WHERE request_id = ? AND released_at IS NULL",
        (now, request_id),
    )
    return done.rowcount


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()
