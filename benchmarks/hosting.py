"""The real bus and engine with plugins by hand: no discovery, so that only they are timed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from qtforge_host.app import HostParts
from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.wiring import Wired
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.tracing import Tracing
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Plugin
from qtforge_sdk.journal import Journal

__all__ = ["bus_with", "engine_with", "parts_with"]

_DRAIN_S = 10.0


@contextlib.asynccontextmanager
async def bus_with(*plugins: Plugin) -> AsyncIterator[MessageBus]:
    """Give a bus on which these plugins answer."""
    async with parts_with(*plugins) as parts:
        yield parts.bus


@contextlib.asynccontextmanager
async def engine_with(
    journal: Journal,
    workflow: Workflow,
    *plugins: Plugin,
    orchestrators: bool = False,
    tracing: Tracing | None = None,
) -> AsyncIterator[Engine]:
    """Give an engine that keeps its runs in a journal, and finds this one workflow.

    Args:
        journal: Closed; it is opened and closed again.
        workflow: The one.
        plugins: What its steps ask.
        orchestrators: Whether resumed runs find its orchestrator by its kind.
        tracing: Traces its runs; None for no traces.
    """
    async with parts_with(*plugins) as parts:
        await journal.open()
        kinds = {workflow.definition.kind: workflow.orchestrator} if orchestrators else {}
        workflows = RecordedWorkflows(kinds, lambda name: workflow, lambda known: ())
        engine = Engine(parts.bus, parts.expressions, journal, workflows, tracing=tracing)
        try:
            yield engine
        finally:
            await engine.close()
            await journal.close()


@contextlib.asynccontextmanager
async def parts_with(*plugins: Plugin) -> AsyncIterator[HostParts]:
    """Give the parts of a host on whose bus these plugins answer."""
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
        yield parts
        await parts.bus.drain(_DRAIN_S)
    finally:
        await parts.bus.close()
        await parts.wiring.close()
        parts.threads.close()
