"""Runs executing in this process, with their inboxes and timers."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from qtforge_host.event_loop import end_tasks
from qtforge_host.runs.control import Control
from qtforge_host.runs.state import RunState
from qtforge_host.runs.timers import LiveTimers
from qtforge_host.runs.versions import majors
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError, StorageError
from qtforge_sdk.journal import Cursor, Deliveries, InboxEntry, Journal
from qtforge_sdk.records import CheckpointSaved

__all__ = ["ActiveRuns", "OnStarted", "RunHandle"]

OnStarted = Callable[[str], Awaitable[None]]
"""Awaited with a new run's id once the journal holds the run."""

_LOG = logging.getLogger("qtforge.runs")
_WATCH_S: Final = 3600.0
_SWEEP_S: Final = 1.0
_AGAIN_S: Final = 1.0  # before the inboxes are read again when the store has failed
_YIELD_S: Final = 0.005  # how long the event loop goes without a turn at most
_LOOK_S: Final = 0.1  # between looks whether there is still a run that works, at the end
_REST_S: Final = 1.0  # how long `close` waits for runs that only have to notice it


class RunHandle:
    """Marks a run as executing in this process for as long as its context is open.

    Args:
        handles: Of all executing runs, by run id; the handle adds and removes itself.
        run_id: The run.
        on_end: Called when it is no longer executing.

    Attributes:
        wanted_again: Whether it was requested to resume the run while it was executing.
    """

    def __init__(
        self, handles: dict[str, RunHandle], run_id: str, on_end: Callable[[], None]
    ) -> None:
        self._on_end = on_end
        self._handles = handles
        self._run_id = run_id
        self._ended: asyncio.Event | None = None  # made for the first waiter
        self.wanted_again = False

    def __enter__(self) -> RunHandle:
        self._handles[self._run_id] = self
        return self

    def __exit__(self, *exception: object) -> None:
        del self._handles[self._run_id]
        if self._ended is not None:
            self._ended.set()
        self._on_end()

    async def until_ended(self) -> None:
        """Wait until this process no longer executes the run; at once when that is over."""
        if self._handles.get(self._run_id) is not self:
            return
        if self._ended is None:
            self._ended = asyncio.Event()
        await self._ended.wait()


