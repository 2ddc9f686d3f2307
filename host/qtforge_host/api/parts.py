"""The host and the journal that a client works with, each opened when it is first needed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from qtforge_host.api.lookup import opened_journal
from qtforge_host.config.settings import Settings
from qtforge_sdk.journal import Journal
from qtforge_sdk.run_logs import LogKeeper

if TYPE_CHECKING:  # what needs the journal alone does not wait for what executes runs
    from qtforge_host.app import Host
    from qtforge_host.plugins.start_reasons import StartScope
    from qtforge_host.runs.supervisor import Durable

__all__ = ["Parts"]


class Parts:
    """A journal and a host.

    Args:
        settings: The configuration.
        host: A host that is running already, and stays so when the parts are closed; None to
            start one when it is needed.
    """

    def __init__(self, settings: Settings, host: Host | None = None) -> None:
        self.settings = settings
        self._host = host
        self._is_own_host = host is None
        self._durable: Durable | None = None
        self._journal: Journal | None = None
        self._stack = contextlib.AsyncExitStack()
        self._opening = asyncio.Lock()

    @property
    def open_durable(self) -> Durable | None:
        """The journal with what executes runs on it; None where that is not open."""
        return self._durable

    @property
    def is_own_host(self) -> bool:
        """Whether these parts have started the host, or would: then it serves nobody else."""
        return self._is_own_host

    async def host(self, scope: StartScope = "asked") -> Host:
        """Return the host.

        Args:
            scope: Which plugins start with it, where it is not open yet; the others start when
                they are needed.
        """
        async with self._opening:
            return await self._opened_host(scope)

    async def journal(self) -> Journal:
        """Return the journal; no plugin is imported for it.

        Raises:
            StateDirectoryError: The state directory can't be used.
            ConfigError: No journal of the configured name is installed.
        """
        async with self._opening:
            if self._durable is not None:
                return self._durable.journal
            if self._host is not None:
                return (await self._opened_durable()).journal
            if self._journal is None:
                self._journal = await opened_journal(self.settings)
            return self._journal

    async def logs(self) -> LogKeeper:
        """Return what keeps the logs of runs.

        Raises:
            StateDirectoryError: The state directory can't be used.
            ConfigError: No journal of the configured name is installed.
        """
        from qtforge_host.journal.log_file import log_keeper  # only where logs are asked for

        journal = await self.journal()
        if self._durable is not None:
            return self._durable.logs.keeper
        return log_keeper(journal, self.settings.log_directory)

    async def durable(self) -> Durable:
        """Return the journal with what executes runs on it.

        Raises:
            StateDirectoryError: The state directory can't be used.
            ConfigError: No journal of the configured name is installed.
        """
        async with self._opening:
            return await self._opened_durable()

    async def close(self) -> None:
        """Close what these parts have opened."""
        await self._stack.aclose()
        if self._journal is not None and self._durable is None:
            await self._journal.close()

    async def _opened_host(self, scope: StartScope = "asked") -> Host:
        if self._host is None:
            from qtforge_host.app import Host  # heavy: see above

            host = Host(self.settings, scope=scope)
            self._host = await self._stack.enter_async_context(host)
        return self._host

    async def _opened_durable(self) -> Durable:
        if self._durable is None:
            host = await self._opened_host()
            self._durable = await host.durable(self._journal)  # it closes the journal
        return self._durable
