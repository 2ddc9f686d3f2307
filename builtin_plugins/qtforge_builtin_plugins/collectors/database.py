"""database-collector: the rows of a query, from SQLite, PostgreSQL, and what SQLAlchemy knows."""

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
    """Asks databases, in transactions that can't write."""

    Config = DatabaseConfig
    config: DatabaseConfig
    _context: PluginContext
    _roots: AllowedPaths
    _threads: CancellableThreads

    async def start(self, context: PluginContext) -> None:
        """Note where files may be."""
        self._context = context
        self._roots = AllowedPaths(self.config.roots, _NAME)
        self._threads = CancellableThreads(_NAME, self.config.connections)

    async def stop(self) -> None:
        """End the statements that still run."""
        await self._threads.close()

    @operation("database.query", trylast=True)
    async def query(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return the rows of a query, in the database's order.

        Of two columns with one name the second gets the name with ``_2``. When the deadline
        comes or the run is cancelled, the statement ends on the server.

        Raises:
            OperationError: ``database.invalid_parameters``, ``.invalid_endpoint``,
                ``.unknown_driver``, ``.unprotected``, ``.read_only``,
                ``.several_statements``, ``.invalid_query``, ``.no_such_table``,
                ``.no_such_column``, ``.invalid_value``, ``.access_denied``, ``.not_found``,
                ``.unavailable`` (may be tried again), ``.timeout``, ``.damaged``,
                ``.unreadable``, ``.failed``; what `AllowedPaths.file` and `RowSink` raise.
        """
        parameters = read_parameters(request.parameters, QueryParameters, "database")

        def collect(interrupt: Interrupt) -> Collected:
            # SQLAlchemy takes a while to load: only when a database is asked.
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
