"""Where a plugin is that keeps data on one node, and the values of `Plugin.placement`."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["ANY_NODE", "ONE_NODE", "Placement"]

ANY_NODE: Final = "any node"
"""Each node answers with its own plugin."""
ONE_NODE: Final = "one node"
"""The plugin keeps data in its state directory: of several nodes, the first one answers."""


class Placement(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A state directory that has a plugin; the lowest one of all nodes holds the plugin's data.

    Attributes:
        empty: Whether the plugin had no data there at first: where it had, its data counts.
        since: When it was first shared with other nodes, in seconds since 1970.
        place: Which state directory it is: the same for all processes that use it.
    """

    empty: bool
    since: float
    place: str
