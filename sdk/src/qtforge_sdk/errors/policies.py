"""What a policy refuses: nothing was asked of the plugin."""

from __future__ import annotations

from qtforge_sdk.errors.root import QtForgeError

__all__ = ["BreakerOpenError", "PolicyError", "PolicyOverloadedError"]


class PolicyError(QtForgeError):
    """A policy kept a request from its handler; the handler was not asked."""


class BreakerOpenError(PolicyError):
    """The circuit breaker of a plugin on a topic is open; try again when it closes.

    Args:
        topic: The topic that was asked.
        plugin: The plugin that failed too often.
        closes_in_s: Seconds until it lets a trial call through; 0 when a trial is under way.
    """

    code = "policy.breaker_open"
    http_status = 503
    retryable = True

    def __init__(self, topic: str, plugin: str, closes_in_s: float, /) -> None:
        when = f"in {closes_in_s:g} s" if closes_in_s > 0 else "when its trial call succeeds"
        super().__init__(
            f"the circuit breaker of {plugin} on '{topic}' is open",
            f"it failed too often, and closes {when} at the earliest",
            f"try again later, or see why {plugin} fails",
        )
        self.topic = topic
        self.plugin = plugin
        self.closes_in_s = closes_in_s
        self.retry_after_s = closes_in_s


class PolicyOverloadedError(PolicyError):
    """A topic's limits left no room for the request in time; nothing was done.

    Args:
        topic: The topic that was asked.
        why: Which limit: the queue is full, or the deadline came before the turn.
    """

    code = "policy.overloaded"
    http_status = 503
    retryable = True

    def __init__(self, topic: str, why: str, /) -> None:
        super().__init__(
            f"the limits of '{topic}' leave no room for this request",
            why,
            "send fewer at once, give it more time, or raise the topic's limits",
        )
        self.topic = topic
