"""The request hooks of every plugin, called so that none harms another."""

from __future__ import annotations

import logging
from typing import Final

import pluggy

__all__ = ["notify"]

_LOG: Final = logging.getLogger("qtforge.testing")


def notify(caller: pluggy.HookCaller, **arguments: object) -> None:
    """Call every implementation of a hook with the arguments that it names."""
    for implementation in reversed(caller.get_hookimpls()):
        try:
            implementation.function(*(arguments[name] for name in implementation.argnames))
        except Exception:  # noqa: BLE001 - a plugin's; it must not harm the request that it observes
            _LOG.exception("%s failed in %s", implementation.plugin_name, caller.name)
