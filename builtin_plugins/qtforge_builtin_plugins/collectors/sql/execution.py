"""Execute the query of a request, in the calling thread."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from sqlalchemy import URL

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.parameters import seconds
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_builtin_plugins.collectors.sql.endpoints import endpoint_url
from qtforge_builtin_plugins.collectors.sql.generic import GenericDatabase
from qtforge_builtin_plugins.collectors.sql.kinds import Kind
from qtforge_builtin_plugins.collectors.sql.postgresql import PostgreSQL
from qtforge_builtin_plugins.collectors.sql.query import Query, checked_statement
from qtforge_builtin_plugins.collectors.sql.reading import Reading
from qtforge_builtin_plugins.collectors.sql.settings import DatabaseConfig, QueryParameters
from qtforge_builtin_plugins.collectors.sql.sqlite import SQLite
from qtforge_sdk import OperationContext, OperationError, PluginContext
from qtforge_sdk.messages import Collected, CollectRequest
from qtforge_sdk.validation import nearest

__all__ = ["QueryExecution"]

_SQLITE: Final = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL: Final = ("postgresql", "postgres", "postgresql+psycopg")


class QueryExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One request to database-collector.

    Attributes:
        config: The plugin's configuration.
        plugin: The plugin's context.
        roots: The paths that SQLite files may have.
        context: The call's context.
        interrupt: Cancels it.
    """

    config: DatabaseConfig
    plugin: PluginContext
    roots: AllowedPaths
    context: OperationContext
    interrupt: Interrupt

    def collect(self, request: CollectRequest, parameters: QueryParameters) -> Collected:
        """Return the rows; see `DatabaseCollector.query`."""
        secrets = self.plugin.secrets
        query = self._query(parameters)
        url = endpoint_url(request.endpoint, parameters.database, self.config.databases, secrets)
        # Each attempt has its own file: the thread of the previous one may still run.
        name = f"{self.context.step or request.name}-{self.context.attempt}"
        folder = self.plugin.run_dir(self.context.run_id)
        with RowSink(folder, name, query.limit) as sink:
            reading = Reading(kind=self._kind(url), query=query, secrets=secrets)
            reading.read(url, sink, self.interrupt)
            return sink.finish({"database": url.get_backend_name()})

    def _query(self, parameters: QueryParameters) -> Query:
        bind = self.plugin.secrets.reveal(parameters.bind)
        left_s = self.context.remaining_s()
        allowed_s = [] if left_s is None else [left_s]
        if parameters.statement_timeout is not None:
            own_s = seconds(parameters.statement_timeout, "statement_timeout", "database")
            allowed_s.append(own_s)
        limit_s = min(allowed_s, default=None)
        return Query(
            statement=checked_statement(parameters.query, bind),
            bind=bind,
            limit=parameters.limit or self.config.limit,
            deadline=None if limit_s is None else time.monotonic() + limit_s,
            deadline_is_own=limit_s != left_s,
            has_secrets=bind != parameters.bind,
        )

    def _kind(self, url: URL) -> Kind:
        if url.drivername in _SQLITE:
            return SQLite(self.roots, self.config.value_bytes)
        if url.drivername in _POSTGRESQL:
            return PostgreSQL()
        dialect = url.get_backend_name()
        if dialect in self.config.allow_writable:
            return GenericDatabase()
        why = "read-only transactions are supported for SQLite and PostgreSQL (psycopg) only"
        fix = (
            f"give its user the right to read only, and add '{dialect}' to allow_writable in"
            f" [plugins.{self.plugin.name}.config]"
        )
        near = nearest(url.drivername, [*_SQLITE, *_POSTGRESQL])
        if near is not None:
            fix = f"did you mean '{near}'? Otherwise {fix}"
        what = f"databases with the driver '{url.drivername}' are not queried"
        raise OperationError("database.unprotected", what, why, fix, retryable=False)
