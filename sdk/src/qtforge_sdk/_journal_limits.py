"""What a journal answers about limits and breakers; public in `qtforge_sdk.journal`."""

from __future__ import annotations

import datetime

import msgspec

__all__ = ["BreakerTrial", "Drawn", "Holding", "OpenBreaker"]


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """The places of a limit that a process holds; see `Journal.hold`.

    Attributes:
        held: How many.
        share: To how many the process is entitled; it holds more only while it uses them, or
            while nobody else is short.
        contended: Whether another process holds fewer than it wants.
    """

    held: int
    share: int
    contended: bool


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a rate that a process was granted; see `Journal.draw`.

    Attributes:
        granted: How many.
        retry_after_s: Seconds until there may be a token; 0 where some were granted.
        full_in_s: The process alone has the rate's bucket now, and counts its tokens itself: so
            many seconds after the call the bucket is full. None where it has to draw each token.
    """

    granted: int
    retry_after_s: float
    full_in_s: float | None = None


class OpenBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """A circuit breaker that is not closed.

    Attributes:
        topic: The breaker's topic.
        plugin: The breaker's plugin.
        until: When a trial call may be made, as the journal's clock counts, in UTC.
        reason: Why it is open, in one line.
    """

    topic: str
    plugin: str
    until: datetime.datetime
    reason: str


class BreakerTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a process that wants to make trial calls; see `Journal.try_breaker`.

    Attributes:
        granted: Whether this process makes them, and no other.
        is_closed: Whether another process has closed the breaker.
        left_s: For how many seconds the breaker stays open; 0 where it is half open.
    """

    granted: bool
    is_closed: bool = False
    left_s: float = 0.0
