"""Resume every run that was interrupted, was sent something, or has a timer that is due."""

from __future__ import annotations

import asyncio
import datetime
import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from socket import gethostname
from typing import Any, Final

import msgspec

from qtforge_host.placements import Placements
from qtforge_host.runs.peers import Peers, plugins_of
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.runs.versions import majors
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Announcement, Cursor, Journal

__all__ = ["RecoveryLoop", "default_node", "lasts"]

_LOG = logging.getLogger("qtforge.runs")
_AT_ONCE: Final = 1000  # runs that are resumed before the next look
_SWEEP_S: Final = 5.0  # between two looks for runs whose process has died
_ALERT_S: Final = 10.0  # for which a process that has gone is looked for often
_OFTEN_S: Final = 1.0  # between two looks then: its lease may still run, as after a server's start
_TIMERS_S: Final = 30.0  # between two looks of an idle process for the next timer
_LONGEST_S: Final = 60.0  # between two attempts to resume the same run
_JUMP_S: Final = 1.0  # by which the time of day and the seconds that pass may differ
_EVER: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC)
_ALL: Final = 1_000_000
_ROOM_S: Final = 0.25  # between two looks whether there is room for queued runs
_LEAST_SHARE: Final = 4  # runs that a process takes at once where others take some too
_LARGEST_SHARE: Final = 16
_LEFT_S: Final = 0.05  # for which queued runs are left to processes that execute fewer
_YIELD_S: Final = 0.05  # between two looks meanwhile
_HAND_OVER_S: Final = 0.2  # between two looks at what is to be handed over
_ANY_NUMBER: Final = 1_000_000
_CONTACT_S: Final = 0.25  # between two looks whether the store still answers
_GAP_S: Final = 0.01  # between two looks that other processes' writes lead to


class _Attempts(msgspec.Struct):
    """When a run is tried again: ever less often, up to a longest delay."""

    delay_s: float = 0.0
    next_s: float = 0.0  # on the scale of `time.monotonic`

    def is_due(self) -> bool:
        """Return whether the run is tried now; the next attempt is due later then."""
        now_s = time.monotonic()
        if now_s < self.next_s:
            return False
        self.delay_s = min(_LONGEST_S, max(_SWEEP_S, 2 * self.delay_s))
        self.next_s = now_s + self.delay_s * 0.9  # not after the look that comes then
        return True


