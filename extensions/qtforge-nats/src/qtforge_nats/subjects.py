"""The subjects under which nodes talk, such that a server's permissions can restrict them.

::

    PREFIX.node.beat.NAME.INSTANCE            a node lives
    PREFIX.node.plugin.PLUGIN.NAME.INSTANCE   what a plugin of a node answers
    PREFIX.node.who                           asks all nodes for both
    PREFIX.call.PLUGIN.NAME.INSTANCE          requests to a plugin of a node
    PREFIX.reply.NAME.INSTANCE.TOKEN          the responses
    PREFIX.event.TOPIC                        publications

What a node says of itself is believed by its subject alone.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Subjects"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


class Subjects:
    """The subjects of one node.

    Args:
        prefix: The beginning of all.
        node: The node's id, ``NAME.INSTANCE``.
    """

    def __init__(self, prefix: str, node: str) -> None:
        self.all_nodes: Final = f"{prefix}.node.>"
        self.all_events: Final = f"{prefix}.event.>"
        self.replies: Final = f"{prefix}.reply.{node}.*"
        self.beat: Final = f"{prefix}.node.beat.{node}"
        self.who: Final = f"{prefix}.node.who"
        self._beats: Final = f"{prefix}.node.beat."
        self._plugins: Final = f"{prefix}.node.plugin."
        self._events: Final = f"{prefix}.event."
        self._calls: Final = f"{prefix}.call."
        self._reply: Final = f"{prefix}.reply.{node}."
        self._any_reply: Final = f"{prefix}.reply."
        self._node: Final = node

    def plugin(self, plugin: str) -> str:
        """Return where this node says what a plugin answers."""
        return f"{self._plugins}{_token(plugin)}.{self._node}"

    def calls(self, plugin: str, node: str) -> str:
        """Return where a plugin of a node is asked."""
        return f"{self._calls}{_token(plugin)}.{node}"

    def event(self, topic: str) -> str:
        """Return where a topic is published."""
        return self._events + topic

    def reply(self, token: str) -> str:
        """Return where this node gets the response of a call."""
        return self._reply + token

    def token_of(self, reply: str) -> str:
        """Return the call that a response is for."""
        return reply[len(self._reply) :]

    def is_reply(self, subject: str) -> bool:
        """Return whether a subject is one for responses."""
        return subject.startswith(self._any_reply)

    def node_of_beat(self, subject: str) -> str | None:
        """Return the node that a sign of life is of; None for another subject."""
        if not subject.startswith(self._beats):
            return None
        return subject[len(self._beats) :]

    def plugin_of(self, subject: str) -> tuple[str, str] | None:
        """Return node and plugin, as it stands in subjects, of an announcement; else None."""
        if not subject.startswith(self._plugins):
            return None
        plugin, _, node = subject[len(self._plugins) :].partition(".")
        return node, plugin

    @staticmethod
    def is_named(token: str, plugin: str) -> bool:
        """Return whether a word of a subject stands for a plugin."""
        return token == _token(plugin)


def _token(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text) or "%"
