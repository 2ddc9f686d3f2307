"""Errors of policies that refuse a request before it reaches a handler."""

from __future__ import annotations

from qtforge_sdk.errors._root import QtForgeError

__all__ = ["BreakerOpenError", "PolicyError", "PolicyOverloadedError"]


class PolicyError(QtForgeError):
    """A policy refused a request; no handler received it."""


class BreakerOpenError(PolicyError):
    """The circuit breaker of a plugin on a topic is open.

    Args:
        topic: The requested topic.
        plugin: The plugin that failed too often.
        closes_in_s: The time until it lets a trial call through, in seconds; 0 while one is in
            progress.
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
    """The limits of a topic did not admit the request in time; it was not dispatched.

    Args:
        topic: The requested topic.
        why: The limit: the queue is full, or the deadline passed while the request waited.
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
