"""file-collector: the rows of CSV, JSON, JSON Lines, Parquet, Excel and TOML files."""

from __future__ import annotations

from typing import Final

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import CancellableThreads, Interrupt
from qtforge_builtin_plugins.collectors.files.settings import FileConfig, FileParameters
from qtforge_builtin_plugins.collectors.parameters import read_parameters
from qtforge_sdk import OperationContext, Plugin, PluginContext, operation
from qtforge_sdk.messages import Collected, CollectRequest

__all__ = ["FileCollector"]

_NAME: Final = "file-collector"


class FileCollector(Plugin):
    """Read files below the configured folders only."""

    Config = FileConfig
    config: FileConfig
    _context: PluginContext
    _roots: AllowedPaths
    _threads: CancellableThreads

    async def start(self, context: PluginContext) -> None:
        """Prepare the allowed paths and the threads."""
        self._context = context
        self._roots = AllowedPaths(self.config.roots, _NAME)
        self._threads = CancellableThreads(_NAME, self.config.readers)

    async def stop(self) -> None:
        """Cancel the running reads."""
        await self._threads.close()

    @operation("file.read", trylast=True)
    async def read(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return the rows of a file, or of all files that a pattern matches.

        Raises:
            OperationError: ``file.invalid_parameters``, ``.outside_roots``, ``.not_found``,
                ``.not_regular``, ``.unreadable``, ``.unknown_format``, ``.too_many``,
                ``.too_large``, ``.invalid``, ``.failed``; those of `RowSink`.
        """
        parameters = read_parameters(request.parameters, FileParameters, "file")
        # Each attempt has its own file: the thread of the previous one may still run.
        name = f"{context.step or request.name}-{context.attempt}"

        def collect(interrupt: Interrupt) -> Collected:
            # DuckDB takes a while to import: only for a read.
            from qtforge_builtin_plugins.collectors.files.reader import FileReader

            reader = FileReader(
                config=self.config,
                parameters=parameters,
                roots=self._roots,
                folder=self._context.run_dir(context.run_id),
                name=name,
                interrupt=interrupt,
            )
            return reader.collect(request.endpoint)

        return await self._threads.run(collect)
