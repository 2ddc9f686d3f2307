"""The interface between the bus and what carries its messages."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from qtforge_sdk import Published
from qtforge_sdk.operations import AnswerSecrets, ProgressListener

__all__ = ["Envelope", "Transport"]


class Envelope(msgspec.Struct):
    """A request in transit; msgspec can encode it, so that it can be sent to another machine.

    Attributes:
        topic: The topic.
        payload: The message, unchanged.
        timeout_s: The timeout of the request, in seconds.
        deadline: When the response is due, on this machine's `time.monotonic` scale, in
            seconds. Another machine's clock differs, so a transport sends the remaining time.
        plugin: The only plugin that may handle it, or None.
        run_id: The run that sends the request, or None.
        step: The step of that run, or None.
        attempt: The number of the attempt, from 1.
        idempotency_key: The same for every attempt, or None.
        served_by: Name and version of the plugin that was chosen, once one was.
        secrets: What its operation says of secrets in the answer, or None.
    """

    topic: str
    payload: Any
    timeout_s: float
    deadline: float
    plugin: str | None = None
    run_id: str | None = None
    step: str | None = None
    attempt: int = 1
    idempotency_key: str | None = None
    served_by: tuple[str, str] | None = None
    secrets: AnswerSecrets | None = None


class Transport(Protocol):
    """Carries messages to handlers and subscribers."""

    def request(
        self, envelope: Envelope, listener: ProgressListener | None
    ) -> Coroutine[Any, Any, Any]:
        """Return the response of the chosen handler; ``listener`` receives progress."""

    async def publish(self, topic: str, message: Any, message_id: str = "") -> Published:
        """Deliver a message to the subscribers.

        Args:
            topic: The topic.
            message: The message.
            message_id: The id of a publication that is made again until it has succeeded, or
                that comes from another process; "" for another one.
        """
