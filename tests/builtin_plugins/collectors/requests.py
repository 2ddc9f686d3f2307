"""Asks a collector by itself, as the bus would in a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qtforge_sdk import OperationContext, OperationError, Plugin, PluginContext
from qtforge_sdk.messages import Collected, CollectRequest
from qtforge_sdk.secrets import Secrets

__all__ = ["Asker"]


class Asker:
    """A collector in a folder of its own.

    Attributes:
        secrets: What it was given.
        run_files: Where its datasets are.
    """

    def __init__(
        self, plugin: Plugin, topic: str, folder: Path, secrets: Mapping[str, str], **config: Any
    ) -> None:
        self.plugin = plugin
        self.secrets = Secrets(dict(secrets).get)
        self.run_files = folder / "run-files"
        self._topic = topic
        assert plugin.Config is not None
        plugin.config = msgspec.convert(config, plugin.Config)
        self._context = PluginContext(
            name=topic.partition(".")[0] + "-collector",
            version="1.0.0",
            bus=None,  # type: ignore[arg-type]
            data_dir=folder / "data",
            host_version="1.0.0",
            secrets=self.secrets,
            runs_dir=self.run_files,
        )

    def __call__(
        self,
        endpoint: str,
        timeout_s: float | None = 30,
        run_id: str | None = "run-1",
        **given: Any,
    ) -> Collected:
        """Ask it; its deadline ends it as the bus does."""
        return asyncio.run(self._ask(endpoint, given, timeout_s, run_id))

    async def _ask(
        self, endpoint: str, given: dict[str, Any], timeout_s: float | None, run_id: str | None
    ) -> Collected:
        await self.plugin.start(self._context)
        try:
            async with asyncio.timeout(timeout_s):
                return await self.ask(endpoint, given, timeout_s, run_id)
        finally:
            await self.plugin.stop()

    async def ask(
        self,
        endpoint: str,
        given: dict[str, Any],
        timeout_s: float | None = 30,
        run_id: str | None = "run-1",
    ) -> Collected:
        """Ask it on a loop that runs already, after ``start``."""
        (operation,) = [
            getattr(self.plugin, name)
            for name in dir(type(self.plugin))
            if hasattr(getattr(type(self.plugin), name), "__qtforge_operation__")
        ]
        context = OperationContext(
            self._topic,
            run_id=run_id,
            step="sales",
            deadline=None if timeout_s is None else time.monotonic() + timeout_s,
        )
        request = CollectRequest(name="sales", endpoint=endpoint, parameters=given)
        collected: Collected = await operation(request, context)
        return collected

    async def start(self) -> None:
        """Start the plugin, for `ask`."""
        await self.plugin.start(self._context)

    def refusal(self, endpoint: str, **given: Any) -> OperationError:
        """Return the error that it answers with."""
        with pytest.raises(OperationError) as caught:
            self(endpoint, **given)
        return caught.value

    def rows(self, endpoint: str, **given: Any) -> list[dict[str, Any]]:
        """Return the rows of an answer that is not cut off."""
        collected = self(endpoint, **given)
        assert not collected.truncated
        if collected.dataset is None:
            assert collected.rows is not None
            return collected.rows
        assert collected.dataset.format == "jsonl"
        lines = Path(collected.dataset.path).read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines]
