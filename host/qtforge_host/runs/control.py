"""Requests to a run while it executes: events, amendments, pause, cancel, and its time limit."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping

from qtforge_host.cancellation import CancelScope, CoroutineLeft
from qtforge_host.plugin_code import ControlSignal, is_interruption
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.state import RunState
from qtforge_host.runs.waiting import Until, Waits
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import InboxEntry, InboxMessage
from qtforge_sdk.records import CheckpointSaved, EventReceived, RunCancelRequested, RunWaiting

__all__ = ["Control", "HandedOver", "PauseRequested", "Rested", "TimeOver", "reason_of"]


def reason_of(message: InboxMessage) -> str:
    """Return the reason that a message to pause or cancel a run gives, or ""."""
    reason = message.data.get("reason", "") if isinstance(message.data, Mapping) else ""
    return str(reason)


class PauseRequested(ControlSignal):
    """Leaves the orchestrator at a step's boundary, so that the run can rest."""

    def __init__(self, message: InboxMessage) -> None:
        super().__init__(message.message_id)
        self.message = message


class HandedOver(PauseRequested):
    """Leaves the orchestrator at a step's boundary, so that another process continues the run."""

    def __init__(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        super().__init__(InboxMessage(message_id="", kind="pause", at=now))


class Rested(ControlSignal):
    """Leaves the orchestrator of a stateful run that has saved its state and waits."""


class TimeOver(ControlSignal):
    """Leaves the orchestrator of a run whose time limit has passed.

    Attributes:
        why: Whose code did not end when it was cancelled, for people, or "".
    """

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


class Control:
    """A run's inbox, as far as it has been read, and what ends the run before its time.

    A run executes in its caller's task, which is cancelled to interrupt the run. A
    `CancelScope` tells these cancellations from those of the caller.

    Args:
        log: Records events and requests.
        amend: Applies an amendment, or records why it is refused.
        parent: The control of the run that awaits this one in a step; None where none does, as
            for a run that another one has only started.
        on_checkpoint: Called with each checkpoint of a stateful run; None for other runs.

    Attributes:
        amendments: The messages that amend the run, and that `amend` has yet to apply.
        position: Up to where the inbox has been read.
        caught_up: Whether everything was delivered that the watch of the inboxes has passed, so
            that its next messages follow.
        missed: How often the watch passed messages of the run while it was not caught up.
        is_over: Whether the run was resumed after its time limit had passed.
        is_stopped: Whether the run is left as it is, to be resumed by another process.
        may_rest: Whether a stateful run rests when there is nothing to do.
        stays: Whether it never does, because another run waits for its end.
        idle_since: Since when the run waits, on `time.monotonic`'s scale; None while it works.
        waits: What the run's code waits for now.
        rests: What a run without checkpoints records as it rests; None while it does not.
        set_back_s: How far the clock was set back since the last checkpoint, in seconds, where
            the run was at rest then.
        on_wait: Called with the end of the wait for the next timer, or None without one,
            whenever the run begins to wait; None for no call.
    """

    def __init__(
        self,
        log: RunLog,
        amend: Callable[[InboxMessage], Awaitable[None]],
        parent: Control | None = None,
        on_checkpoint: Callable[[CheckpointSaved], None] | None = None,
    ) -> None:
        self._log = log
        self._amend = amend
        self._parent = parent
        self._on_checkpoint = on_checkpoint
        self._scope: CancelScope | None = None  # of the caller's task, while it executes the run
        self.concludes = False
        self._may_interrupt = False
        self.amendments: list[InboxMessage] = []
        self._pause: PauseRequested | None = None
        self._changed: asyncio.Event | None = None  # made for the first waiter
        self._events: deque[ReceivedEvent] = deque()
        self._ignored: list[str] = []  # ids of messages that no record handles
        self._woken: asyncio.Future[None] | None = None
        self.position = 0
        self.caught_up = False
        self.missed = 0
        self.is_over = False
        self.is_stopped = False
        self.may_rest = False
        self.stays = False
        self.idle_since: float | None = None
        self.waits = Waits()
        self.rests: RunWaiting | None = None
        self._delivering = 0
        self.set_back_s = 0.0
        self.on_wait: Callable[[Until | None], None] | None = None

    @property
    def changed(self) -> asyncio.Event:
        """An event that the next delivery sets and replaces."""
        if self._changed is None:
            self._changed = asyncio.Event()
        return self._changed

    @functools.cached_property
    def _amending(self) -> asyncio.Lock:
        return asyncio.Lock()

    @property
    def stateful(self) -> bool:
        """Whether the run saves checkpoints."""
        return self._on_checkpoint is not None

    @property
    def cancel_requested(self) -> RunCancelRequested | None:
        """The request to cancel the run, if it came before a compensation began."""
        return self._log.state.cancel_requested

    @property
    def winds_down(self) -> bool:
        """Whether no new step may begin: the run is cancelled, compensated or out of time."""
        state = self._log.state
        if self.concludes:
            return False
        return self.is_over or state.compensating or state.cancel_requested is not None

    @property
    def awaited_events(self) -> list[str]:
        """The names of the events that the run's code waits for now."""
        return [wait.event for wait in self.waits.all if wait.event]

    def only_waits(self, left_s: float, waits_too: Callable[[str], bool]) -> bool:
        """Return whether the run does nothing but wait, and for longer than a time.

        Args:
            left_s: The time, in seconds.
            waits_too: Tells whether a child that executes here does nothing but wait, too.
        """
        if self.idle_since is not None:
            return True
        if not self.waits.only or self.winds_down:
            return False
        return all(until.left_s > left_s for until in self.waits.ends) and all(
            waits_too(wait.child) for wait in self.waits.all if wait.executes
        )

    def rest_from(self, least_s: float, after_s: float, now: datetime.datetime) -> None:
        """Let a run without checkpoints rest if its code does nothing but wait for long.

        Called again and again: what the code does must be the same at two calls.

        Args:
            least_s: How long it waits at least before it rests, in seconds.
            after_s: How long it waits before it rests where what it waits for may come at any
                time; and how long it rests at least, as far as that is known.
            now: The time.
        """
        waits = self.waits
        quiet_s = waits.quiet_s()
        if not self._may_rest_now:
            return
        ends = waits.ends
        sudden = any(wait.event or wait.child for wait in waits.all)
        longest_s = max(after_s, least_s)
        if quiet_s < (longest_s if sudden else least_s):
            return
        if any(until.left_s < longest_s or until.is_before_due for until in ends):
            return
        self.rests = self._waiting(now)
        self.is_stopped = True  # nothing more is recorded, and nothing undone
        self.interrupt()

    def note_wait(self, now: datetime.datetime) -> None:
        """Record that the run waits, in this process, if its code does nothing but wait for events.

        Args:
            now: The time.
        """
        if self.awaited_events and self._may_rest_now:
            self._log.wait(self._waiting(now))

    @property
    def _may_rest_now(self) -> bool:
        """Whether the run does nothing but wait, and for what wakes it without a process, too."""
        return (
            self.waits.may_rest
            and self._may_interrupt
            and not self._delivering
            and self._pause is None
            and not self.amendments
            and not self.winds_down
            and not self.concludes
        )

    def _waiting(self, now: datetime.datetime) -> RunWaiting:
        found = self.waits.all
        return RunWaiting(
            run_id=self._log.state.run_id,
            at=now,
            until=min((until.due for until in self.waits.ends), default=None),
            events=tuple(dict.fromkeys(wait.event for wait in found if wait.event)),
            children=tuple(dict.fromkeys(wait.child for wait in found if wait.child)),
        )

    async def deliver(self, entries: list[InboxEntry], *, resumed: bool = False) -> None:
        """Add messages: events and cancellations count at once, the others at a boundary.

        Args:
            entries: Of the run's inbox.
            resumed: Whether they were sent before the run was resumed: a request to pause
                no longer counts then.
        """
        if self.rests is not None:
            return  # it is resumed for what its inbox holds
        self._delivering += 1
        try:
            await self._take_all(entries, resumed=resumed)
        finally:
            self._delivering -= 1
            self.waits.changes += 1

    async def _take_all(self, entries: list[InboxEntry], *, resumed: bool) -> None:
        for position, message in entries:
            if position <= self.position:  # another reading of the inbox delivered it
                continue
            before, self.position = self.position, position
            if message.message_id in self._log.state.handled:
                continue
            try:
                await self._take(position, message, resumed=resumed)
            except QtForgeError:  # the store failed: the message is delivered again
                self.position = min(self.position, before)
                raise
        self._notify_changed()
        self.wake()

    def _notify_changed(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def _take(self, position: int, message: InboxMessage, *, resumed: bool) -> None:
        if message.kind == "event" and self.stateful:
            self._events.append(_received(position, message))
        elif message.kind == "event":
            await self._receive(message)
        elif message.kind == "amend":
            self.amendments.append(message)
        elif message.kind == "pause" and resumed:
            self._ignored.append(message.message_id)
        elif message.kind == "pause" and not self.is_leaving:
            self._pause = PauseRequested(message)
        elif message.kind == "cancel":
            await self._cancel(message)

    def push(self, event: ReceivedEvent) -> None:
        """Add an event that was not sent through the inbox."""
        self._events.append(event)
        self.wake()

    def first_event(self) -> ReceivedEvent | None:
        """Return the oldest unhandled event, or None."""
        return self._events[0] if self._events else None

    def checkpoint_saved(self, record: CheckpointSaved) -> None:
        """Remove the event that led to a checkpoint, and notify the sender that waits."""
        self.set_back_s = 0.0
        if self._events and self._events[0].event_id == record.event_id:
            self._events.popleft()
        self._ignored = [each for each in self._ignored if each not in record.handled]
        if self._on_checkpoint is not None:
            self._on_checkpoint(record)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The ids of messages that have been handled without a record of their own."""
        return tuple(self._ignored)

    def direct_events(self) -> list[ReceivedEvent]:
        """Return the unhandled events that were not sent through the inbox."""
        return [event for event in self._events if event.position == 0]

    def wake(self) -> None:
        """Let a waiting run look for events and timers."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def until_woken(self, until: Until | None) -> None:
        """Wait until something was sent, a timer is due, or the run is to rest.

        Args:
            until: When the run's next timer is due; None without one.
        """
        self._woken = asyncio.get_running_loop().create_future()
        self.idle_since = time.monotonic()
        if self.on_wait is not None:
            self.on_wait(until)
        try:
            await self._woken
        finally:
            self.idle_since = None

    @property
    def is_leaving(self) -> bool:
        """Whether the run is left to other processes before its next step."""
        return isinstance(self._pause, HandedOver)

    @property
    def state(self) -> RunState:
        """The run's state."""
        return self._log.state

    def hand_over(self) -> None:
        """Leave the run to other processes before its next step; a child does as its parent."""
        if self._parent is None and not self.is_leaving:
            self._pause = HandedOver()
            self.rest()
            self._notify_changed()

    def rest(self) -> None:
        """Let a stateful run rest as soon as there is nothing to do."""
        if not self.stays:
            self.may_rest = True
            self.wake()

    def check(self) -> None:
        """Stop the run where it has to stop, before a step.

        Raises:
            PauseRequested: The run is to rest.
            asyncio.CancelledError: The run was cancelled before there was a task to cancel:
                while no process executed it, or by a process that died before it was done.
        """
        if self.concludes:
            return
        if self.cancel_requested is not None:
            raise asyncio.CancelledError
        if self._pause is not None:
            raise self._pause

    @property
    def is_clear(self) -> bool:
        """Whether a step may begin, for all that is known: nothing was sent that is to be decided.

        Every step asks, and most need not ask `winds_down`, `is_cut` and `check` then.
        """
        state, scope = self._log.state, self._scope
        if (
            state.cancel_requested is not None
            or state.compensating
            or self.is_over
            or self._pause is not None
            or scope is None
            or scope.is_cancelled
        ):
            return False
        task = asyncio.current_task(scope.loop)
        return task is None or task is scope.task or not task.cancelling()

    async def amend(self) -> None:
        """Apply the amendments that were sent; after a step, before the next is chosen.

        Not between the choice of a step and the step: it would run in the place of one that
        the amendment inserts before it, and a resumed run would do them in the other order.
        """
        if self.amendments and not self.concludes:
            async with self._amending:
                while self.amendments:
                    message = self.amendments.pop(0)
                    if message.message_id not in self._log.state.handled:
                        await self._amend(message)

    async def wait(self, changed: asyncio.Event) -> None:
        """Wait for something to be sent.

        Args:
            changed: The attribute as it was before the caller looked at what had been sent, so
                that nothing is missed between looking and waiting.

        Raises:
            PauseRequested: The run is to rest.
        """
        await self.amend()
        self.check()
        await changed.wait()

    def attach(self) -> None:
        """Make the current task the one that executes the run: an interruption cancels it.

        Raises:
            RuntimeError: There is no current task.
        """
        self._scope = CancelScope()
        self._may_interrupt = True

    def detach(self) -> None:
        """Protect the end of the run, compensation included, from interruptions."""
        self._may_interrupt = False

    def interrupt(self) -> None:
        """Cancel what the run does, unless it is ending."""
        if self._may_interrupt and self._scope is not None:
            self._scope.cancel()

    @property
    def is_cut(self) -> bool:
        """Whether the current task was cancelled, also when the run's code swallowed that."""
        scope = self._scope
        if scope is None:
            return False
        if scope.is_cancelled:
            return True
        task = asyncio.current_task()
        return task is not None and task is not scope.task and task.cancelling() > 0

    def is_cancellation(self, error: BaseException) -> bool:
        """Return whether an exception says that the run was cancelled, not a task of its code."""
        if not isinstance(error, asyncio.CancelledError):
            return False
        return self.cancel_requested is not None or self.is_stopped or self.is_cut

    def is_interruption(self, error: BaseException) -> bool:
        """Return whether an exception was not raised by the run's code, but through it."""
        return is_interruption(error) or self.is_cancellation(error)

    @property
    def was_interrupted(self) -> bool:
        """Whether the task was cancelled to interrupt the run."""
        return self._scope is not None and self._scope.count > 0

    @contextlib.contextmanager
    def time_limit(self, left_s: float, clock: Clock) -> Iterator[None]:
        """Interrupt what the run does within the context when its time is over.

        Args:
            left_s: Seconds that are left.
            clock: The time.

        Raises:
            TimeOver: The time was over, and the run was not cancelled.
        """
        scope = self._scope
        assert scope is not None  # noqa: S101 - the run executes
        scope.cancel_after(left_s, clock)
        try:
            yield
        except asyncio.CancelledError as error:
            if scope.expired and self.cancel_requested is None and scope.others() <= 0:
                raise TimeOver(error.why if isinstance(error, CoroutineLeft) else "") from None
            raise
        else:
            if scope.expired:  # the run swallowed that, but its time was over all the same
                raise TimeOver
        finally:
            scope.disarm()

    async def release(self) -> bool:
        """Separate the run, which has ended or rests, from the caller's task.

        The interruptions of the run are taken back: they were not meant for the caller.

        Returns:
            Whether the caller was cancelled.
        """
        self.detach()
        scope, self._scope = self._scope, None
        if scope is None:
            return False
        if scope.count:
            scope.close()
            with contextlib.suppress(asyncio.CancelledError):  # if it is not delivered yet
                await asyncio.sleep(0)
        return scope.others() > 0

    def is_to_stop(self) -> bool:
        """Return whether the run is left as it is: its caller was cancelled a second time.

        A child does as its parent.
        """
        has_parent = self._parent is not None and self._parent.rests is None
        if has_parent or (self._scope is not None and self._scope.others() > 1):
            return self.stop()
        return self.is_stopped

    def stop(self) -> bool:
        """Leave the run as it is, and return whether that may be: a child does as its parent."""
        parent = self._parent
        self.is_stopped = parent is None or parent.rests is not None or parent.is_stopped
        return self.is_stopped

    async def _receive(self, message: InboxMessage) -> None:
        await self._log.append(
            EventReceived(
                run_id=self._log.state.run_id,
                at=message.at,
                name=message.name,
                event_id=message.message_id,
                data=message.data,
                sender=message.sender,
            )
        )

    async def _cancel(self, message: InboxMessage) -> None:
        record = RunCancelRequested(
            run_id=self._log.state.run_id,
            at=message.at,
            by=message.by,
            reason=reason_of(message),
            message_id=message.message_id,
        )
        first = self.cancel_requested is None
        await self._log.append(record)
        if first and self.cancel_requested is not None:
            self.interrupt()


def _received(position: int, message: InboxMessage) -> ReceivedEvent:
    return ReceivedEvent(
        event_id=message.message_id,
        name=message.name,
        data=message.data,
        at=message.at,
        by=message.by,
        sender=message.sender,
        position=position,
    )
