"""`Peers`: the other nodes, by their signs of life and announcements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import msgspec

from qtforge_sdk.transport import NodeEntry, NodeHandler

__all__ = ["Announcement", "Beat", "Peers"]

_MOST_PLUGINS: Final = 1000


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """A node's sign of life.

    Attributes:
        revision: The number of its last announcement.
        plugins: How many plugins that one is about.
        draining: Whether it accepts no further calls.
        gone: Whether it is the last sign.
    """

    revision: int
    plugins: int
    draining: bool = False
    gone: bool = False


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """What one plugin of a node answers."""

    revision: int
    handlers: tuple[NodeHandler, ...]


@dataclass(slots=True)
class _Peer:
    seen_s: float
    beat: Beat | None = None
    revision: int = -1  # of the handlers
    handlers: tuple[NodeHandler, ...] = ()
    announced: dict[str, Announcement] = field(default_factory=dict)  # by plugin


class Peers:
    """The nodes that live."""

    def __init__(self) -> None:
        self._peers: Final[dict[str, _Peer]] = {}
        self._directory: Mapping[str, NodeEntry] | None = None

    def directory(self) -> Mapping[str, NodeEntry]:
        """Return the nodes that have said what they answer."""
        if self._directory is None:
            self._directory = MappingProxyType(
                {
                    node: NodeEntry(
                        node=node,
                        handlers=() if peer.beat.draining else peer.handlers,
                        draining=peer.beat.draining,
                    )
                    for node, peer in self._peers.items()
                    if peer.beat is not None
                }
            )
        return self._directory

    def lives(self, node: str) -> bool:
        """Return whether a node gives signs of life."""
        return node in self._peers

    @property
    def are_complete(self) -> bool:
        """Whether what every known node answers is known."""
        return all(
            peer.beat is not None and peer.revision == peer.beat.revision
            for peer in self._peers.values()
        )

    def beat(self, node: str, beat: Beat, now_s: float) -> tuple[bool, bool]:
        """Take a sign of life.

        Returns:
            Whether the directory has changed, and whether the node has to be asked what it
            answers.
        """
        peer = self._peers.setdefault(node, _Peer(now_s))
        before, peer.beat, peer.seen_s = peer.beat, beat, now_s
        changed = self._complete(peer)
        changed = changed or before is None or before.draining != beat.draining
        if changed:
            self._directory = None
        return changed, peer.revision != beat.revision

    def announced(self, node: str, plugin: str, announcement: Announcement, now_s: float) -> bool:
        """Take what a plugin of a node answers; return whether the directory has changed."""
        peer = self._peers.setdefault(node, _Peer(now_s))
        if len(peer.announced) < _MOST_PLUGINS:
            peer.announced[plugin] = announcement
        changed = self._complete(peer)
        if changed:
            self._directory = None
        return changed

    def remove(self, node: str) -> bool:
        """Forget a node; return whether it was known."""
        self._directory = None
        return self._peers.pop(node, None) is not None

    def lapsed(self, before_s: float) -> Sequence[str]:
        """Return the nodes whose last sign of life is older."""
        return [node for node, peer in self._peers.items() if peer.seen_s < before_s]

    def excuse(self, seconds: float) -> None:
        """Count a time in which this process could not listen as no silence of others."""
        for peer in self._peers.values():
            peer.seen_s += seconds

    def all(self) -> Sequence[str]:
        """Return every known node."""
        return list(self._peers)

    @staticmethod
    def _complete(peer: _Peer) -> bool:
        """Replace the handlers once all announcements of the newest revision are there."""
        if peer.beat is None or peer.revision == peer.beat.revision:
            return False
        current = {
            plugin: each
            for plugin, each in peer.announced.items()
            if each.revision == peer.beat.revision
        }
        if len(current) < peer.beat.plugins:
            return False
        before, peer.announced = peer.handlers, current
        peer.revision = peer.beat.revision
        peer.handlers = tuple(
            handler for _, each in sorted(current.items()) for handler in each.handlers
        )
        return before != peer.handlers
