"""`LimitLease`: the part of a topic's limits that this process may use at this moment.

Places are leased from the journal in batches, and kept: a request that finds a leased place free
costs nothing. The journal is asked when a request waits for a place, and when another process is
short; places that were not used for a while are returned. Of a rate, a process that draws alone
has the whole bucket; where several draw, each asks for the tokens of the requests that wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from qtforge_host.policies.journal_watch import JournalWatch
from qtforge_host.policies.token_bucket import TokenBucket
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal
from qtforge_sdk.policies import Limits, parse_rate

__all__ = ["LimitLease", "Usage"]

_LOG: Final = logging.getLogger("qtforge.policies")
_IDLE_LOOKS: Final = 10  # after which unused places are returned; one a second
_NEXT_LOOK_S: Final = 1.0  # between two attempts of a process that has some places
_FIRST_LOOK_S: Final = 0.25  # and of one that has none
_LONGEST_LOOK_S: Final = 10.0  # for a token
_TOKENS_LAST_S: Final = 0.1  # after which a token that was granted is not used any more


class Usage(NamedTuple):
    """How many requests use a limit at a moment, and how many wait for it."""

    using: int
    waiting: int


class LimitLease:
    """What this process has of the limits of one topic; for use on one event loop.

    Args:
        topic: The topic.
        limits: Its limits.
        bucket: Counts the tokens of the rate, while this process alone has them; None without one.
        journal: Where the processes share the limits.
        watch: Says whether this process still has its part, and looks at what others want.
        clock: The bucket's clock.
        usage: Returns how many requests use the limits, and wait for them.
        wake: Called when a waiting request should try again.
    """

    def __init__(
        self,
        topic: str,
        limits: Limits,
        bucket: TokenBucket | None,
        journal: Journal,
        watch: JournalWatch,
        clock: Clock,
        usage: Callable[[], Usage],
        wake: Callable[[], None],
    ) -> None:
        self.topic: Final = topic
        self._rate_name: Final = f"{topic} rate"
        self._places: Final = limits.concurrency
        self._rate: Final = None if limits.rate is None else parse_rate(limits.rate)
        self._bucket: Final = bucket
        self._journal: Final = journal
        self._watch: Final = watch
        self._clock: Final = clock
        self._usage: Final = usage
        self._wake: Final = wake
        self._held = 0
        self._share = 0  # of the places, while others are short
        self._has_released: Final = asyncio.Event()
        self._has_bucket = False
        self._tokens = 0
        self._tokens_until_s = 0.0
        self._awaits_token = False
        self._is_used = False  # since the last look
        self._idle_looks = 0
        self._tasks: Final[dict[str, asyncio.Task[None]]] = {}

    @property
    def held(self) -> int | None:
        """How many places this process has; None where their number is not limited."""
        return None if self._places is None else self._held

    @property
    def is_idle(self) -> bool:
        """Whether this process has nothing, and wants nothing."""
        return not (self._held or self._has_bucket or self._tasks)

    @property
    def next_token_at_s(self) -> float | None:
        """When to look for a token, on the bucket's clock; None where `wake` is called instead."""
        if self._bucket is None or not self._has_bucket:
            return None
        return self._bucket.available_at_s()

    def has_place(self, using: int) -> bool:
        """Return whether another request may begin; where not, ask the journal for a place.

        Args:
            using: How many use a place now.
        """
        self._is_used = True
        if self._places is None or (using < self._held and self._watch.is_fresh):
            return True
        self._start("places", self._adjust)
        return False

    def take_token(self) -> bool:
        """Take a token of the rate; where there is none, ask the journal for one."""
        if self._bucket is None:
            return True
        self._awaits_token = not self._has_token(self._bucket)
        return not self._awaits_token

    def _has_token(self, bucket: TokenBucket) -> bool:
        if self._has_bucket and self._watch.is_fresh:
            return bucket.take(self._clock.monotonic())
        if self._tokens and time.monotonic() < self._tokens_until_s:
            self._tokens -= 1
            return True
        self._start("tokens", self._draw)
        return False

    def release(self) -> None:
        """Notice that a request has ended: its place may be another process's."""
        if self._held > self._share:
            self._held = max(self._share, self._using())
            self._has_released.set()
            self._start("places", self._adjust)

    def distrust(self) -> None:
        """Take nothing for granted: the lease of this process may have ended meanwhile."""
        self._held = min(self._held, self._usage().using)
        self._has_bucket = False
        self._tokens = 0

    def look(self, short: frozenset[str]) -> None:
        """Return what this process does not use, where others are short or after a while.

        Args:
            short: The limits and rates of which another process wants more than it has.
        """
        self._idle_looks = 0 if self._is_used or any(self._usage()) else self._idle_looks + 1
        self._is_used = False
        is_idle = self._idle_looks >= _IDLE_LOOKS
        if self._held and (is_idle or self.topic in short):
            self._start("places", self._adjust)
        if self._has_bucket and (is_idle or self._rate_name in short):
            self._start("tokens", self._return_bucket)

    async def close(self) -> None:
        """Return the bucket of the rate; places end with the process's lease."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._has_bucket:
            await self._return_bucket()

    def _using(self) -> int:
        """Return how many places are not to be given away.

        One is that of the first request that waits, where it waits for a token alone: if another
        process got the place meanwhile, this one would have tokens without a place, the other
        one a place without tokens, and neither would proceed.
        """
        using, waiting = self._usage()
        return using + (self._awaits_token and waiting > 0 and using < self._held)

    def _has_free_place(self) -> bool:
        return self._places is None or self._usage().using < self._held

    def _start(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if what not in self._tasks:
            self._tasks[what] = asyncio.ensure_future(self._until_done(what, work))

    async def _until_done(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do some work, again where the journal fails."""
        is_said = False
        try:
            while True:
                try:
                    await work()
                    break
                except QtForgeError as error:
                    if not is_said:
                        _LOG.warning("the %s of '%s' are not known: %s", what, self.topic, error)
                    is_said = True
                await asyncio.sleep(_NEXT_LOOK_S)
        finally:
            del self._tasks[what]  # before a request is woken that may start it again
        self._wake()

    async def _adjust(self) -> None:
        """Hold as many places as can be used, and ask again while that are too few."""
        places = self._places or 0
        while True:
            await self._watch.refresh()
            using = self._using()
            # Until the answer is there, no more may be used than the question says.
            self._held = min(self._held, using)
            wanted = min(sum(self._usage()), places)
            holding = await self._journal.hold(self.topic, places, using=using, wanted=wanted)
            self._held = holding.held
            self._share = holding.share if holding.contended else holding.held
            if wanted > self._held:
                self._wake()
                await self._until_next_look()
            elif self._held >= min(sum(self._usage()), places):
                return

    async def _until_next_look(self) -> None:
        """Wait until there is a place to return, or for a while."""
        self._has_released.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NEXT_LOOK_S if self._held else _FIRST_LOOK_S):
                await self._has_released.wait()

    async def _draw(self) -> None:
        """Draw tokens for the requests that wait."""
        if self._rate is None or self._bucket is None:
            return
        slack_s = self._rate.period_s * (1 - 1 / self._rate.count)
        spare_s = min(_TOKENS_LAST_S, slack_s / 4)
        most = int(spare_s * self._rate.count / self._rate.period_s)
        while (waiting := self._usage().waiting) > 0 and self._has_free_place():
            await self._watch.refresh()
            drawn = await self._journal.draw(
                self._rate_name,
                max(min(waiting, most), 1),
                count=self._rate.count,
                period_s=self._rate.period_s,
                spare_s=spare_s if most > 1 else 0.0,
            )
            if drawn.full_in_s is not None:
                self._bucket.set_full_at(self._clock.monotonic() + drawn.full_in_s)
                self._has_bucket = True
            self._tokens = drawn.granted
            self._tokens_until_s = time.monotonic() + _TOKENS_LAST_S
            if self._has_bucket or drawn.granted:
                break
            await asyncio.sleep(min(drawn.retry_after_s, _LONGEST_LOOK_S))

    async def _return_bucket(self) -> None:
        """Let other processes draw from the bucket."""
        if self._rate is None or self._bucket is None:
            return
        self._has_bucket = False
        await self._journal.draw(
            self._rate_name,
            0,
            count=self._rate.count,
            period_s=self._rate.period_s,
            full_in_s=max(self._bucket.full_at_s - self._clock.monotonic(), 0.0),
        )
