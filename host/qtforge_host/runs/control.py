"""What others ask of a run while it goes on: pause, cancel, amend, events."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from qtforge_host.runs.interrupting import Interruptible
from qtforge_host.runs.log import RunLog
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.journal import InboxEntry, InboxMessage
from qtforge_sdk.records import CheckpointSaved, EventReceived, RunCancelRequested

__all__ = ["Control", "PauseRequested", "Rested"]


class PauseRequested(BaseException):
    """Leaves the orchestrator at a step's boundary, so that the run can rest."""

    def __init__(self, message: InboxMessage) -> None:
        super().__init__(message.message_id)
        self.message = message


class Rested(BaseException):
    """Leaves the orchestrator of a run that has kept its state and waits."""


class Control(Interruptible):
    """A run's inbox, as far as it has been read, and what ends the run before its time.

    Args:
        log: Where events and requests are recorded.
        amend: Applies an amendment, or records why it can't be.
        parent: The control of the run that this one is a step of, or None.
        tell: Hears of each state that is kept; given for a run that keeps its state.

    Attributes:
        position: How far the inbox has been read.
        is_over: Whether the run was resumed with no time left.
        may_rest: Whether a run that keeps its state rests when there is nothing to do.
        stays: Whether it never does, because another run waits for its end.
        idle_since: On `time.monotonic`'s scale: since when it waits; None while it works.
        awaited_events: The names of the events that the run's code waits for now.
        on_wait: Called with the time of the next timer, or None without one, whenever the run
            begins to wait; None when nobody is to be called.
    """

    def __init__(
        self,
        log: RunLog,
        amend: Callable[[InboxMessage], Awaitable[None]],
        parent: Control | None = None,
        tell: Callable[[CheckpointSaved], None] | None = None,
    ) -> None:
        self._log = log
        self._amend = amend
        self._amendments: list[InboxMessage] = []
        self._pause: InboxMessage | None = None
        super().__init__(parent)
        self._changed: asyncio.Event | None = None  # made for the first who waits
        self.position = 0
        self.is_over = False
        self.may_rest = False
        self.stays = False
        self.idle_since: float | None = None
        self.awaited_events: list[str] = []
        self.on_wait: Callable[[datetime.datetime | None], None] | None = None
        self._tell = tell
        self._arrived: deque[ReceivedEvent] = deque()
        self._ignored: list[str] = []  # ids of messages that no record deals with
        self._woken: asyncio.Future[None] | None = None

    @property
    def changed(self) -> asyncio.Event:
        """Set, and another put in its place, at a delivery."""
        if self._changed is None:
            self._changed = asyncio.Event()
        return self._changed

    @functools.cached_property
    def _amending(self) -> asyncio.Lock:
        return asyncio.Lock()

    @property
    def stateful(self) -> bool:
        """Whether the run is one that keeps its state."""
        return self._tell is not None

    @property
    def cancel_requested(self) -> RunCancelRequested | None:
        """That somebody cancelled the run before anything of it was undone."""
        return self._log.state.cancel_requested

    @property
    def winds_down(self) -> bool:
        """Whether nothing new may be asked, because the run was cancelled, or is being undone."""
        state = self._log.state
        return self.is_over or state.compensating or state.cancel_requested is not None

    async def deliver(self, entries: list[InboxEntry], *, resumed: bool = False) -> None:
        """Take in what was sent; events and cancellations at once, the rest at a boundary.

        Args:
            entries: Of the inbox.
            resumed: They were sent before somebody resumed the run: a pause no longer counts.
        """
        for position, message in entries:
            if position <= self.position:  # another reading of the inbox brought it
                continue
            self.position = position
            if message.message_id in self._log.state.handled:
                continue
            if message.kind == "event" and self._tell is not None:
                self._arrived.append(_received(position, message))
                continue
            if message.kind == "event":
                await self._receive(message)
            elif message.kind == "amend":
                self._amendments.append(message)
            elif message.kind == "pause" and resumed:
                self._ignored.append(message.message_id)
            elif message.kind == "pause":
                self._pause = message
            elif message.kind == "cancel":
                await self._cancel(message)
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
        self.wake()

    @contextlib.contextmanager
    def awaiting(self, event: str) -> Iterator[None]:
        """Mark that the run's code waits for an event."""
        self.awaited_events.append(event)
        try:
            yield
        finally:
            self.awaited_events.remove(event)

    def push(self, event: ReceivedEvent) -> None:
        """Take in an event that did not come by the inbox."""
        self._arrived.append(event)
        self.wake()

    def first_event(self) -> ReceivedEvent | None:
        """Return the oldest event that has not been dealt with."""
        return self._arrived[0] if self._arrived else None

    def checkpoint_saved(self, record: CheckpointSaved) -> None:
        """Take in that a state was kept, and with it the event that led to it is done with."""
        if self._arrived and self._arrived[0].event_id == record.event_id:
            self._arrived.popleft()
        self._ignored = [each for each in self._ignored if each not in record.handled]
        if self._tell is not None:
            self._tell(record)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The ids of messages that have been dealt with, and that no record tells of."""
        return tuple(self._ignored)

    def direct_events(self) -> list[ReceivedEvent]:
        """Return the unhandled events that were not sent through the inbox."""
        return [event for event in self._arrived if event.position == 0]

    def wake(self) -> None:
        """Let a waiting run look for events and timers."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def until_woken(self, due: datetime.datetime | None) -> None:
        """Wait until something was sent, a timer is due, or the run is to rest.

        Args:
            due: When the run's next timer is; None without one.
        """
        self._woken = asyncio.get_running_loop().create_future()
        self.idle_since = time.monotonic()
        if self.on_wait is not None:
            self.on_wait(due)
        try:
            await self._woken
        finally:
            self.idle_since = None

    def rest(self) -> None:
        """Let a run that keeps its state rest as soon as there is nothing to do."""
        if not self.stays:
            self.may_rest = True
            self.wake()

    def check(self) -> None:
        """Stop the run where it has to stop, before a step.

        Raises:
            PauseRequested: The run is to rest.
            asyncio.CancelledError: The run was cancelled before there was a task to cancel:
                while nobody ran it, or by a process that died before it was done.
        """
        if self.cancel_requested is not None:
            raise asyncio.CancelledError
        if self._pause is not None:
            raise PauseRequested(self._pause)

    async def amend(self) -> None:
        """Apply the amendments that have come; after a step, before the next is chosen.

        Not between the choice of a step and the step: it would run in the place of one that
        the amendment puts before it, and a resumed run would ask for them the other way round.
        """
        if self._amendments:
            async with self._amending:
                while self._amendments:
                    await self._amend(self._amendments.pop(0))

    async def wait(self, changed: asyncio.Event) -> None:
        """Wait for something to be sent.

        Args:
            changed: As the attribute was before the caller looked at what had been sent, so
                that nothing falls between looking and waiting.

        Raises:
            PauseRequested: The run is to rest.
        """
        await self.amend()
        self.check()
        await changed.wait()

    async def _receive(self, message: InboxMessage) -> None:
        await self._log.append(
            EventReceived(
                run_id=self._log.state.run_id,
                at=message.at,
                name=message.name,
                event_id=message.message_id,
                data=message.data,
            )
        )

    async def _cancel(self, message: InboxMessage) -> None:
        record = RunCancelRequested(
            run_id=self._log.state.run_id,
            at=message.at,
            by=message.by,
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
        position=position,
    )
