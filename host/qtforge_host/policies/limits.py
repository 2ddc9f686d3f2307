"""How much may be asked of a topic: concurrency and rate, behind one bounded queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qtforge_host.durations import seconds
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import PolicyOverloadedError
from qtforge_sdk.policies import Limits

__all__ = ["Limiter", "Limiters", "ParsedRate", "TokenBucket", "parse_rate", "wait_until"]


async def wait_until(clock: Clock, future: asyncio.Future[Any], moment_s: float | None) -> bool:
    """Wait for a future; it is neither cancelled nor asked for its result.

    Args:
        clock: Whose time counts.
        future: A future or a task.
        moment_s: Until when, as ``clock.monotonic`` counts; None waits as long as it takes.

    Returns:
        Whether the future is done.
    """
    if future.done():
        return True
    if moment_s is None:
        await asyncio.wait((future,))
        return True
    left_s = moment_s - clock.monotonic()
    if left_s <= 0:
        return False
    alarm = asyncio.ensure_future(clock.sleep(left_s))
    try:
        await asyncio.wait((future, alarm), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not alarm.done():
            alarm.cancel()
            await asyncio.wait((alarm,))
    return future.done()


_CLOSE_ENOUGH_S: Final = 1e-6  # sums of floating-point seconds are not exact


@dataclass(frozen=True, slots=True)
class ParsedRate:
    """A rate as numbers.

    Attributes:
        count: How many.
        period_s: In how many seconds.
    """

    count: int
    period_s: float


def parse_rate(text: str) -> ParsedRate:
    """Return what ``10/s``, ``300/m``, ``1000/h`` or ``5/30s`` says.

    Raises:
        ValueError: It is not a rate.

    >>> parse_rate("300/m")
    ParsedRate(count=300, period_s=60.0)
    """
    count, _, period = (part.strip() for part in text.partition("/"))
    try:
        if not count.isdecimal() or int(count) == 0:
            raise ValueError
        return ParsedRate(int(count), seconds(period if period[:1].isdecimal() else f"1{period}"))
    except ValueError as error:
        raise ValueError(f"'{text}' is not a rate: write it as 10/s, 300/m or 5/30s") from error


class TokenBucket:
    """Holds up to ``count`` tokens and is refilled evenly; full at first.

    It keeps the moment at which it will be full again (the generic cell rate algorithm of
    ITU-T I.371), which is the same and has no sum that drifts.

    Args:
        rate: Its size, and how long it takes to be refilled.
    """

    def __init__(self, rate: ParsedRate) -> None:
        self._interval_s: Final = rate.period_s / rate.count
        self._slack_s: Final = rate.period_s - self._interval_s
        self._full_at_s = float("-inf")

    def available_at_s(self) -> float:
        """Return the moment from which a token is there; it may be past."""
        return self._full_at_s - self._slack_s

    def take(self, now_s: float) -> bool:
        """Take a token, if there is one."""
        if now_s + _CLOSE_ENOUGH_S < self.available_at_s():
            return False
        self._full_at_s = max(self._full_at_s, now_s) + self._interval_s
        return True


class _Waiter:
    """One request in the queue; its future is set when it should look again."""

    def __init__(self) -> None:
        self.look = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self.look.done():
            self.look.set_result(None)


class Limiter:
    """The limits of one topic: first come, first served; for use on one event loop.

    Args:
        policy: The topic's.
        topic: For errors.
        clock: Whose time counts.

    Raises:
        ValueError: The policy's rate is not one.
    """

    def __init__(self, policy: Limits, topic: str, clock: Clock) -> None:
        self.policy: Final = policy
        self.topic: Final = topic
        self._clock: Final = clock
        self._bucket: Final = None if policy.rate is None else TokenBucket(parse_rate(policy.rate))
        self._active = 0
        self._queue: Final[deque[_Waiter]] = deque()

    @property
    def active(self) -> int:
        """How many requests have their turn now."""
        return self._active

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def turn(self, deadline_s: float | None = None) -> AsyncIterator[None]:
        """Wait for a turn, and give it back at the end.

        Args:
            deadline_s: Until when to wait, as the clock's ``monotonic`` counts; None waits
                until the caller is cancelled.

        Raises:
            PolicyOverloadedError: The queue is full, or the deadline came first.
        """
        await self._enter(deadline_s)
        try:
            yield
        finally:
            self._active -= 1
            self._wake_first()

    async def _enter(self, deadline_s: float | None) -> None:
        if not self._queue and self._take():
            return
        if len(self._queue) >= self.policy.queue:
            raise PolicyOverloadedError(
                self.topic, f"{len(self._queue)} requests wait already, which fills its queue"
            )
        waiter = _Waiter()
        self._queue.append(waiter)
        try:
            while not (self._queue[0] is waiter and self._take()):
                if deadline_s is not None and self._clock.monotonic() >= deadline_s:
                    raise PolicyOverloadedError(self.topic, "its turn did not come in time")
                waiter.look = asyncio.get_running_loop().create_future()
                await wait_until(self._clock, waiter.look, self._next_look_s(waiter, deadline_s))
        finally:  # also when cancelled: the next one is first now
            self._queue.remove(waiter)
            self._wake_first()

    def _has_room(self) -> bool:
        return self.policy.concurrency is None or self._active < self.policy.concurrency

    def _take(self) -> bool:
        if not self._has_room():
            return False
        if self._bucket is not None and not self._bucket.take(self._clock.monotonic()):
            return False
        self._active += 1
        return True

    def _next_look_s(self, waiter: _Waiter, deadline_s: float | None) -> float | None:
        # A place that becomes free wakes the first; a token that falls due wakes nobody.
        moments = [] if deadline_s is None else [deadline_s]
        if self._bucket is not None and self._queue[0] is waiter and self._has_room():
            moments.append(self._bucket.available_at_s())
        return min(moments, default=None)

    def _wake_first(self) -> None:
        if self._queue:
            self._queue[0].wake()


class Limiters:
    """All limiters of a host, one for each topic that has limits, shared by its runs.

    Args:
        policy_of: Gives a topic's policy, or None where it has no limits.
        clock: Whose time counts.
    """

    def __init__(self, policy_of: Callable[[str], Limits | None], clock: Clock) -> None:
        self._policy_of: Final = policy_of
        self._clock: Final = clock
        self._limiters: Final[dict[str, Limiter | None]] = {}

    def limiter(self, topic: str) -> Limiter | None:
        """Return a topic's limiter; None where it has no limits."""
        if topic not in self._limiters:
            policy = self._policy_of(topic)
            self._limiters[topic] = None if policy is None else Limiter(policy, topic, self._clock)
        return self._limiters[topic]

    def turn(
        self, topic: str, deadline_s: float | None = None
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Wait for a turn on a topic as `Limiter.turn` does; at once where it has no limits."""
        limiter = self.limiter(topic)
        return contextlib.nullcontext() if limiter is None else limiter.turn(deadline_s)

    def all(self) -> Sequence[Limiter]:
        """Return every limiter, by topic."""
        return [found for _, found in sorted(self._limiters.items()) if found is not None]
