"""`Kind`: how a kind of database is read without writing, and what its errors mean."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import URL, Engine
from sqlalchemy.engine import Connection

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.sql.query import Query
from qtforge_sdk.errors import OperationError

__all__ = ["Kind"]


class Kind(Protocol):
    """How a kind of database is read without writing."""

    def engine(self, url: URL, query: Query) -> Engine:
        """Return the engine; nothing is connected yet.

        Raises:
            OperationError: ``database.unknown_driver``, ``database.invalid_endpoint``, and
                for a file what `AllowedPaths.file` raises.
        """

    def prepare(self, connection: Connection, query: Query, interrupt: Interrupt) -> None:
        """Let the connection only read, and only until the deadline."""

    def cancel(self, driver_connection: Any) -> None:
        """End the statement that runs; called from another thread."""

    def failure(self, error: BaseException) -> OperationError | None:
        """Return what the driver's error means, or None where it is nothing special."""
