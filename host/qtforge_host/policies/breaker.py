"""Circuit breakers: a plugin that keeps failing on a topic is not called for a while.

The states and their names are those of Nygard's "Release It!" and of resilience4j.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from qtforge_host.policies.callbacks import Callbacks
from qtforge_host.policies.retry import RetryableError, code_of
from qtforge_sdk.clock import Clock
from qtforge_sdk.durations import duration_text, seconds
from qtforge_sdk.errors import BreakerOpenError, RequestTimeoutError
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
"""``abandoned``: the call says nothing about the plugin, such as one that was cancelled."""

_SAYS_NOTHING: Final = frozenset(
    {
        "bus.closed",
        "bus.invalid_message",
        "bus.invalid_topic",
        "bus.no_handler",
        "bus.node_gone",
        "bus.unavailable",
        "run.cancelled",
    }
)


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker's change of state.

    Attributes:
        topic: The breaker's topic.
        plugin: The breaker's plugin.
        before: The old state.
        after: The new state.
        at: When, in UTC.
        reason: Why, in one line.
        adopted: Whether another process has made the change, and this one follows it.
    """

    topic: str
    plugin: str
    before: BreakerState
    after: BreakerState
    at: datetime.datetime
    reason: str
    adopted: bool = False


class Permit(msgspec.Struct, frozen=True):
    """Permission for one call; pass it with the outcome to `CircuitBreaker.after`.

    Attributes:
        period: The number of transitions so far; the outcome of a call that began before the
            last transition is ignored.
    """

    period: int


def outcome_of(error: RetryableError | None) -> Outcome:
    """Return what a call says about the plugin that handled it.

    A plugin that refuses an input with a code of its own works. A crash, a timeout, a full
    queue, and an error that the plugin itself calls retryable are failures of the plugin. A
    timeout says nothing about it where others blocked the event loop meanwhile.

    Args:
        error: The error of the call, or None when it returned.
    """
    if error is None:
        return "succeeded"
    code = code_of(error)
    if isinstance(error, RequestTimeoutError) and error.excused:
        return "abandoned"
    if code in _SAYS_NOTHING or code.startswith("policy."):
        return "abandoned"
    if error.retryable is not None:
        return "failed" if error.retryable else "succeeded"
    return "failed" if code.startswith("bus.") else "succeeded"


