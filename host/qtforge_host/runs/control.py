"""What others ask of a run while it goes on: pause, cancel, amend, events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qtforge_host.runs.log import RunLog
from qtforge_sdk.journal import InboxEntry, InboxMessage
from qtforge_sdk.records import EventReceived, RunCancelRequested

__all__ = ["Control", "PauseRequested"]


class PauseRequested(BaseException):
    """Leaves the orchestrator at a step's boundary, so that the run can rest."""

    def __init__(self, message: InboxMessage) -> None:
        super().__init__(message.message_id)
        self.message = message


class Control:
    """A run's inbox, as far as it has been read.

    Args:
        log: Where events and requests are recorded.
        amend: Applies an amendment, or records why it can't be.
    """

    def __init__(self, log: RunLog, amend: Callable[[InboxMessage], Awaitable[None]]) -> None:
        self._log = log
        self._amend = amend
        self._amendments: list[InboxMessage] = []
        self._amending = asyncio.Lock()
        self._pause: InboxMessage | None = None
        self._task: asyncio.Task[object] | None = None
        self.changed = asyncio.Event()  # set, and another put in its place, at a delivery
        self.position = 0
        self.cancel_requested: RunCancelRequested | None = log.history.cancel_requested

    @property
    def has_amendments(self) -> bool:
        """Whether `amend` has something to do."""
        return bool(self._amendments)

    def attach(self, task: asyncio.Task[object]) -> None:
        """Say which task a cancellation ends."""
        self._task = task

    async def deliver(self, entries: list[InboxEntry]) -> None:
        """Take in what was sent; events and cancellations at once, the rest at a boundary."""
        for position, message in entries:
            if position <= self.position:  # another reading of the inbox brought it
                continue
            self.position = position
            if message.message_id in self._log.history.handled:
                continue
            if message.kind == "event":
                await self._receive(message)
            elif message.kind == "amend":
                self._amendments.append(message)
            elif message.kind == "pause":
                self._pause = message
            elif message.kind == "cancel":
                await self._cancel(message)
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

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
                run_id=self._log.view.run_id,
                at=message.at,
                name=message.name,
                event_id=message.message_id,
                data=message.data,
            )
        )

    async def _cancel(self, message: InboxMessage) -> None:
        record = RunCancelRequested(
            run_id=self._log.view.run_id,
            at=message.at,
            by=message.by,
            message_id=message.message_id,
        )
        await self._log.append(record)
        if self.cancel_requested is None:  # the second of two does not interrupt what undoes
            self.cancel_requested = record
            if self._task is not None:
                self._task.cancel()
