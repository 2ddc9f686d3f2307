"""The seam through which the bus speaks, so that a later transport can leave this machine."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from qtforge_sdk import Published
from qtforge_sdk.operations import ProgressListener

__all__ = ["Envelope", "Transport"]


class Envelope(msgspec.Struct):
    """A request on its way; msgspec can encode it, so it can leave this machine.

    Attributes:
        topic: Where to.
        payload: The message, untouched.
        timeout_s: The time that it was given, in seconds.
        deadline: When the answer is due, on this machine's `time.monotonic` scale, in
            seconds. Another machine's clock differs: a transport sends what is left of it.
        plugin: Ask only this plugin, or None.
        run_id: The run that asks, or None.
        step: That run's step, or None.
        attempt: 1 for the first try.
        idempotency_key: The same for every attempt, or None.
        served_by: The name and version of the plugin that was chosen, once one was.
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


class Transport(Protocol):
    """Carries messages to handlers and subscribers; ``local`` is the one in this process."""

    async def request(self, envelope: Envelope, listener: ProgressListener | None) -> Any:
        """Return the answer of the handler that was chosen; ``listener`` hears of progress."""

    async def publish(self, topic: str, message: Any) -> Published:
        """Give the message to the subscribers."""
