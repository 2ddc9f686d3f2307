"""Messages of the workflow ``alert-delivery``."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "AddressRequest",
    "AlertAddress",
    "ConfirmRequest",
    "MailOutcome",
    "PostReceipt",
    "PostRequest",
]


class AddressRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Find out how a destination is reached.

    Attributes:
        alert: The name of the alert.
        destination: One of its destinations, as configured.
    """

    alert: str
    destination: str


class AlertAddress(msgspec.Struct, frozen=True, kw_only=True):
    """How a destination is reached; ``email`` is "" for one that is not reached by e-mail."""

    email: str = ""


class MailOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What notifier has done on one channel.

    Attributes:
        channel: ``email`` or another.
        delivered: Whether the channel accepted the message.
        detail: Why not, or where it went.
    """

    channel: str
    delivered: bool
    detail: str = ""


class ConfirmRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Check that a message was sent by e-mail.

    Attributes:
        deliveries: What notifier has done, channel by channel.
    """

    deliveries: tuple[MailOutcome, ...]


class PostRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Post a message to a webhook.

    Attributes:
        alert: The name of the alert.
        destination: One of its destinations, as configured.
        id: The id of the message, the same in every attempt.
        message: The message: ``type``, ``at`` and what it says.
    """

    alert: str
    destination: str
    id: str
    message: dict[str, Any]


class PostReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook accepted a message: the status of its answer."""

    status: int
