"""`Kind`: read-only access to a kind of database, and the meaning of its errors."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import URL, Engine
from sqlalchemy.engine import Connection

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.sql.query import Query
from qtforge_sdk.errors import OperationError

__all__ = ["Kind"]


class Kind(Protocol):
    """Read-only access to a kind of database."""

    def engine(self, url: URL, query: Query) -> Engine:
        """Return the engine; nothing is connected yet.

        Raises:
            OperationError: ``database.unknown_driver``, ``database.invalid_endpoint``, and
                for a file those of `AllowedPaths.file`.
        """

    def prepare(self, connection: Connection, query: Query, interrupt: Interrupt) -> None:
        """Make the connection read-only, and limit its statements to the deadline."""

    def cancel(self, driver_connection: Any) -> None:
        """Cancel the running statement; called from another thread."""

    def failure(self, error: BaseException) -> OperationError | None:
        """Return the meaning of the driver's error, or None if it has none of its own."""
