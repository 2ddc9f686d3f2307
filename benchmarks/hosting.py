"""The real bus with plugins by hand: no discovery, so that only the bus is timed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from qtforge_host.app import HostParts
from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.config import Settings
from qtforge_host.wiring import Wired
from qtforge_sdk import Plugin

__all__ = ["bus_with"]

_DRAIN_S = 10.0


@contextlib.asynccontextmanager
async def bus_with(*plugins: Plugin) -> AsyncIterator[MessageBus]:
    """Give a bus on which these plugins answer."""
    # Nothing is read from or written to these paths without discovery.
    settings = Settings(config_path=Path("none.toml"), state_dir=Path("none"), worker_processes=1)
    parts = HostParts(settings)
    try:
        for plugin in plugins:
            kind = type(plugin)
            name = kind.__name__.lower()
            wired = Wired(
                plugin=plugin,
                name=name,
                version="1.0.0",
                target=f"{kind.__module__}:{kind.__qualname__}",
            )
            parts.hooks.register(plugin, name)
            parts.wiring.prepare(wired)
            parts.wiring.connect(wired)
        yield parts.bus
        await parts.bus.drain(_DRAIN_S)
    finally:
        await parts.bus.close()
        await parts.wiring.close()
        parts.threads.close()
