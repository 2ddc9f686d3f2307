"""database-collector: rows from SQLite, PostgreSQL and other databases of SQLAlchemy."""

from __future__ import annotations

from typing import Final

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import CancellableThreads, Interrupt
from qtforge_builtin_plugins.collectors.parameters import read_parameters
from qtforge_builtin_plugins.collectors.sql.settings import DatabaseConfig, QueryParameters
from qtforge_sdk import OperationContext, Plugin, PluginContext, operation
from qtforge_sdk.messages import Collected, CollectRequest

__all__ = ["DatabaseCollector"]

_NAME: Final = "database-collector"


class DatabaseCollector(Plugin):
    """Query databases in read-only transactions."""

    Config = DatabaseConfig
    config: DatabaseConfig
    _context: PluginContext
    _roots: AllowedPaths
    _threads: CancellableThreads

    async def start(self, context: PluginContext) -> None:
        """Prepare the allowed paths and the threads."""
        self._context = context
        self._roots = AllowedPaths(self.config.roots, _NAME)
        self._threads = CancellableThreads(_NAME, self.config.connections)

    async def stop(self) -> None:
        """Cancel the running statements."""
        await self._threads.close()

    @operation("database.query", trylast=True)
    async def query(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return the rows of a query, in the database's order.

        The second of two columns with one name gets the suffix ``_2``. At the deadline, or
        when the run is cancelled, the statement ends on the server.

        Raises:
            OperationError: ``database.invalid_parameters``, ``.invalid_endpoint``,
                ``.unknown_driver``, ``.unprotected``, ``.read_only``,
                ``.several_statements``, ``.invalid_query``, ``.no_such_table``,
                ``.no_such_column``, ``.invalid_value``, ``.access_denied``, ``.not_found``,
                ``.unavailable`` (retryable), ``.timeout``, ``.damaged``,
                ``.unreadable``, ``.failed``; those of `AllowedPaths.file` and `RowSink`.
        """
        parameters = read_parameters(request.parameters, QueryParameters, "database")

        def collect(interrupt: Interrupt) -> Collected:
            # SQLAlchemy takes a while to import: only for a query.
            from qtforge_builtin_plugins.collectors.sql.execution import QueryExecution

            execution = QueryExecution(
                config=self.config,
                plugin=self._context,
                roots=self._roots,
                context=context,
                interrupt=interrupt,
            )
            return execution.collect(request, parameters)

        return await self._threads.run(collect)
