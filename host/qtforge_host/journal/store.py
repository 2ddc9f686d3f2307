"""What the writing and the reading thread need of a journal's SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from qtforge_host.journal.database import FileWatch
from qtforge_host.journal.group import GroupCommit
from qtforge_host.journal.queries import Queries
from qtforge_host.journal.storage_errors import storage_error
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal_kit.jobs import Job

__all__ = ["SqliteReads", "SqliteStore"]

T = TypeVar("T")


class SqliteStore:
    """Implements `qtforge_sdk.journal_kit.writer.GroupStore`.

    Args:
        group: Writes the groups.
        directory: The journal's folder, for errors.
        watch: Notices that the file was removed.
    """

    def __init__(self, group: GroupCommit, directory: Path, watch: FileWatch) -> None:
        self._group = group
        self._directory = directory
        self._watch = watch
        self._data_version = 0

    def commit(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> list[Any]:
        """Do all jobs in one transaction; see `GroupStore`."""
        self._watch.check()
        return self._group.commit(jobs, meanwhile)

    def failure(self, error: Exception) -> StateDirectoryError:
        """Return the error of the state directory; see `GroupStore`."""
        return storage_error(self._directory, error)

    def others_wrote(self) -> bool:
        """Return whether another connection has committed since the last call."""
        # It does not change when this connection commits.
        row = self._group.connection.execute("PRAGMA data_version").fetchone()
        before, self._data_version = self._data_version, int(row[0])
        return self._data_version != before

    def closed(self) -> StateDirectoryError:
        """Return the error of a closed journal."""
        return StateDirectoryError(str(self._directory), "the journal is closed", "open it again")

    def close(self) -> None:
        """Close the connection."""
        self._group.connection.close()


class SqliteReads:
    """Implements `qtforge_sdk.journal_kit.reader.ReadStore`.

    Args:
        queries: The queries.
        connection: Their connection.
    """

    def __init__(self, queries: Queries, connection: sqlite3.Connection) -> None:
        self._queries = queries
        self._connection = connection

    def read(self, read: Callable[[Queries], T]) -> T:
        """Call a function with the queries."""
        return read(self._queries)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
