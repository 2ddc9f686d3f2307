"""Test what stands below the host: a clock of virtual time, contracts of journals and transports.

`VirtualClock` makes a day of waiting take milliseconds. `journal_contract` holds the tests
that every implementation of `qtforge_sdk.journal.Journal` passes, and `transport_contract` those
of `qtforge_sdk.transport.Transport`; `memory_transport` connects nodes in one process. Plugins
and workflows are tested with the fixtures of ``qtforge-host[testing]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtforge_sdk.testing.clock import VirtualClock

__all__ = ["VirtualClock"]


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project that has the SDK installed, whether or
    # not a test uses it; so what costs time is imported on first use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("qtforge_sdk.testing.clock").VirtualClock
