"""`SharedPolicies`: limits and breakers that hold for all processes of a journal together."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from qtforge_host.policies.breaker import Breakers, CircuitBreaker, Transition
from qtforge_host.policies.journal_watch import JournalWatch
from qtforge_host.policies.limit_lease import LimitLease
from qtforge_host.policies.limits import Limiter, Limiters
from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal, OpenBreaker, Standing

__all__ = ["SharedPolicies"]

_LOG: Final = logging.getLogger("qtforge.policies")
_AGAIN_S: Final = 1.0  # before a write is repeated
_CLOSING_S: Final = 2.0  # for returning what others may use
_Key = tuple[str, str]  # topic and plugin


class SharedPolicies:
    """Shares the limits and breakers of this process with all others of its journal.

    A limit is leased (`LimitLease`). A breaker is written where its state changes, and read once a
    second while topics with a breaker are in use; a process that wants to make trial calls asks
    for the right to.

    Args:
        journal: The journal, open.
        limiters: The limits of this process.
        breakers: The breakers of this process.
    """

    def __init__(self, journal: Journal, limiters: Limiters, breakers: Breakers) -> None:
        self._journal: Final = journal
        self._limiters: Final = limiters
        self._breakers: Final = breakers
        self._watch: Final = JournalWatch(journal, self._notice, self._has_anything)
        self._leases: Final[list[LimitLease]] = []
        self._not_closed: Final[dict[str, set[str]]] = {}  # plugins by topic
        # Breakers as the journal has them: seen there, opened by this process and not seen yet
        # (with the moment by which that was written), and closed by this process but perhaps
        # still seen.
        self._seen: Final[dict[_Key, datetime.datetime]] = {}
        self._opened: Final[dict[_Key, tuple[datetime.datetime, float]]] = {}
        self._closed: Final[dict[_Key, datetime.datetime]] = {}
        self._to_write: Final[dict[_Key, Transition]] = {}
        self._writing: Final[dict[_Key, asyncio.Task[None]]] = {}
        self._giving_up: Final[set[asyncio.Task[None]]] = set()
        self._is_first_look = True
        self._stop_listening: Final = breakers.on_transition(self._write)
        limiters.on_limiter(self._lease)
        breakers.share(self._write)

    def prepare(
        self, topic: str, turn: AbstractAsyncContextManager[None]
    ) -> AbstractAsyncContextManager[None]:
        """Return a request's turn, in which the topic's breakers are as all processes have them.

        Args:
            topic: The topic.
            turn: Waits for the request's turn.
        """
        self._watch.note_use()
        if self._watch.is_awake and topic not in self._not_closed:
            return turn  # as nearly always
        return self._prepared(topic, turn)

    async def close(self) -> None:
        """Return what other processes may use, and count for this process alone again."""
        self._stop_listening()
        await self._watch.close()
        self._limiters.on_limiter(Limiter.end_sharing)
        with contextlib.suppress(TimeoutError, QtForgeError):
            async with asyncio.timeout(_CLOSING_S):
                while self._writing:
                    await asyncio.wait(list(self._writing.values()))
                for lease in self._leases:
                    await lease.close()
        tasks = [*self._writing.values(), *self._giving_up]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def forget_breaker(self, topic: str, plugin: str) -> None:
        """Forget a breaker whose plugin is gone."""
        if (topic, plugin) in self._seen or (topic, plugin) in self._opened:
            self._start_writing((topic, plugin))
        self._note_closed(topic, plugin)

    # Limits.

    def _lease(self, limiter: Limiter) -> None:
        if limiter.policy.shared:
            self._leases.append(limiter.share(self._journal, self._watch))

    def _has_anything(self) -> bool:
        return not all(lease.is_idle for lease in self._leases)

    async def _notice(self, standing: Standing, may_have_lost: bool) -> None:
        for lease in self._leases:
            if may_have_lost:
                lease.distrust()
            lease.look(standing.short)
        await self._adopt(standing.breakers)

    # Breakers.

    @contextlib.asynccontextmanager
    async def _prepared(
        self, topic: str, turn: AbstractAsyncContextManager[None]
    ) -> AsyncIterator[None]:
        async with turn:
            # Where the journal does not answer, what is known here counts.
            with contextlib.suppress(QtForgeError):
                await self._watch.refresh()
            for breaker in self._shared(topic):
                await self._ask_for_trial(breaker)
            try:
                yield
            finally:
                for breaker in self._shared(topic):
                    if breaker.has_unused_right:
                        breaker.end_right()
                        self._give_up(breaker)

    def _shared(self, topic: str) -> Sequence[CircuitBreaker]:
        plugins: Iterable[str] = self._not_closed.get(topic, ())
        found = (self._breakers.known(topic, plugin) for plugin in sorted(plugins))
        return [breaker for breaker in found if breaker is not None]

    async def _ask_for_trial(self, breaker: CircuitBreaker) -> None:
        key = breaker.topic, breaker.plugin
        if not breaker.needs_right:
            return
        if key in self._writing:  # others don't know of it yet
            breaker.grant_right()
            return
        try:
            trial = await self._journal.try_breaker(*key)
        except QtForgeError:
            breaker.grant_right()
            return
        if trial.granted and breaker.needs_right:
            breaker.grant_right()
        elif trial.is_closed:
            self._forget(key)
            breaker.adopt_closed("another process has closed it")
        elif trial.left_s > 0 and breaker.needs_right:
            breaker.adopt_open(trial.left_s, "another process has opened it")

    def _give_up(self, breaker: CircuitBreaker) -> None:
        async def give_up() -> None:
            with contextlib.suppress(QtForgeError):  # the right ends with this process
                await self._journal.try_breaker(breaker.topic, breaker.plugin, give_up=True)

        task = asyncio.ensure_future(give_up())
        self._giving_up.add(task)
        task.add_done_callback(self._giving_up.discard)

    def _write(self, transition: Transition) -> None:
        """Note a breaker's change of state, and let other processes know what they don't."""
        key = transition.topic, transition.plugin
        if not self._breakers.is_shared(transition.topic):
            return
        if transition.after == "closed":
            self._note_closed(*key)
        else:
            self._not_closed.setdefault(transition.topic, set()).add(transition.plugin)
        if not transition.adopted and transition.after != "half_open":
            self._to_write[key] = transition
            self._start_writing(key)

    def _note_closed(self, topic: str, plugin: str) -> None:
        plugins = self._not_closed.get(topic, set())
        plugins.discard(plugin)
        if not plugins:
            self._not_closed.pop(topic, None)

    def _start_writing(self, key: _Key) -> None:
        if key not in self._writing:
            self._writing[key] = asyncio.ensure_future(self._write_until_done(key))

    async def _write_until_done(self, key: _Key) -> None:
        is_said = False
        try:
            while True:
                transition = self._to_write.get(key)
                try:
                    await self._write_once(key, transition)
                except QtForgeError as error:
                    if not is_said:
                        _LOG.warning("the breaker of %s on '%s' is not known to other"
                                     " processes: %s", key[1], key[0], error)  # fmt: skip
                    is_said = True
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if self._to_write.get(key) is transition:
                    self._to_write.pop(key, None)
                    return
        finally:
            del self._writing[key]

    async def _write_once(self, key: _Key, transition: Transition | None) -> None:
        breaker = self._breakers.known(*key)
        if transition is not None and transition.after == "open" and breaker is not None:
            open_for_s = seconds(breaker.policy.open_for)
            until = await self._journal.open_breaker(*key, open_for_s, transition.reason)
            self._closed.pop(key, None)
            self._opened[key] = until, time.monotonic()
        else:
            await self._journal.close_breaker(*key)
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        seen, opened = self._seen.pop(key, None), self._opened.pop(key, None)
        if (until := opened[0] if opened is not None else seen) is not None:
            self._closed[key] = until

    async def _adopt(self, found: Sequence[OpenBreaker]) -> None:
        """Let the breakers of this process be as the others have them."""
        if self._is_first_look and found and len(await self._journal.owners()) <= 1:
            # What processes have left that have all ended is forgotten, as it is with one process.
            for each in found:
                await self._journal.close_breaker(each.topic, each.plugin)
            found = ()
        self._is_first_look = False
        rows = {(each.topic, each.plugin): each for each in found}
        changed = []
        for key, row in rows.items():
            if key in self._writing or row.until == self._closed.get(key):
                continue
            opened = self._opened.get(key)
            if opened is not None and row.until == opened[0]:
                del self._opened[key]
            elif row.until != self._seen.get(key):
                changed.append(row)
            self._seen[key] = row.until
        for key in [each for each in self._closed if each not in rows]:
            del self._closed[key]
        for key, (_, written_s) in list(self._opened.items()):
            if key not in rows and written_s <= self._watch.looked_at_s:
                self._seen[key] = self._opened.pop(key)[0]  # it was there, between two looks
        for key in [each for each in self._seen if each not in rows]:
            del self._seen[key]
            breaker = self._breakers.known(*key)
            if breaker is not None and key not in self._opened and key not in self._writing:
                breaker.adopt_closed("another process has closed it")
        if not changed:
            return
        now = await self._journal.now()
        for row in changed:
            if not self._breakers.is_shared(row.topic):
                continue
            breaker = self._breakers.breaker(row.topic, row.plugin)
            if breaker is not None:
                breaker.adopt_open((row.until - now).total_seconds(), row.reason)
