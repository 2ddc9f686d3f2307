"""Read the rows of one query, in batches, in the calling thread."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

import msgspec
from sqlalchemy import URL
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.column_names import column_names
from qtforge_builtin_plugins.collectors.row_sink import OddValue, RowSink
from qtforge_builtin_plugins.collectors.sql.kinds import Kind
from qtforge_builtin_plugins.collectors.sql.query import Query, timeout_error
from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import Secrets

__all__ = ["Reading"]

_ROWS_AT_ONCE: Final = 1000


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The reading of one query's rows.

    Attributes:
        kind: The kind of database.
        query: The query.
        secrets: Masks revealed secrets in errors, and in rows that may contain them.
    """

    kind: Kind
    query: Query
    secrets: Secrets

    def read(self, url: URL, sink: RowSink, interrupt: Interrupt) -> None:
        """Put the rows into a sink until it takes no more; roll the transaction back.

        Raises:
            OperationError: With a code ``database.*``, or of a file.
            Interrupted: The caller no longer waits.
        """
        try:
            engine = self.kind.engine(url, self.query)
            with contextlib.closing(engine.connect()) as connection:
                self.kind.prepare(connection, self.query, interrupt)
                driver = connection.connection.driver_connection
                with interrupt.calling(lambda: self.kind.cancel(driver)):
                    self._transfer(connection, sink, interrupt)
        except (SQLAlchemyError, ValueError, TypeError) as error:
            interrupt.check()  # the failure may come from the cancellation
            raise self._translated(error) from error

    def _transfer(self, connection: Connection, sink: RowSink, interrupt: Interrupt) -> None:
        query = self.query
        options = {"stream_results": True, "max_row_buffer": _ROWS_AT_ONCE}
        with connection.execute(query.statement, query.bind, execution_options=options) as result:
            names = column_names(list(result.keys()))
            for rows in result.partitions(_ROWS_AT_ONCE):
                interrupt.check()
                if query.deadline is not None and time.monotonic() >= query.deadline:
                    raise timeout_error(query, "there were more rows to read")
                for values in rows:
                    shown = map(self._masked, values) if query.has_secrets else values
                    if not sink.add(dict(zip(names, shown, strict=True))):
                        return

    def _masked(self, value: Any) -> Any:
        if isinstance(value, OddValue) and isinstance(value.plain, str):
            return msgspec.structs.replace(value, plain=self.secrets.mask(value.plain))
        return self.secrets.mask(value) if isinstance(value, str) else value

    def _translated(self, error: BaseException) -> OperationError:
        """Return the error as an `OperationError` without secrets."""
        # SQLAlchemy's text has the statement and a web address; the driver's has the reason.
        original = error.orig if isinstance(error, DBAPIError) and error.orig else error
        found = self.kind.failure(original)
        if found is None:
            why = " ".join(str(original).split())
            found = OperationError("database.failed", "the database could not answer", why)
        why = self.secrets.mask(found.why)
        if found.code == "database.timeout":
            return timeout_error(self.query, why)
        return OperationError(found.code, found.what, why, found.fix, retryable=found.retryable)
