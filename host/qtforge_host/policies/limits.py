"""Limits of a topic: concurrency and rate, with one bounded queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import PolicyOverloadedError
from qtforge_sdk.policies import Limits, ParsedRate, parse_rate

__all__ = ["Limiter", "Limiters", "TokenBucket", "wait_until"]


_CLOSE_ENOUGH_S: Final = 1e-6  # sums of floating-point seconds are not exact


class TokenBucket:
    """A bucket of up to ``count`` tokens that is refilled evenly; initially full.

    It stores the time at which it will be full again (the generic cell rate algorithm of
    ITU-T I.371), which is equivalent and accumulates no rounding errors.

    Args:
        rate: The size of the bucket, and how long it takes to refill it.
    """

    def __init__(self, rate: ParsedRate) -> None:
        self._interval_s: Final = rate.period_s / rate.count
        self._slack_s: Final = rate.period_s - self._interval_s
        self._full_at_s = float("-inf")

    def available_at_s(self) -> float:
        """Return when the next token is available; it may be in the past."""
        return self._full_at_s - self._slack_s

    def take(self, now_s: float) -> bool:
        """Take a token; return False when there is none."""
        if now_s + _CLOSE_ENOUGH_S < self.available_at_s():
            return False
        self._full_at_s = max(self._full_at_s, now_s) + self._interval_s
        return True


class _Waiter:
    """One request in the queue; its future is set when it should try again."""

    def __init__(self) -> None:
        self.retry = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self.retry.done():
            self.retry.set_result(None)


class Limiter:
    """The limits of one topic, first come, first served; for use on one event loop.

    Args:
        policy: The limits.
        topic: The topic, for errors.
        clock: Measures the rate.
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
        """The number of requests in progress."""
        return self._active

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def turn(self, deadline_s: float | None = None) -> AsyncIterator[None]:
        """Wait for a turn, and hold it until the end of the block.

        Args:
            deadline_s: When to stop waiting, as the clock's ``monotonic`` counts; None waits
                until the caller is cancelled.

        Raises:
            PolicyOverloadedError: The queue is full, or the deadline has passed.
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
                waiter.retry = asyncio.get_running_loop().create_future()
                await wait_until(self._clock, waiter.retry, self._next_try_s(waiter, deadline_s))
        finally:  # also when cancelled: the next waiter is first now
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

    def _next_try_s(self, waiter: _Waiter, deadline_s: float | None) -> float | None:
        # A request that ends wakes the first waiter; a new token wakes none.
        moments = [] if deadline_s is None else [deadline_s]
        if self._bucket is not None and self._queue[0] is waiter and self._has_room():
            moments.append(self._bucket.available_at_s())
        return min(moments, default=None)

    def _wake_first(self) -> None:
        if self._queue:
            self._queue[0].wake()


class Limiters:
    """All limiters of a host, one for each topic that has limits.

    Args:
        policy_of: Returns the limits of a topic, or None.
        clock: Measures the rates.
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
        """Wait for a turn on a topic, as `Limiter.turn` does; without limits, do not wait."""
        limiter = self.limiter(topic)
        return contextlib.nullcontext() if limiter is None else limiter.turn(deadline_s)

    def all(self) -> Sequence[Limiter]:
        """Return every limiter, sorted by topic."""
        return [found for _, found in sorted(self._limiters.items()) if found is not None]


async def wait_until(clock: Clock, future: asyncio.Future[Any], moment_s: float | None) -> bool:
    """Wait until a future is done or a time is reached; the future is not changed.

    Args:
        clock: Measures the time.
        future: A future or a task.
        moment_s: The time, as ``clock.monotonic`` counts; None waits for the future alone.

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
