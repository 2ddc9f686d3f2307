"""The policies of each topic, applied by the bus: circuit breakers, limits and health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, cast

from qtforge_host.policies.breaker import Breakers, Transition, outcome_of
from qtforge_host.policies.health import HealthMonitor, Observation
from qtforge_host.policies.limits import Limiters
from qtforge_host.policies.retry import RetryableError
from qtforge_host.policies.shared_policies import SharedPolicies
from qtforge_sdk import Bus
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import BreakerOpenError, QtForgeError
from qtforge_sdk.journal import Journal
from qtforge_sdk.policies import TopicPolicy

__all__ = ["TopicPolicies", "TransitionPublisher", "transition_message"]

_LOG: Final = logging.getLogger("qtforge.host")
_TOPIC: Final = "breaker.transition"


class TopicPolicies:
    """The breakers, limiters and health checks of a host.

    Args:
        policies: The configured policy of each topic.
        clock: Measures windows, rates and intervals.
        observed: Given a plugin's name, returns what was noticed about its health, or None.

    Attributes:
        breakers: The circuit breakers.
        limiters: The limits of concurrency and rate.
        health: The plugins' health.
        sharing: Shares limits and breakers with other processes; None where nothing is shared.
    """

    def __init__(
        self,
        policies: Mapping[str, TopicPolicy],
        clock: Clock,
        observed: Observation = lambda plugin: None,
    ) -> None:
        self._policies = policies
        self.breakers = Breakers(lambda topic: self._of(topic).breaker, clock)
        self.limiters = Limiters(lambda topic: self._of(topic).limits, clock)
        self.health = HealthMonitor(clock, observed=observed)
        self.sharing: SharedPolicies | None = None

    def share(self, journal: Journal) -> None:
        """Let limits and breakers hold for all processes of a journal together.

        Args:
            journal: The journal, open until after `end_sharing`.
        """
        if any(each.is_shared for each in self._policies.values()):
            self.sharing = SharedPolicies(journal, self.limiters, self.breakers)

    async def end_sharing(self) -> None:
        """Return what other processes may use; what is requested later counts here alone."""
        shared, self.sharing = self.sharing, None
        if shared is not None:
            await shared.close()

    def forget_breaker(self, topic: str, name: str) -> bool:
        """Forget a breaker whose plugin is gone; return whether it has ever changed its state."""
        if self.sharing is not None:
            self.sharing.forget_breaker(topic, name)
        return self.breakers.remove(topic, name)

    def for_topic(self, topic: str, handlers: int) -> _RequestPolicy | None:
        """Return a topic's policy.

        Args:
            topic: The topic.
            handlers: How many handlers it has.

        Returns:
            None when nothing is configured and there is no choice of handlers.
        """
        if topic not in self._policies and handlers < 2:
            return None
        return _RequestPolicy(topic, self, is_shared=self._of(topic).is_shared)

    def _of(self, topic: str) -> TopicPolicy:
        return self._policies.get(topic) or TopicPolicy()


class _RequestPolicy:
    """Implements `qtforge_host.bus.policy.RequestPolicy` for one topic."""

    def __init__(self, topic: str, policies: TopicPolicies, *, is_shared: bool) -> None:
        self._topic = topic
        self._policies = policies
        self._is_shared = is_shared

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
        breaker = self._policies.breakers.known(self._topic, plugin)
        if breaker is None or permit is None:  # or its node is gone
            return
        if error is None or isinstance(error, QtForgeError):
            # Its code is a class's or an instance's; either way it is a text.
            breaker.after(permit, outcome_of(cast(RetryableError | None, error)))
        else:
            breaker.after(permit, "abandoned")

    def turn(self, deadline: float, *, of_node: bool) -> AbstractAsyncContextManager[None]:
        turn = self._policies.limiters.turn(self._topic, deadline, of_node=of_node)
        sharing = self._policies.sharing if self._is_shared else None
        return turn if sharing is None else sharing.prepare(self._topic, turn)


class TransitionPublisher:
    """Publishes each transition of a breaker on ``breaker.transition``; call it with one.

    Args:
        bus: Where to publish.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus: Final = bus
        self._publishing: Final[set[asyncio.Task[object]]] = set()

    def __call__(self, transition: Transition) -> None:
        """Log a transition, and publish it in a task: the breaker does not wait."""
        _LOG.warning(
            "the breaker of %s on '%s' is %s: %s",
            transition.plugin, transition.topic, transition.after, transition.reason,
        )  # fmt: skip
        if transition.adopted:  # the other process has published it
            return
        publishing = self._bus.publish(_TOPIC, transition_message(transition))
        task: asyncio.Task[object] = asyncio.ensure_future(publishing)
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)


def transition_message(transition: Transition) -> dict[str, Any]:
    """Return the message that is published for a breaker's transition."""
    return {
        "topic": transition.topic,
        "plugin": transition.plugin,
        "before": transition.before,
        "after": transition.after,
        "at": transition.at,
        "reason": transition.reason,
    }