class RecoveryLoop:
    """Resumes runs for as long as it runs; one for each state directory.

    When the journal has changed, the loop looks at once for runs that were sent something. Every
    few seconds, and at its start, it also looks for runs that nothing reports: those whose process
    has died, and those that this process had to leave because the store failed. A run that can't
    be resumed is tried again by time, ever less often, and at once when the plugins have changed.

    When the process was requested to drain (`Journal.drain`), the loop begins nothing, and hands
    its runs over to other processes. It keeps what no other live process can continue.

    Args:
        supervisor: Resumes them.
        journal: Holds them.
        clock: The time.
        pools: Runs of these pools are executed here.
        max_runs: So many runs are executed here at once before others wait; None for any number.
        node: The name of this process; "" for one that its host and number give.
        role: The command that it executes.
        grace_s: How long steps in progress may take when the process is drained, in seconds.
        on_draining: Called with whether the process is drained, at first and when that changes.
        placements: Where plugins are that keep their data on one node; None for nowhere.

    Attributes:
        ready: Set after the first look at every run.
        peers: The other processes that take runs.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        journal: Journal,
        clock: Clock,
        pools: Sequence[str] = ("default",),
        max_runs: int | None = None,
        *,
        node: str = "",
        role: str = "application",
        grace_s: float = 10.0,
        on_draining: Callable[[bool], None] = lambda draining: None,
        placements: Placements | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._pools = tuple(pools)
        self._max_runs = sys.maxsize if max_runs is None else max_runs
        self._is_crowded = False  # queued runs may wait for room
        self._has_skipped = False  # there was no room, so that messages were not looked at
        self._ahead_since: float | None = None
        self._yields = False  # it has left queued runs to others for a moment
        self._wants_more = False  # it has taken its share, and there may be more
        self._journal = journal
        self._clock = clock
        self._node = node or default_node()
        self._role = role
        self._grace_s = grace_s
        self._on_draining = on_draining
        self._placements = placements
        self._said_draining: bool | None = None
        self.ready = asyncio.Event()
        self.peers = Peers(journal)
        self._wanted = asyncio.Event()
        self._swept_at = -_SWEEP_S
        self._alert_until = 0.0  # on the scale of `time.monotonic`
        self._offset_s = self._offset_now_s()
        self._overflowed = False  # more runs are to be resumed than at once
        self._read_until: Cursor = ""  # messages before were looked at
        self._was_idle = False  # the last turn found nothing, and nothing executes here
        self._next_due: datetime.datetime | None = None
        self._next_due_read_at = 0.0  # on the scale of `time.monotonic`
        self._attempts: dict[str, _Attempts] = {}  # of runs that were left
        self._plugins: dict[str, str] = {}
        self._announced: Announcement | None = None
        self._noted: dict[str, dict[str, str]] = {}  # what runs need, as the journal knows it
        self._drains_since: float | None = None
        self._trouble: QtForgeError | None = None

    @property
    def trouble(self) -> Exception | None:
        """Why runs do not continue at the moment: what the store says; None when all is well."""
        left = [*self._supervisor.active_runs.left.values()]
        if self._trouble is not None:
            left.insert(0, self._trouble)
        return next(filter(lasts, left), left[0] if left else None)

    async def run(self) -> None:
        """Resume runs until cancelled.

        A store that fails, at the first look or later, is tried again by time.
        """
        active_runs = self._supervisor.active_runs
        active_runs.on_change.add(self._wanted.set)
        active_runs.on_room = self._notice_room
        self._supervisor.engine.has_peer_with = self._has_peer_with
        watching = asyncio.ensure_future(self._watch_contact())
        try:
            while True:
                try:
                    await active_runs.ensure_watching()
                    wait_s = await self._turn()
                    self._trouble = None
                    self.ready.set()
                except QtForgeError as error:  # such as a disk that is full for a while
                    if str(error) != str(self._trouble):
                        _LOG.error("%s", error)
                    self._trouble, wait_s = error, _SWEEP_S
                await self._wait(min(wait_s, _ROOM_S) if self._is_crowded else wait_s)
        finally:
            watching.cancel()
            active_runs.on_change.discard(self._wanted.set)
            active_runs.on_room = None

    async def _watch_contact(self) -> None:
        """Leave every run while the store does not answer: others may soon execute them."""
        is_said = False
        while True:
            await asyncio.sleep(_CONTACT_S)
            if not self._supervisor.count():
                continue
            try:
                cut_off = (await self._journal.standing()).cut_off
            except QtForgeError:  # the loop says so
                continue
            if cut_off and not is_said:
                _LOG.warning("the journal does not answer: %d runs are left as they are until it"
                             " does", self._supervisor.count())  # fmt: skip
            is_said = cut_off
            if cut_off:
                self.hand_over(everything=True, cut=True)

    def _notice_room(self) -> None:
        if self._is_crowded:
            self._wanted.set()

    def _has_peer_with(self, needs: Mapping[str, str]) -> bool:
        return self.peers.have(frozenset(needs.items()))

    async def _turn(self) -> float:
        """Wake every run that has a due timer, an unhandled message or a dead owner.

        Returns:
            Seconds until the next look at most.
        """
        await self._notice_set_back()
        await self._announce()
        known = self.peers.changes
        await self.peers.refresh()
        self._supervisor.active_runs.drains = self.peers.draining
        if self.peers.draining != self._said_draining:
            self._said_draining = self.peers.draining
            self._on_draining(self.peers.draining)
        if self.peers.changes != known:  # perhaps one has died: its runs are looked for at once
            if self._placements is not None:
                self._placements.observe_all(self.peers.announced())
            self._swept_at = time.monotonic() - _SWEEP_S
            self._alert_until = time.monotonic() + _ALERT_S
        if self._is_full():
            return _ROOM_S
        while True:
            # Where nothing has changed, what was read before holds: a shared journal's server
            # is asked as little as possible.
            is_idle = self._was_idle and not self._wanted.is_set()
            self._wanted.clear()
            now = self._clock.now()
            sweeps = time.monotonic() >= self._swept_at + self._sweep_s()
            if sweeps:
                await self._resume_left()
                await self._note_needs()
            newest = self._read_until if is_idle else (await self._journal.deliveries("", 0)).until
            skipped, self._has_skipped = self._has_skipped, False
            since = None if sweeps or self._overflowed or skipped else self._read_until
            self._overflowed = await self._take_all(now, since, newest)
            self._read_until = newest
            if sweeps:
                self._swept_at = time.monotonic()
            for run_id in await self._due_but_for_the_clock(now):
                self._supervisor.wake(run_id)
            await self._supervisor.active_runs.until_waking_at_most(_AT_ONCE // 2)
            self._was_idle = self._supervisor.count() == 0 and not self._overflowed
            if not self._overflowed:
                break
        if self._hand_over():
            return _HAND_OVER_S
        if self._yields:
            return _YIELD_S
        if self._wants_more:
            self._wants_more = False
            return _GAP_S
        due = await self._due_next(now, is_idle=is_idle and self._was_idle)
        return _SWEEP_S if due is None else (due - self._clock.now()).total_seconds()

    def _is_full(self) -> bool:
        """Return whether nothing can be taken, so that others' writes need not be looked at."""
        is_full = self._room() <= 0 and time.monotonic() < self._swept_at + self._sweep_s()
        if is_full:
            self._wanted.clear()
            self._has_skipped = self._is_crowded = True
        return is_full and not self.peers.draining

    def _room(self) -> int:
        """Return how many more runs may execute here; those that only wait do not count."""
        active_runs = self._supervisor.active_runs
        return self._max_runs - active_runs.taken() + active_runs.waiting()

    def _sweep_s(self) -> float:
        """Return the seconds between two looks for runs whose process has died."""
        return min(_SWEEP_S, _OFTEN_S) if time.monotonic() < self._alert_until else _SWEEP_S

    async def _due_next(self, now: datetime.datetime, *, is_idle: bool) -> datetime.datetime | None:
        """Return when the next timer is due; of an idle process as it was a moment ago."""
        is_past = self._next_due is not None and self._next_due <= now
        is_old = time.monotonic() >= self._next_due_read_at + _TIMERS_S
        if not is_idle or is_past or is_old:
            self._next_due = await self._journal.next_due(now)
            self._next_due_read_at = time.monotonic()
        return self._next_due

    async def _announce(self) -> None:
        """Say what this process is, at first and when its plugins have changed."""
        announcement = Announcement(
            node=self._node,
            role=self._role,
            pools=self._pools,
            capacity=min(self._max_runs, _ANY_NUMBER),
            plugins=self._supervisor.engine.plugins(),
            placements={} if self._placements is None else dict(self._placements.own),
        )
        if announcement != self._announced:
            await self.peers.announce(announcement)
            self._announced = announcement

    def hand_over(self, *, everything: bool = False, cut: bool = False) -> int:
        """Leave runs to other processes: those that wait at once, others before their next step.

        Args:
            everything: Whether that includes what no other process can continue now.
            cut: Whether steps in progress are interrupted.

        Returns:
            How many runs are still to be left.
        """
        pools, plugins = self.peers.only_here()

        def stays(state: RunState) -> bool:
            return pool_of(state) in pools or not plugins.isdisjoint(needs_of(state))

        return self._supervisor.active_runs.hand_over(
            (lambda _: False) if everything else stays, cut=cut
        )

    def _hand_over(self) -> bool:
        """Leave what others can continue while this process drains; return whether more is left."""
        if not self.peers.draining:
            self._drains_since = None
            return False
        if self._drains_since is None:
            self._drains_since = time.monotonic()
            _LOG.warning("this node is drained: it begins nothing, and hands its runs over")
        cut = time.monotonic() > self._drains_since + self._grace_s
        left = self.hand_over(cut=cut)
        return bool(left)

    async def _note_needs(self) -> None:
        """Let the journal know by which plugins the runs that execute here were served."""
        needs = self._supervisor.active_runs.needs()
        changed = {
            run_id: each for run_id, each in needs.items() if self._noted.get(run_id) != each
        }
        if changed:
            await self._journal.note_needs(changed)
        self._noted = needs

    async def _take_all(self, now: datetime.datetime, since: Cursor | None, newest: Cursor) -> bool:
        """Take what this process is to execute: first runs that have begun, then queued ones.

        Args:
            now: The time.
            since: See `Journal.take`.
            newest: The newest place among the messages.

        Returns:
            Whether there may be more runs that have begun.
        """
        plugins = self._supervisor.engine.plugins()
        again = plugins != self._plugins  # what was blocked or refused may not be any more
        active_runs = self._supervisor.active_runs
        room = self._room()
        self._is_crowded = room <= 0
        if room <= 0:
            self._has_skipped = True
            return False
        limit = min(_AT_ONCE, room)
        if self.peers.draining:
            return await self._take_only_here(limit, now, since)
        executing = active_runs.count()
        await self.peers.refresh_counts(executing)
        pools, older = self.peers.newer()
        # Who executes fewer runs comes first; what is left after a moment is taken all the same.
        self._yields = self._lets_others_first(executing)
        share = self._share(room)
        own = [pool for pool in self._pools if pool not in pools]
        take = functools.partial(
            self._take,
            now=now,
            able=majors(plugins),
            since=since,
            again=again,
            leave=self.peers.elsewhere(),
        )
        if self._yields:
            return await take(limit, pools=self._pools, queued=False) >= limit
        # Runs that have begun come first: where not all of them were taken, the rest follows.
        count = await take(share, pools=own) if own else share
        overflowed = count >= share
        if (overflowed and share < limit) or not own:
            rest = limit - count if own else limit
            more = await take(rest, pools=self._pools, queued=False)
            overflowed = more >= rest
            count = more if not own else count + more
        if pools:
            count += await take(share, pools=sorted(pools), since=newest, needing=older)
        if again and not overflowed:
            self._plugins = plugins
        self._is_crowded = count >= room
        self._wants_more = share <= count < room
        return overflowed  # what there was no room for is taken when there is, not at the next look

    async def _take_only_here(
        self, limit: int, now: datetime.datetime, since: Cursor | None
    ) -> bool:
        """Take the runs that have begun and that no other process can continue."""
        pools, plugins = self.peers.only_here()
        count = 0
        if pools:
            count += await self._take(
                limit, now=now, pools=sorted(pools), since=since, queued=False
            )
        if plugins:
            count += await self._take(
                limit, now=now, pools=self._pools, since=since, queued=False, needing=plugins
            )
        return count >= limit

    def _lets_others_first(self, executing: int) -> bool:
        """Return whether queued runs are left to processes that execute fewer, for a moment."""
        now = time.monotonic()
        if not self.peers.is_ahead(executing):
            self._ahead_since = None
        elif self._ahead_since is None:
            self._ahead_since = now
        elif now - self._ahead_since > _LEFT_S:
            self._ahead_since = None  # nobody has taken them
        return self._ahead_since is not None

    def _share(self, room: int) -> int:
        """Return how many runs are taken at once, so that others get as many."""
        count = self.peers.count()
        if count <= 1:
            return min(_AT_ONCE, room)
        return min(room, max(_LEAST_SHARE, min(_LARGEST_SHARE, room // (2 * count))))

    async def _take(self, limit: int, **options: Any) -> int:
        """Take runs, and wake them at once: what fails later must not leave them; return how many.

        See `Journal.take` for the options.
        """
        taken = await self._journal.take(limit, **options)
        for ownership in taken:
            self._supervisor.wake(ownership.run_id, ownership)
        return len(taken)

    async def _notice_set_back(self) -> None:
        """When the clock was set back, note which runs have timers that were set before."""
        offset_s = self._offset_now_s()
        back_s = self._offset_s - offset_s
        if back_s >= _JUMP_S:
            found = await self._journal.due(_EVER, _ALL)  # raises: it is noticed the next time
            _LOG.warning("the clock was set back by %.0f s", back_s)
            known = self._supervisor.active_runs.set_back_s
            for run_id in found:
                if not self._supervisor.executes(run_id):
                    known[run_id] = known.get(run_id, 0.0) + back_s
        self._offset_s = offset_s

    async def _due_but_for_the_clock(self, now: datetime.datetime) -> list[str]:
        """Return the runs whose timer would be due if the clock had not been set back."""
        known = self._supervisor.active_runs.set_back_s
        if not known:
            return []
        back = datetime.timedelta(seconds=max(known.values()))
        return [each for each in await self._journal.due(now + back, _ALL) if each in known]

    def _offset_now_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def _resume_left(self) -> None:
        """Resume the runs that this process owns and had to leave, ever less often."""
        found = dict.fromkeys(self._supervisor.active_runs.left)
        self._attempts = {
            run_id: attempts for run_id, attempts in self._attempts.items() if run_id in found
        }
        for run_id in found:
            if self._supervisor.executes(run_id):
                continue
            if self._attempts.setdefault(run_id, _Attempts()).is_due():
                self._supervisor.wake(run_id)
                await self._supervisor.active_runs.until_waking_at_most(_AT_ONCE)

    async def _wait(self, wait_s: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(max(0.0, wait_s)))
        wanting = asyncio.ensure_future(self._wanted.wait())
        try:
            # The timeout is in real time: a clock may be set forward.
            await asyncio.wait(
                [sleeping, wanting], timeout=self._sweep_s(), return_when=asyncio.FIRST_COMPLETED
            )
            if wanting.done() and not sleeping.done():
                await asyncio.sleep(_GAP_S)
        finally:
            sleeping.cancel()
            wanting.cancel()


def default_node() -> str:
    """Return the name of a process that was given none: of its host, and its number."""
    host = "".join(each if each.isalnum() and each.isascii() else "-" for each in gethostname())
    return f"{host.strip('-')[:40] or 'node'}-{os.getpid()}"


def pool_of(state: RunState) -> str:
    """Return the pool of a run."""
    started = state.started
    return "default" if started is None or started.queue is None else started.queue.pool


def needs_of(state: RunState) -> frozenset[tuple[str, str]]:
    """Return the plugins that a run needs, each with the first number of its version."""
    started = state.started
    asked = {} if started is None or started.queue is None else started.queue.needs
    return plugins_of(state.served_by) | frozenset(asked.items())


def lasts(error: Exception) -> bool:
    """Return whether a trouble lasts until the process is started again."""
    return isinstance(error, QtForgeError) and error.retryable is False
