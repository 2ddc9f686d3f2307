"""Circuit breakers: a plugin that keeps failing on a topic is left alone for a while.

The states and their names are those of Nygard's "Release It!" and of resilience4j.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from qtforge_host.durations import seconds
from qtforge_host.policies.callbacks import Callbacks
from qtforge_host.policies.retry import RetryableError, code_of
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import BreakerOpenError
from qtforge_sdk.policies import Breaker

__all__ = [
    "BreakerState",
    "Breakers",
    "CircuitBreaker",
    "Outcome",
    "Permit",
    "Transition",
    "outcome_of",
]

BreakerState = Literal["closed", "open", "half_open"]


Outcome = Literal["succeeded", "failed", "abandoned"]


"""``abandoned``: the call told nothing of the plugin, such as one that was cancelled."""


_TOLD_NOTHING: Final = frozenset(
    {"bus.closed", "bus.invalid_message", "bus.invalid_topic", "bus.no_handler", "run.cancelled"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A breaker went from one state to another.

    Attributes:
        topic: The breaker's topic.
        plugin: The breaker's plugin.
        before: The state that it left.
        after: The state that it is in.
        at: When, in UTC.
        reason: Why, in one line.
    """

    topic: str
    plugin: str
    before: BreakerState
    after: BreakerState
    at: datetime.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; hand it back with the outcome to `CircuitBreaker.after`.

    Attributes:
        period: How many transitions the breaker had made; a call that ends in another
            period than it began in tells nothing new.
    """

    period: int


def outcome_of(error: RetryableError | None) -> Outcome:
    """Tell what a call says of the plugin that answered it.

    A plugin that refuses one input with a code of its own is sound, and goes on to get
    others; a crash, a timeout, a full queue, and what the plugin itself calls retryable
    are failures of it.

    Args:
        error: The call's, or None when it was answered.
    """
    if error is None:
        return "succeeded"
    code = code_of(error)
    if code in _TOLD_NOTHING or code.startswith("policy."):
        return "abandoned"
    if error.retryable is not None:
        return "failed" if error.retryable else "succeeded"
    return "failed" if code.startswith("bus.") else "succeeded"


class CircuitBreaker:
    """The breaker of one plugin on one topic; for use on one event loop.

    Args:
        policy: When it opens, and for how long.
        topic: For errors and transitions.
        plugin: For errors and transitions.
        clock: Whose time counts.
        notify: Is called with each transition, after it was made; must not raise.

    Raises:
        ValueError: A duration of the policy is not one.
    """

    def __init__(
        self,
        policy: Breaker,
        topic: str,
        plugin: str,
        clock: Clock,
        notify: Callable[[Transition], None],
    ) -> None:
        self.policy: Final = policy
        self.topic: Final = topic
        self.plugin: Final = plugin
        self._window_s: Final = seconds(policy.window)
        self._open_for_s: Final = seconds(policy.open_for)
        self._clock: Final = clock
        self._notify: Final = notify
        self._state: BreakerState = "closed"
        self._period = 0
        self._failed_at_s: Final[deque[float]] = deque(maxlen=policy.failures)
        self._opened_at_s = 0.0
        self._trials = 0
        self._successes = 0

    @property
    def state(self) -> BreakerState:
        """The state now; one whose time has passed is half open, though nobody asked yet."""
        return "half_open" if self._state == "open" and self.closes_in_s <= 0 else self._state

    @property
    def closes_in_s(self) -> float:
        """Seconds until a trial call may be made; 0 unless open."""
        if self._state != "open":
            return 0.0
        return max(0.0, self._opened_at_s + self._open_for_s - self._clock.monotonic())

    @property
    def allows(self) -> bool:
        """Whether `before` would give a permit; changes nothing, so that routes can ask."""
        state = self.state
        if state == "half_open":
            return self._state == "open" or self._trials < self.policy.half_open
        return state == "closed"

    def before(self) -> Permit:
        """Ask for leave to make a call; who gets it must call `after`.

        Raises:
            BreakerOpenError: It is open, or half open with all its trial calls under way.
        """
        if not self.allows:
            raise BreakerOpenError(self.topic, self.plugin, self.closes_in_s)
        if self._state == "open":
            self._become("half_open", f"open for {self.policy.open_for}")
        if self._state == "half_open":
            self._trials += 1
        return Permit(self._period)

    def after(self, permit: Permit, outcome: Outcome) -> None:
        """Tell how a call ended; one that began before the last transition is ignored."""
        if permit.period != self._period:
            return
        if self._state == "half_open":
            self._after_trial(outcome)
        elif outcome == "failed":
            now_s = self._clock.monotonic()
            self._failed_at_s.append(now_s)
            full = len(self._failed_at_s) == self.policy.failures
            if full and now_s - self._failed_at_s[0] <= self._window_s:
                self._open(f"{self.policy.failures} failures within {self.policy.window}")

    def _after_trial(self, outcome: Outcome) -> None:
        self._trials -= 1
        if outcome == "failed":
            self._open("a trial call failed")
        elif outcome == "succeeded":
            self._successes += 1
            if self._successes == self.policy.half_open:
                self._become("closed", f"trial calls that succeeded: {self._successes}")

    def _open(self, reason: str) -> None:
        self._opened_at_s = self._clock.monotonic()
        self._become("open", reason)

    def _become(self, after: BreakerState, reason: str) -> None:
        before, self._state = self._state, after
        self._period += 1
        self._trials = self._successes = 0
        self._failed_at_s.clear()
        self._notify(
            Transition(
                topic=self.topic,
                plugin=self.plugin,
                before=before,
                after=after,
                at=self._clock.now(),
                reason=reason,
            )
        )


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
