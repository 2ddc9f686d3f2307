"""The interface between the bus and what takes its messages to handlers and subscribers."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from qtforge_sdk import Published
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import Envelope

__all__ = ["Exchange"]


class Exchange(Protocol):
    """Takes messages to handlers and subscribers."""

    def request(
        self, envelope: Envelope, listener: ProgressListener | None
    ) -> Coroutine[Any, Any, Any]:
        """Return the response of the chosen handler; ``listener`` receives progress."""

    async def publish(self, topic: str, message: Any, message_id: str = "") -> Published:
        """Deliver a message to the subscribers of this process.

        Args:
            topic: The topic.
            message: The message.
            message_id: The id of a publication that is made again until it has succeeded, or
                that comes from another process; "" for another one.
        """
