"""Limits of a topic: concurrency and rate, with one bounded queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from qtforge_host.policies.journal_watch import JournalWatch
from qtforge_host.policies.limit_lease import LimitLease, Usage
from qtforge_host.policies.token_bucket import TokenBucket
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import PolicyOverloadedError
from qtforge_sdk.journal import Journal
from qtforge_sdk.policies import Limits, parse_rate

__all__ = ["Limiter", "Limiters", "wait_until"]


class _Waiter:
    """One request in the queue; its future is set when it should try again."""

    def __init__(self) -> None:
        self.retry = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self.retry.done():
            self.retry.set_result(None)


_Queue = deque[_Waiter]


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
        self._of_nodes = 0  # of these, the requests of other nodes
        self._queue: Final[_Queue] = deque()
        self._node_queue: Final[_Queue] = deque()
        self._lease: LimitLease | None = None

    @property
    def active(self) -> int:
        """The number of requests in progress."""
        return self._active

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._queue) + len(self._node_queue)

    @property
    def held(self) -> int | None:
        """How many places this process has of those of all processes; None without sharing."""
        return None if self._lease is None else self._lease.held

    def share(self, journal: Journal, watch: JournalWatch) -> LimitLease:
        """Let the limits hold for the requests of all processes of a journal together.

        The requests that other nodes send to this process count here as before; their own
        processes count them for all.

        Args:
            journal: The journal.
            watch: Looks at what other processes of the journal want.

        Returns:
            The part of the limits that this process may use.
        """
        self._lease = LimitLease(
            self.topic,
            self.policy,
            self._bucket,
            journal,
            watch,
            self._clock,
            lambda: Usage(self._active - self._of_nodes, len(self._queue)),
            self._wake_first,
        )
        return self._lease

    def end_sharing(self) -> None:
        """Let the limits hold in this process alone again."""
        self._lease = None
        self._wake_first()

    @contextlib.asynccontextmanager
    async def turn(
        self, deadline_s: float | None = None, *, of_node: bool = False
    ) -> AsyncIterator[None]:
        """Wait for a turn, and hold it until the end of the block.

        Args:
            deadline_s: When to stop waiting, as the clock's ``monotonic`` counts; None waits
                until the caller is cancelled.
            of_node: Whether another node has sent the request.

        Raises:
            PolicyOverloadedError: The queue is full, or the deadline has passed.
        """
        await self._enter(deadline_s, of_node=of_node)
        try:
            yield
        finally:
            self._active -= 1
            if of_node:
                self._of_nodes -= 1
            if self._lease is not None:
                self._lease.release()
            self._wake_first()

    async def _enter(self, deadline_s: float | None, *, of_node: bool) -> None:
        # The first of this process may wait for a place that the sender of the other one has.
        queue = self._node_queue if of_node else self._queue
        if not queue and self._take(of_node=of_node):
            return
        if self.waiting >= self.policy.queue:
            raise PolicyOverloadedError(
                self.topic, f"{self.waiting} requests wait already, which fills its queue"
            )
        waiter = _Waiter()
        queue.append(waiter)
        try:
            while not (queue[0] is waiter and self._take(of_node=of_node)):
                if deadline_s is not None and self._clock.monotonic() >= deadline_s:
                    raise PolicyOverloadedError(self.topic, "its turn did not come in time")
                waiter.retry = asyncio.get_running_loop().create_future()
                next_try_s = self._next_try_s(queue[0] is waiter, deadline_s, of_node=of_node)
                await wait_until(self._clock, waiter.retry, next_try_s)
        finally:  # also when cancelled: the next waiter is first now
            queue.remove(waiter)
            self._wake_first()

    def _has_room(self) -> bool:
        return self.policy.concurrency is None or self._active < self.policy.concurrency

    def _take(self, *, of_node: bool) -> bool:
        if not self._has_room():
            return False
        if self._lease is not None and not of_node:
            using = self._active - self._of_nodes
            if not (self._lease.has_place(using) and self._lease.take_token()):
                return False
        elif self._bucket is not None and not self._bucket.take(self._clock.monotonic()):
            return False
        self._active += 1
        if of_node:
            self._of_nodes += 1
        return True

    def _next_try_s(
        self, is_first: bool, deadline_s: float | None, *, of_node: bool
    ) -> float | None:
        # A request that ends wakes the first waiter; a new token wakes none.
        moments = [] if deadline_s is None else [deadline_s]
        if self._bucket is not None and is_first and self._has_room():
            if self._lease is None or of_node:
                moments.append(self._bucket.available_at_s())
            elif (token_at_s := self._lease.next_token_at_s) is not None:
                moments.append(token_at_s)
        return min(moments, default=None)

    def _wake_first(self) -> None:
        if self._queue:
            self._queue[0].wake()
        if self._node_queue:
            self._node_queue[0].wake()


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
        self._share: Callable[[Limiter], None] = _nothing

    def limiter(self, topic: str) -> Limiter | None:
        """Return a topic's limiter; None where it has no limits."""
        if topic not in self._limiters:
            policy = self._policy_of(topic)
            limiter = None if policy is None else Limiter(policy, topic, self._clock)
            self._limiters[topic] = limiter
            if limiter is not None:
                self._share(limiter)
        return self._limiters[topic]

    def on_limiter(self, share: Callable[[Limiter], None]) -> None:
        """Call a function with every limiter, and with each that is made later."""
        self._share = share
        for limiter in self.all():
            share(limiter)

    def turn(
        self, topic: str, deadline_s: float | None = None, *, of_node: bool = False
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Wait for a turn on a topic, as `Limiter.turn` does; without limits, do not wait."""
        limiter = self.limiter(topic)
        if limiter is None:
            return contextlib.nullcontext()
        return limiter.turn(deadline_s, of_node=of_node)

    def all(self) -> Sequence[Limiter]:
        """Return every limiter, sorted by topic."""
        return [found for _, found in sorted(self._limiters.items()) if found is not None]


def _nothing(limiter: Limiter) -> None:
    """Share nothing with other processes."""


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
