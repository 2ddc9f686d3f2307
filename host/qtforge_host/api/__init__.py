"""Each use case once; the command line and the HTTP interface parse, call this, and print.

Applications use `RunClient`, or `BlockingRunClient` where there is no event loop::

    async with RunClient.open("/var/lib/qtforge") as client:
        run_id = await client.start("document-processing", {"document": {"path": "a.pdf"}})
        run = await client.wait(run_id)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtforge_host.api.blocking import BlockingRunClient
    from qtforge_host.api.client import RunClient
    from qtforge_host.api.event_outcome import EventOutcome
    from qtforge_host.api.host_client import HostClient
    from qtforge_host.api.snapshots import RunSnapshot

__all__ = ["BlockingRunClient", "EventOutcome", "HostClient", "RunClient", "RunSnapshot"]

_MODULES = {
    "BlockingRunClient": "blocking",
    "EventOutcome": "event_outcome",
    "HostClient": "host_client",
    "RunClient": "client",
    "RunSnapshot": "snapshots",
}


def __getattr__(name: str) -> Any:  # a listing of runs imports nothing that executes one
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
