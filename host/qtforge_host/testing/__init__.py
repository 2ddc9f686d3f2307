"""Test plugins and workflows over the real hooks, bus and engine, with pytest.

Installed with ``qtforge-host[testing]``, two fixtures are there in every test that asks::

    def test_it_greets(host):
        host.add(Greeter())
        assert host.request("greeting.make", {"name": "Ada"}) == "Hello, Ada"


    def test_it_retries(workflows):
        workflows.add(Path("greet.toml"))
        busy = OperationError("greeting.busy", "busy", retryable=True)
        workflows.fake("greeting.make", busy, busy, {"text": "Hello"})
        assert workflows.run("greet", {"name": "Ada"}).steps["make"].attempts == 3

``host`` is a `PluginTestHost`, ``workflows`` a `WorkflowKit`. They know only what the test
adds: nothing that is installed is loaded unless the test names it. The journal is in memory,
and hours of waiting take milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtforge_host.testing.crash_sweep import CrashReport
    from qtforge_host.testing.plugin_host import PluginTestHost
    from qtforge_host.testing.replays import ReplayedFile, Replays
    from qtforge_host.testing.traffic import (
        Answered,
        Call,
        Delivered,
        Failed,
        PublishedMessage,
        RecordedMessage,
        Requested,
    )
    from qtforge_host.testing.workflow_kit import WorkflowKit
    from qtforge_host.testing.workflow_run import WorkflowRun

__all__ = [
    "Answered",
    "Call",
    "CrashReport",
    "Delivered",
    "Failed",
    "PluginTestHost",
    "PublishedMessage",
    "RecordedMessage",
    "ReplayedFile",
    "Replays",
    "Requested",
    "WorkflowKit",
    "WorkflowRun",
]


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project that has the host installed, whether or
    # not a test uses it; so what costs time is imported on first use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {
        "CrashReport": "crash_sweep",
        "PluginTestHost": "plugin_host",
        "ReplayedFile": "replays",
        "Replays": "replays",
        "WorkflowKit": "workflow_kit",
        "WorkflowRun": "workflow_run",
    }.get(name, "traffic")
    return getattr(importlib.import_module(f"qtforge_host.testing.{module}"), name)
