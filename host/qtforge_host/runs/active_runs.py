"""The runs that an engine executes at this moment, and what reaches them."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from qtforge_host.runs.control import Control
from qtforge_host.runs.timers import LiveTimers
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import InboxEntry, Journal
from qtforge_sdk.records import CheckpointSaved

__all__ = ["ActiveRuns"]

_LOG = logging.getLogger("qtforge.runs")
_WATCH_S: Final = 3600.0
_SWEEP_S: Final = 1.0
_TURN_S: Final = 0.005
_REST_S: Final = 1.0  # enough for those that only wait


class ActiveRuns:
    """Live runs by their ids.

    Args:
        journal: Whose inboxes are watched.
        clock: The time.

    Attributes:
        linger_s: How long a run that keeps its state stays here with nothing to do.
        capacity: How many such runs stay here at most.
        changed: Told that the journal may hold something new; None for nobody.
        sent: Told of a run that is not live here, and was sent something; None for nobody.
        changes: How often the watch has looked into the inboxes.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._controls: dict[str, Control] = {}
        self._timers = LiveTimers(clock, self._poke)
        self._outcomes: dict[str, asyncio.Future[CheckpointSaved]] = {}  # by the event's id
        self._parcels: dict[str, list[ReceivedEvent]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._watched_from: asyncio.Task[int] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.linger_s = 0.0
        self.capacity = 10_000
        self.changed: Callable[[], None] | None = None
        self.sent: Callable[[str], None] | None = None
        self._rising: set[str] = set()  # to be taken up, and not live yet
        self._room = asyncio.Event()
        self.changes = 0
        self._turn_s = 0.0  # when the loop had its last turn by what `ready` does

    def __getitem__(self, run_id: str) -> Control:
        return self._controls[run_id]

    def get(self, run_id: str | None) -> Control | None:
        """Return a run's control; None where it is not live here."""
        return None if run_id is None else self._controls.get(run_id)

    def waiting(self) -> int:
        """Return how many of them wait for an event."""
        return sum(control.idle_since is not None for control in self._controls.values())

    async def ready(self) -> None:
        """Begin to watch the inboxes; what is read from one behind this is not missed after.

        It lets the loop have a turn now and then: one run after another may do without.
        """
        if self._watcher is not None:
            if time.monotonic() > self._turn_s + _TURN_S:
                await asyncio.sleep(0)
                self._turn_s = time.monotonic()
            return
        if self._watched_from is None:
            self._watched_from = asyncio.ensure_future(self._journal.last_position())
        last = await asyncio.shield(self._watched_from)
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch(last))

    def enter(self, run_id: str, control: Control, *, stays: bool) -> None:
        """Take a run in; it begins."""
        self._controls[run_id] = control
        if self._rising:
            self.risen(run_id)
        if not control.stateful:
            return
        crowded = len(self._controls) > self.capacity
        control.stays = stays
        control.may_rest = not stays and (self.linger_s <= 0 or crowded)
        control.waits = functools.partial(self._timers.set, run_id)
        for event in self._parcels.pop(run_id, ()):
            control.push(event)
        if not stays and self.linger_s > 0 and self._sweeper is None:
            self._sweeper = asyncio.ensure_future(self._sweep())

    def leave(self, run_id: str) -> None:
        """Let a run go; it ended or rests."""
        control = self._controls.pop(run_id)
        if not control.stateful:
            return
        if parcels := control.parcels():  # they came as it went to rest
            self._parcels.setdefault(run_id, []).extend(parcels)
        self._timers.set(run_id, None)

    @property
    def rising(self) -> int:
        """How many runs are to be taken up, and are not live yet."""
        return len(self._rising)

    def rise(self, run_id: str) -> bool:
        """Note that a run is about to be taken up; return whether that was not known."""
        known = run_id in self._rising
        self._rising.add(run_id)
        return not known

    def risen(self, run_id: str) -> None:
        """Note that a run is live, or is not taken up."""
        self._rising.discard(run_id)
        self._room.set()

    async def room(self, most: int) -> None:
        """Wait until no more than so many runs are about to be taken up."""
        while len(self._rising) > most:
            self._room.clear()
            await self._room.wait()

    def checkpoint_saved(self, record: CheckpointSaved) -> None:
        """Take in that a run kept its state: who waits for its event hears of it."""
        waiting = self._outcomes.pop(record.event_id, None) if record.event_id else None
        if waiting is not None and not waiting.done():
            waiting.set_result(record)

    def outcome(self, event_id: str) -> asyncio.Future[CheckpointSaved]:
        """Return what will be the record of an event that a live run handles."""
        found = self._outcomes.get(event_id)
        if found is None:
            found = self._outcomes[event_id] = asyncio.get_running_loop().create_future()
        return found

    def forget_outcome(self, event_id: str) -> None:
        """Stop waiting for an event."""
        self._outcomes.pop(event_id, None)

    def hand(self, run_id: str, event: ReceivedEvent) -> bool:
        """Give an event to a run, now or when it is live; return whether it is live."""
        control = self._controls.get(run_id)
        if control is None:
            self._parcels.setdefault(run_id, []).append(event)
            return False
        control.push(event)
        return True

    def has_parcel(self, run_id: str) -> bool:
        """Whether a run that is not live is to be given something."""
        return run_id in self._parcels

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something in a task of one's own, which `close` ends."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def look(self, run_id: str) -> None:
        """Deliver what was sent to a live run."""
        control = self._controls.get(run_id)
        if control is not None:
            await control.deliver(list(await self._unread(run_id, control)))

    async def close(self, grace_s: float) -> None:
        """End everything: what waits rests, what works may go on for a while, then is left.

        Args:
            grace_s: How long; what is not done then is for the next process.
        """
        self.linger_s = 0.0
        for control in list(self._controls.values()):
            control.rest()
        helpers = [task for task in (self._watcher, self._sweeper) if task is not None]
        tasks = {task for task in self._tasks if not task.done()}
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=max(grace_s, _REST_S))
        for _ in range(2):  # a child does as its parent
            for control in self._controls.values():
                control.stop()
        tasks |= {task for task in self._tasks if not task.done()}  # begun meanwhile
        for task in (*tasks, *helpers):
            task.cancel()
        if ended := [*tasks, *helpers]:
            _, late = await asyncio.wait(ended, timeout=_REST_S)
            for task in late:  # one that is being undone stops in the middle of it at the second
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._timers.close()

    def _poke(self, run_id: str) -> None:
        control = self._controls.get(run_id)
        if control is not None:
            control.poke()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, QtForgeError):
            _LOG.warning("%s", error)
        elif error is not None:
            _LOG.error("a run's task failed", exc_info=error)

    async def _watch(self, last: int) -> None:
        while True:
            if not await self._journal.changed(_WATCH_S):
                continue
            self.changes += 1
            if self.changed is not None:
                self.changed()
            last = await self._deliver(last)

    async def _deliver(self, last: int) -> int:
        """Deliver what was sent behind a position; return how far that was."""
        while True:
            try:
                posted = await self._journal.messages_since(last)
            except QtForgeError as error:
                _LOG.warning("the inboxes can't be read: %s", error)
                return last
            if not posted:
                return last
            last = posted[-1].position
            self.changes += 1  # a run that is just being taken up may have looked before
            parts: dict[str, list[InboxEntry]] = {}
            for run_id, position, message in posted:
                parts.setdefault(run_id, []).append(InboxEntry(position, message))
            for run_id, entries in parts.items():
                await self._deliver_to(run_id, entries)

    async def _deliver_to(self, run_id: str, entries: list[InboxEntry]) -> None:
        control = self._controls.get(run_id)
        if control is None:
            if self.sent is not None:
                self.sent(run_id)
            return
        try:
            await control.deliver(entries)
        except QtForgeError as error:  # such as: it has ended meanwhile
            _LOG.debug("%s: its inbox was not delivered: %s", run_id, error)

    async def _unread(self, run_id: str, control: Control) -> Sequence[InboxEntry]:
        if control.stateful:
            return await self._journal.pending(run_id, control.position)
        return await self._journal.inbox(run_id, control.position)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            before = time.monotonic() - self.linger_s
            for control in list(self._controls.values()):
                if control.idle_since is not None and control.idle_since < before:
                    control.rest()
