"""Test a plugin without the host: the pytest fixture ``host``.

Installed with ``qtforge-sdk[testing]``, it is there in every test that asks for it::

    def test_it_greets(host):
        host.add(Greeter())
        assert host.request("greeting.make", {"name": "Ada"}) == "Hello, Ada"

``host`` is a `PluginTestHost`. It knows only the plugins that the test adds: it never
looks at what is installed. `VirtualClock` makes a day of waiting take milliseconds.
`qtforge_sdk.testing.bus_contract` holds the tests that every implementation of
`qtforge_sdk.Bus` passes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtforge_sdk.testing._host import PluginTestHost
    from qtforge_sdk.testing._messages import (
        Answered,
        Delivered,
        Failed,
        PublishedMessage,
        RecordedMessage,
        Requested,
    )
    from qtforge_sdk.testing.clock import VirtualClock

__all__ = [
    "Answered",
    "Delivered",
    "Failed",
    "PluginTestHost",
    "PublishedMessage",
    "RecordedMessage",
    "Requested",
    "VirtualClock",
]


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project that has the SDK installed, whether or
    # not a test uses it; so what costs time is imported on first use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "VirtualClock":
        return importlib.import_module("qtforge_sdk.testing.clock").VirtualClock
    from qtforge_sdk.testing import _host, _messages

    return getattr(_host if name == "PluginTestHost" else _messages, name)
