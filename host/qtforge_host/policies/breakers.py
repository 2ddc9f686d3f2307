"""All breakers of a host, one for each topic and plugin, shared by its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from qtforge_host.policies.breaker import CircuitBreaker, Transition
from qtforge_host.policies.callbacks import Callbacks
from qtforge_sdk.clock import Clock
from qtforge_sdk.policies import Breaker

__all__ = ["Breakers"]


class Breakers:
    """Makes each breaker when it is first asked for; as many as there are handlers.

    Args:
        policy_of: Gives a topic's policy, or None where it has no breaker.
        clock: Whose time counts.
    """

    def __init__(self, policy_of: Callable[[str], Breaker | None], clock: Clock) -> None:
        self._policy_of: Final = policy_of
        self._clock: Final = clock
        self._breakers: Final[dict[tuple[str, str], CircuitBreaker | None]] = {}
        self._callbacks: Final = Callbacks[Transition]("breakers")

    def breaker(self, topic: str, plugin: str) -> CircuitBreaker | None:
        """Return the breaker of a plugin on a topic; None where the topic has none."""
        key = (topic, plugin)
        if key not in self._breakers:
            policy = self._policy_of(topic)
            self._breakers[key] = (
                None
                if policy is None
                else CircuitBreaker(policy, topic, plugin, self._clock, self._callbacks.tell)
            )
        return self._breakers[key]

    def allows(self, topic: str, plugin: str) -> bool:
        """Tell whether a plugin may be asked now; changes nothing."""
        breaker = self.breaker(topic, plugin)
        return breaker is None or breaker.allows

    def all(self) -> Sequence[CircuitBreaker]:
        """Return every breaker, by topic and plugin."""
        return [found for _, found in sorted(self._breakers.items()) if found is not None]

    def on_transition(self, callback: Callable[[Transition], None]) -> Callable[[], None]:
        """Call back with every transition, once it was made.

        Args:
            callback: Must be quick; what it raises is logged and harms nobody.

        Returns:
            A function that ends it.
        """
        return self._callbacks.add(callback)