class CircuitBreaker:
    """The breaker of one plugin on one topic; for use on one event loop.

    Args:
        policy: When it opens, and for how long.
        topic: The topic, for errors and transitions.
        plugin: The plugin, for errors and transitions.
        clock: Measures the policy's durations.
        notify: Called with each transition, after the change; must not raise.
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
        self._is_shared = False
        self._has_right = False  # to make trial calls, where several processes may want to

    @property
    def state(self) -> BreakerState:
        """The state; an open breaker whose time has passed is half open."""
        return "half_open" if self._state == "open" and self.closes_in_s <= 0 else self._state

    @property
    def has_changed(self) -> bool:
        """Whether it has ever changed its state."""
        return self._period > 0

    @property
    def closes_in_s(self) -> float:
        """Seconds until a trial call may be made; 0 unless open."""
        if self._state != "open":
            return 0.0
        return max(0.0, self._opened_at_s + self._open_for_s - self._clock.monotonic())

    @property
    def allows(self) -> bool:
        """Whether `before` would return a permit; changes nothing."""
        state = self.state
        if state == "half_open":
            if self.needs_right:
                return False
            return self._state == "open" or self._trials < self.policy.half_open
        return state == "closed"

    @property
    def needs_right(self) -> bool:
        """Whether a trial call may be made, but only by the process that has the right to."""
        return self._is_shared and not self._has_right and self.state == "half_open"

    @property
    def has_unused_right(self) -> bool:
        """Whether this process has the right to make trial calls, and makes none."""
        return self._has_right and self._trials == 0

    def share(self) -> None:
        """Make trial calls only with `grant_right` from now on."""
        self._is_shared = True

    def grant_right(self) -> None:
        """Let this process make the trial calls, until the state changes or `end_right`."""
        self._has_right = True

    def end_right(self) -> None:
        """Let this process make no trial calls."""
        self._has_right = False

    def adopt_open(self, left_s: float, reason: str) -> None:
        """Be open, as another process has said.

        Args:
            left_s: For how many seconds from now.
            reason: Why.
        """
        left_s = min(left_s, self._open_for_s)
        self._opened_at_s = self._clock.monotonic() + left_s - self._open_for_s
        self._has_right = False
        if self._state != "open":
            self._become("open", reason, adopted=True)

    def adopt_closed(self, reason: str) -> None:
        """Be closed, as another process has said."""
        if self._state != "closed":
            self._become("closed", reason, adopted=True)

    def before(self) -> Permit:
        """Return a permit for one call; the caller must pass it to `after`.

        Raises:
            BreakerOpenError: It is open, or half open with all trial calls in progress.
        """
        if not self.allows:
            raise BreakerOpenError(self.topic, self.plugin, self.closes_in_s)
        if self._state == "open":
            self._become("half_open", f"open for {duration_text(self.policy.open_for)}")
        if self._state == "half_open":
            self._trials += 1
        return Permit(self._period)

    def after(self, permit: Permit, outcome: Outcome) -> None:
        """Record the outcome of a call; one that began before the last transition is ignored."""
        if permit.period != self._period:
            return
        if self._state == "half_open":
            self._after_trial(outcome)
        elif outcome == "failed":
            now_s = self._clock.monotonic()
            self._failed_at_s.append(now_s)
            full = len(self._failed_at_s) == self.policy.failures
            if full and now_s - self._failed_at_s[0] <= self._window_s:
                window = duration_text(self.policy.window)
                self._open(f"{self.policy.failures} failures within {window}")

    def opening(self) -> Transition:
        """Return the transition by which it has opened, as if it were made now."""
        return Transition(
            topic=self.topic,
            plugin=self.plugin,
            before="closed",
            after="open",
            at=self._clock.now(),
            reason="it was open before other processes could know",
        )

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

    def _become(self, after: BreakerState, reason: str, *, adopted: bool = False) -> None:
        before, self._state = self._state, after
        self._has_right = self._has_right and after == "half_open"
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
                adopted=adopted,
            )
        )


class Breakers:
    """All breakers of a host; each is made when it is first used.

    Args:
        policy_of: Returns the policy of a topic, or None where it has no breaker.
        clock: Measures the policies' durations.
    """

    def __init__(self, policy_of: Callable[[str], Breaker | None], clock: Clock) -> None:
        self._policy_of: Final = policy_of
        self._clock: Final = clock
        self._breakers: Final[dict[tuple[str, str], CircuitBreaker | None]] = {}
        self._callbacks: Final = Callbacks[Transition]("breakers")
        self._is_sharing = False

    def breaker(self, topic: str, plugin: str) -> CircuitBreaker | None:
        """Return the breaker of a plugin on a topic; None where the topic has none."""
        key = (topic, plugin)
        if key not in self._breakers:
            policy = self._policy_of(topic)
            breaker = None
            if policy is not None:
                breaker = CircuitBreaker(policy, topic, plugin, self._clock, self._callbacks.notify)
                if self.is_shared(topic):
                    breaker.share()
            self._breakers[key] = breaker
        return self._breakers[key]

    def share(self, write: Callable[[Transition], None]) -> None:
        """Let the breakers that are shared be those of all processes from now on.

        Args:
            write: Called with a transition of each that is not closed, as if it were made now.
        """
        self._is_sharing = True
        for breaker in self.all():
            if self.is_shared(breaker.topic):
                breaker.share()
                if breaker.state != "closed":
                    write(breaker.opening())

    def is_shared(self, topic: str) -> bool:
        """Return whether a topic's breakers are those of all processes."""
        policy = self._policy_of(topic) if self._is_sharing else None
        return policy is not None and policy.shared

    def known(self, topic: str, plugin: str) -> CircuitBreaker | None:
        """Return the breaker of a plugin on a topic where it is used; None elsewhere."""
        return self._breakers.get((topic, plugin))

    def remove(self, topic: str, plugin: str) -> bool:
        """Forget a breaker whose plugin is gone; return whether it has ever changed its state."""
        breaker = self._breakers.pop((topic, plugin), None)
        return breaker is not None and breaker.has_changed

    def allows(self, topic: str, plugin: str) -> bool:
        """Return whether a plugin may be called now; changes nothing."""
        breaker = self.breaker(topic, plugin)
        return breaker is None or breaker.allows

    def all(self) -> Sequence[CircuitBreaker]:
        """Return every breaker, by topic and plugin."""
        return [found for _, found in sorted(self._breakers.items()) if found is not None]

    def on_transition(self, callback: Callable[[Transition], None]) -> Callable[[], None]:
        """Call a function with every transition, after the change.

        Args:
            callback: Must be quick; what it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        return self._callbacks.add(callback)