class ActiveRuns:
    """The controls of the runs that execute in this process, by run id.

    Args:
        journal: The journal whose inboxes are watched.
        clock: The time.

    Attributes:
        linger_s: Seconds for which a run that waits stays in memory.
        rests_all: Whether runs without checkpoints rest too when they wait for longer; else they
            stay in memory as long as the process lives.
        capacity: How many runs may be in memory before idle ones rest at once.
        on_change: Each is called when the journal may hold something new.
        on_room: Called whenever a run has ended or rests, or None.
        inbox_reads: How often the watch has read the inboxes.
        left: Runs that this process owns and had to leave because the store, or something else
            around them, failed; with the reason. The recovery loop resumes them by time.
        set_back_s: How far the clock was set back, in seconds, while runs were at rest whose
            timers were set before; by run id, until they are resumed.
        drains: Whether the process was requested to begin no runs.
        closing: Whether `close` was called; no run may be started or resumed then.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._controls: dict[str, Control] = {}
        self._handles: dict[str, RunHandle] = {}
        self._clock = clock
        self._timers = LiveTimers(clock, self._wake_control)
        self._outcomes: dict[str, asyncio.Future[CheckpointSaved]] = {}  # by event id
        self._direct_events: dict[str, list[ReceivedEvent]] = {}  # not sent through an inbox
        self._watcher: asyncio.Task[None] | None = None
        self._watched_from: asyncio.Task[Deliveries] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waking: set[str] = set()  # about to be resumed, and without a control yet
        self._fewer_waking = asyncio.Event()
        self._yielded_at_s = 0.0  # when `ensure_watching` last gave the event loop a turn
        self.linger_s = 0.0
        self.rests_all = False
        self.capacity = 10_000
        self.on_change: set[Callable[[], None]] = set()
        self.on_room: Callable[[], None] | None = None
        self.inbox_reads = 0
        self.left: dict[str, Exception] = {}
        self.set_back_s: dict[str, float] = {}
        self.drains = False
        self.closing = False
        self._undelivered: set[str] = set()  # runs whose messages could not be recorded

    def __getitem__(self, run_id: str) -> Control:
        return self._controls[run_id]

    def get(self, run_id: str | None) -> Control | None:
        """Return a run's control, or None when the run does not execute here."""
        return None if run_id is None else self._controls.get(run_id)

    def executing(self, run_id: str) -> RunHandle:
        """Return a context manager that marks a run as executing here."""
        return RunHandle(self._handles, run_id, self._one_ended)

    def _one_ended(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def handle(self, run_id: str) -> RunHandle | None:
        """Return the handle of a run that executes here, or is about to; else None."""
        return self._handles.get(run_id)

    def count(self) -> int:
        """Return how many runs execute here, those that wait for events included."""
        return len(self._handles)

    def taken(self) -> int:
        """Return how many runs execute here, or are about to be resumed."""
        return len(self._handles) + sum(each not in self._handles for each in self._waking)

    def waiting(self) -> int:
        """Return how many runs in memory do nothing but wait."""
        return sum(
            control.idle_since is not None or control.waits.only
            for control in self._controls.values()
        )

    def awaited_events(self, run_id: str) -> list[str]:
        """Return the events that the code of a run waits for here, in the order of its waits."""
        control = self._controls.get(run_id)
        return [] if control is None else list(dict.fromkeys(control.awaited_events))

    def any_awaits_event(self) -> bool:
        """Return whether some run that executes here waits for an event."""
        return any(
            control.awaited_events or control.idle_since is not None
            for control in self._controls.values()
        )

    async def ensure_watching(self) -> None:
        """Start the watch of the inboxes unless it runs.

        Messages posted after this returns reach their runs. It also yields to the event loop
        now and then: executing one short run after another might never do so.
        """
        if self._watcher is not None:
            if time.monotonic() > self._yielded_at_s + _YIELD_S:
                await asyncio.sleep(0)
                self._yielded_at_s = time.monotonic()
            return
        if self._watched_from is None or _has_failed(self._watched_from):
            self._watched_from = asyncio.ensure_future(self._journal.deliveries("", 0))
        last = (await asyncio.shield(self._watched_from)).until
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch(last))

    def add(self, run_id: str, control: Control, *, stays: bool) -> None:
        """Register the control of a run that starts executing.

        Args:
            run_id: The run.
            control: Its control.
            stays: Whether the run never rests while it waits for events.
        """
        self._controls[run_id] = control
        if self.left:
            self.left.pop(run_id, None)
        if self._waking:
            self.mark_awake(run_id)
        control.stays = stays
        if self.set_back_s:
            control.set_back_s = self.set_back_s.pop(run_id, 0.0)
        if self._sweeper is None and self._sweeps(control):
            self._sweeper = asyncio.ensure_future(self._sweep())
        if not control.stateful:
            control.waits.on_only = functools.partial(self._look_soon, control)
            return
        crowded = len(self._controls) > self.capacity
        control.may_rest = not stays and (self.linger_s <= 0 or crowded)
        control.on_wait = functools.partial(self._timers.set, run_id)
        for event in self._direct_events.pop(run_id, ()):
            control.push(event)

    def _look_soon(self, control: Control) -> None:
        """Let a run that waits say so, unless another branch of its code goes on at once."""
        asyncio.get_running_loop().call_soon(lambda: control.note_wait(self._clock.now()))

    def _sweeps(self, control: Control) -> bool:
        """Return whether a run rests once it has waited for a while."""
        if control.stays:
            return False
        return self.linger_s > 0 if control.stateful else self.rests_all

    def leaves_children(self, control: Control) -> bool:
        """Return whether a run may rest while it awaits a child, which rests itself."""
        return not control.stateful and self._sweeps(control)

    def remove(self, run_id: str) -> None:
        """Remove the control of a run that ended or rests."""
        control = self._controls.pop(run_id)
        if not control.stateful:
            control.waits.on_only = None  # without this cycle the run is freed at once
            return
        if events := control.direct_events():  # delivered while the run went to rest
            self._direct_events.setdefault(run_id, []).extend(events)
        self._timers.set(run_id, None)

    def is_waking(self, run_id: str) -> bool:
        """Return whether a run is about to be resumed."""
        return run_id in self._waking

    def mark_waking(self, run_id: str) -> bool:
        """Mark a run as about to be resumed; return whether it was not marked yet."""
        known = run_id in self._waking
        self._waking.add(run_id)
        return not known

    def mark_awake(self, run_id: str) -> None:
        """Remove the mark: the run executes, or could not be resumed."""
        self._waking.discard(run_id)
        self._fewer_waking.set()

    async def until_waking_at_most(self, limit: int) -> None:
        """Wait until at most ``limit`` runs are about to be resumed."""
        while len(self._waking) > limit:
            self._fewer_waking.clear()
            await self._fewer_waking.wait()

    def checkpoint_saved(self, record: CheckpointSaved) -> None:
        """Resolve the outcome of the event that led to a checkpoint."""
        outcome = self._outcomes.pop(record.event_id, None) if record.event_id else None
        if outcome is not None and not outcome.done():
            outcome.set_result(record)

    def outcome(self, event_id: str) -> asyncio.Future[CheckpointSaved]:
        """Return the future checkpoint of the run that handles an event."""
        found = self._outcomes.get(event_id)
        if found is None:
            found = self._outcomes[event_id] = asyncio.get_running_loop().create_future()
        return found

    def forget_outcome(self, event_id: str) -> None:
        """Stop waiting for the outcome of an event."""
        self._outcomes.pop(event_id, None)

    def push_event(self, run_id: str, event: ReceivedEvent) -> bool:
        """Give an event to a run, now or when it is resumed; return whether it executes."""
        control = self._controls.get(run_id)
        if control is None:
            self._direct_events.setdefault(run_id, []).append(event)
            return False
        control.push(event)
        return True

    def has_direct_events(self, run_id: str) -> bool:
        """Return whether events wait for a run that does not execute."""
        return run_id in self._direct_events

    async def start(self, execute: Callable[[OnStarted], Coroutine[Any, Any, Any]]) -> str:
        """Execute a new run in a background task; return its id once the journal holds it.

        Args:
            execute: Executes the run; awaits its argument with the run's id.

        Raises:
            QtForgeError: The run could not be started.
        """
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def on_started(run_id: str) -> None:
            started.set_result(run_id)

        def on_done(task: asyncio.Task[Any]) -> None:
            if started.done():
                self._task_done(task)
            else:  # the caller gets its error
                self._tasks.discard(task)

        task = asyncio.ensure_future(execute(on_started))
        self._tasks.add(task)
        task.add_done_callback(on_done)
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            task.result()  # raises why
        return started.result()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in a background task, which `close` ends."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    async def deliver_pending(self, run_id: str) -> None:
        """Deliver what the inbox of an executing run holds, and let the watch continue there.

        Until then the watch delivers nothing to the run: a later message would overtake those
        that are being read, which would then count as delivered.
        """
        control = self._controls.get(run_id)
        if control is None:
            return
        while True:
            missed = control.missed
            await control.deliver(list(await self._unread(run_id, control)))
            if control.missed == missed:
                control.caught_up = True
                return

    def notify(self, run_id: str) -> None:
        """Deliver in the background what the inbox of a run holds, if it executes here."""
        if run_id in self._controls and not self.closing:
            self.spawn(self._deliver_again(run_id))

    def needs(self) -> dict[str, dict[str, str]]:
        """Return what the runs that execute here need, by run: what has served them."""
        return {
            run_id: majors(served_by)
            for run_id, control in self._controls.items()
            if (served_by := control.state.served_by)
        }

    def hand_over(self, stays: Callable[[RunState], bool], *, cut: bool) -> int:
        """Leave runs to other processes: those that wait at once, others before their next step.

        Args:
            stays: Whether a run stays here.
            cut: Whether steps in progress are interrupted.

        Returns:
            How many runs are still to be left.
        """
        leaving = [each for each in self._controls.values() if not stays(each.state)]
        for control in leaving:
            control.hand_over()
        if cut:
            for _ in range(2):  # a child stops only when its parent has been stopped
                for control in leaving:
                    control.stop()
            for control in leaving:
                if control.is_stopped:
                    control.interrupt()
        return len(leaving)

    async def close(self, grace_s: float, rest_s: float = _REST_S) -> None:
        """End every task: waiting runs rest, working runs may finish, then are left.

        Where all that are left only wait for events, they are left at once.

        Args:
            grace_s: Seconds that working runs have; the next process resumes the others.
            rest_s: Seconds that waiting runs have at least.
        """
        self.closing = True
        self.linger_s = 0.0
        for control in list(self._controls.values()):
            control.rest()
        helpers = [task for task in (self._watcher, self._sweeper) if task is not None]
        tasks = {task for task in self._tasks if not task.done()}
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=rest_s)
        end_s = time.monotonic() + grace_s - rest_s
        while tasks and (left_s := end_s - time.monotonic()) > 0:
            if self._all_only_wait(left_s):
                break
            _, tasks = await asyncio.wait(tasks, timeout=min(left_s, _LOOK_S))
        for _ in range(2):  # a child stops only when its parent has been stopped
            for control in self._controls.values():
                control.stop()
        tasks |= {task for task in self._tasks if not task.done()}  # spawned meanwhile
        for task in (*tasks, *helpers):
            task.cancel()
        if ended := [*tasks, *helpers]:
            _, late = await asyncio.wait(ended, timeout=_REST_S)
            # A second cancellation interrupts a compensation.
            self._tasks -= await end_tasks(late, _REST_S)
        await self._timers.close()

    def _all_only_wait(self, left_s: float) -> bool:
        def waits(run_id: str) -> bool:
            control = self._controls.get(run_id)
            return control is not None and control.only_waits(left_s, waits)

        return all(map(waits, self._handles))

    def _wake_control(self, run_id: str) -> None:
        control = self._controls.get(run_id)
        if control is not None:
            control.wake()

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, QtForgeError):
            _LOG.warning("%s", error)
        elif error is not None:
            _LOG.error("a run's task failed", exc_info=error)

    async def _watch(self, last: Cursor) -> None:
        behind = False  # messages are to be read or delivered again
        while True:
            try:
                changed = await self._journal.changed(_AGAIN_S if behind else _WATCH_S)
                if not changed and not behind:
                    continue
                self.inbox_reads += 1
                for tell in [*self.on_change] if changed else ():
                    tell()
                undelivered, self._undelivered = self._undelivered, set()
                for run_id in undelivered:
                    await self._deliver_again(run_id)
                last = await self._deliver_since(last)
                behind = bool(self._undelivered)
            except QtForgeError as error:  # such as a store that fails for a while
                if not behind:
                    _LOG.warning("the inboxes can't be read: %s", error)
                behind = True
                await asyncio.sleep(_AGAIN_S)

    async def _deliver_again(self, run_id: str) -> None:
        try:
            await self.deliver_pending(run_id)
        except StorageError:
            self._undelivered.add(run_id)
        except QtForgeError as error:  # such as: the run has ended meanwhile
            _LOG.debug("%s: its inbox was not delivered: %s", run_id, error)
            if (control := self._controls.get(run_id)) is not None:
                control.caught_up = True  # what follows is not held up by one message

    async def _deliver_since(self, last: Cursor) -> Cursor:
        """Deliver the messages after a place; return the place up to which they were read."""
        while True:
            messages, last = await self._journal.deliveries(last)
            if not messages:
                return last
            self.inbox_reads += 1  # a run that is being resumed may have read its inbox before
            by_run: dict[str, list[InboxEntry]] = {}
            for run_id, position, message in messages:
                by_run.setdefault(run_id, []).append(InboxEntry(position, message))
            for run_id, entries in by_run.items():
                await self._deliver_to(run_id, entries)

    async def _deliver_to(self, run_id: str, entries: list[InboxEntry]) -> None:
        control = self._controls.get(run_id)
        if control is None:
            return  # it is being resumed, and reads its inbox, or comes to rest
        if not control.caught_up:
            control.missed += 1
            return
        try:
            await control.deliver(entries)
        except StorageError:
            control.caught_up = False
            self._undelivered.add(run_id)
        except QtForgeError as error:  # such as: the run has ended meanwhile
            _LOG.debug("%s: its inbox was not delivered: %s", run_id, error)

    async def _unread(self, run_id: str, control: Control) -> Sequence[InboxEntry]:
        if control.stateful:
            return await self._journal.pending(run_id, control.position)
        return await self._journal.inbox(run_id, control.position)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            before = time.monotonic() - self.linger_s
            now = self._clock.now()
            for control in list(self._controls.values()):
                if control.stateful:
                    if control.idle_since is not None and control.idle_since < before:
                        control.rest()
                elif self.rests_all and not control.stays and control.waits.only:
                    control.rest_from(_SWEEP_S, self.linger_s, now)


def _has_failed(work: asyncio.Task[Any]) -> bool:
    return work.done() and (work.cancelled() or work.exception() is not None)
