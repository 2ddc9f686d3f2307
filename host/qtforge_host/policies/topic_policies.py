"""The host's policies for topics: breakers, limits and health, before every handler."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from qtforge_host.policies.breaker import Breakers, Transition, outcome_of
from qtforge_host.policies.health import HealthMonitor
from qtforge_host.policies.limits import Limiters
from qtforge_host.policies.retry import RetryableError
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import BreakerOpenError, QtForgeError
from qtforge_sdk.policies import TopicPolicy

__all__ = ["TopicPolicies", "transition_message"]


class TopicPolicies:
    """Gives each topic its guard.

    Args:
        policies: By topic.
        clock: Whose time counts.
    """

    def __init__(self, policies: Mapping[str, TopicPolicy], clock: Clock) -> None:
        self._policies = policies
        self.breakers = Breakers(lambda topic: self._of(topic).breaker, clock)
        self.limiters = Limiters(lambda topic: self._of(topic).limits, clock)
        self.health = HealthMonitor(clock)

    def guard(self, topic: str, handlers: int) -> _Guard | None:
        """Return a topic's guard; None where it has no policy, and no choice of handlers."""
        if topic not in self._policies and handlers < 2:
            return None
        return _Guard(topic, self)

    def _of(self, topic: str) -> TopicPolicy:
        return self._policies.get(topic) or TopicPolicy()


class _Guard:
    """Stands before one topic's handlers; implements `qtforge_host.bus.guard.Guard`."""

    def __init__(self, topic: str, policies: TopicPolicies) -> None:
        self._topic = topic
        self._policies = policies

    def refusal(self, plugin: str) -> Exception | None:
        breaker = self._policies.breakers.breaker(self._topic, plugin)
        if breaker is None or breaker.allows:
            return None
        return BreakerOpenError(self._topic, plugin, breaker.closes_in_s)

    def is_healthy(self, plugin: str) -> bool:
        return self._policies.health.is_usable(plugin)

    def before(self, plugin: str) -> Any:
        breaker = self._policies.breakers.breaker(self._topic, plugin)
        return None if breaker is None else breaker.before()

    def after(self, plugin: str, permit: Any, error: BaseException | None) -> None:
        breaker = self._policies.breakers.breaker(self._topic, plugin)
        if breaker is None or permit is None:
            return
        if error is None or isinstance(error, QtForgeError):
            # Its code is a class's or an instance's; either way it is a text.
            breaker.after(permit, outcome_of(cast(RetryableError | None, error)))
        else:
            breaker.after(permit, "abandoned")

    def turn(self, deadline: float) -> AbstractAsyncContextManager[None]:
        return self._policies.limiters.turn(self._topic, deadline)


def transition_message(transition: Transition) -> dict[str, Any]:
    """Return a breaker's transition as it is published on ``breaker.transition``."""
    return {
        "topic": transition.topic,
        "plugin": transition.plugin,
        "before": transition.before,
        "after": transition.after,
        "at": transition.at,
        "reason": transition.reason,
    }
