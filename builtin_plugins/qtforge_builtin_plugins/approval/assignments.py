"""The assignments in one SQLite file, which several host processes may use at once."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.approval.choosing import Choice, Past, identity
from qtforge_sdk import OperationError
from qtforge_sdk.messages import Person

__all__ = ["Assignments"]

_APPLICATION_ID: Final = 0x51467276  # "QFrv"
_VERSION: Final = 1
_BUSY_S: Final = 10.0
_SCHEMA: Final = (
    "CREATE TABLE assignments ("
    " seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL,"
    " person TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL, reason TEXT NOT NULL,"
    " escalated INTEGER NOT NULL, assigned_at TEXT NOT NULL, released_at TEXT) STRICT",
    "CREATE INDEX assignments_by_request ON assignments (request_id)",
    "CREATE INDEX assignments_by_person ON assignments (person, seq)",
    "CREATE INDEX open_assignments ON assignments (person) WHERE released_at IS NULL",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)


class Assignments:
    """Who was given what; the file is made when somebody is assigned first.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def assign(self, key: str, request_id: str, choose: Callable[[Past], Choice]) -> Choice:
        """Choose somebody, once for each key; what they had of the request before is released.

        Args:
            key: The same key gives the same answer.
            request_id: The review.
            choose: Gives the choice, while no other process chooses.

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
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            ) as connection:
                # The writer's lock is taken now: two processes must not choose at once.
                connection.execute("BEGIN IMMEDIATE")
                try:
                    self._prepare(connection)
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()
        except (sqlite3.Error, OSError) as error:
            raise OperationError(
                "reviewer.store", f"{self._path} can't be used", str(error),
                "check the file, its folder's permissions and the space left",
            ) from error  # fmt: skip

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not application:
            for statement in _SCHEMA:
                connection.execute(statement)
        elif application != _APPLICATION_ID or version > _VERSION:
            raise OperationError(
                "reviewer.store", f"{self._path} can't be used",
                "it is of a newer version, or another application's",
                "update qtforge-host, or move the file away", retryable=False,
            )  # fmt: skip


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
