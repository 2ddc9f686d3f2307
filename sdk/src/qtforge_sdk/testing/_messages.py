"""What the test host remembers of each message, as frozen values."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "Answered",
    "Delivered",
    "Failed",
    "PublishedMessage",
    "RecordedMessage",
    "Requested",
]


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """A request was made.

    Attributes:
        topic: What was asked.
        message: With what, as the caller gave it.
    """

    topic: str
    message: Any


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A request was answered.

    Attributes:
        topic: What was asked.
        message: With what.
        response: As the caller got it.
        plugin: Who answered.
        version: That plugin's version.
        duration_s: In seconds.
    """

    topic: str
    message: Any
    response: Any
    plugin: str
    version: str
    duration_s: float


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A request failed, or a subscriber did.

    Attributes:
        topic: What was asked, or published.
        message: With what.
        error: What the caller got; for a subscriber, which has no caller, what it raised.
        plugin: Who failed, or "" when nobody had begun.
        duration_s: In seconds.
    """

    topic: str
    message: Any
    error: BaseException
    plugin: str
    duration_s: float


class PublishedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message was published.

    Attributes:
        topic: Under which topic.
        message: As it was given.
        delivered: How many mailboxes took it.
        dropped: How many were full.
    """

    topic: str
    message: Any
    delivered: int
    dropped: int


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber has handled a published message.

    Attributes:
        topic: Under which topic.
        message: As it was published.
        plugin: Whose subscriber, or "" for one made with ``bus.subscribe``.
        pattern: What it had subscribed to.
    """

    topic: str
    message: Any
    plugin: str
    pattern: str


RecordedMessage = Requested | Answered | Failed | PublishedMessage | Delivered
