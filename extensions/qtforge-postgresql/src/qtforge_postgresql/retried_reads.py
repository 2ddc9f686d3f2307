"""`RetriedReads`: reads that are done again with another connection, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from qtforge_postgresql.contact import Contact
from qtforge_postgresql.errors import is_passing
from qtforge_postgresql.queries import Queries
from qtforge_postgresql.session import Connector

__all__ = ["RetriedReads"]

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0


class RetriedReads:
    """Implements `qtforge_sdk.journal_kit.reader.ReadStore`.

    A read whose connection was lost is done again with another one, for a while.

    Args:
        queries: The queries.
        connector: Makes connections.
        contact: Notified of the server's answers.
        retry_s: For how long a read is tried while the server is away, in seconds.
    """

    def __init__(
        self, queries: Queries, connector: Connector, contact: Contact, retry_s: float
    ) -> None:
        self._queries = queries
        self._connector = connector
        self._contact = contact
        self._retry_s = retry_s
        self._gave_up = False

    def close(self) -> None:
        """Close the connection."""
        self._queries.session.close()

    def read(self, read: Callable[[Queries], T]) -> T:
        """Call a function with the queries, again where the connection was lost.

        Raises:
            psycopg.Error: The server refused it, or was away for too long.
        """
        until = time.monotonic() + (0.0 if self._gave_up else self._retry_s)
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                if self._queries.session.is_broken:
                    self._queries.session.close()
                    self._queries.session = self._connector.connect()
                found = read(self._queries)
            except psycopg.Error as error:
                if not is_passing(error):
                    raise
                self._connector.note(error, self._queries.session)
                if time.monotonic() > until:
                    self._gave_up = True  # until the server answers, others are tried once
                    raise
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                self._gave_up = False
                self._contact.note()
                return found
