"""The thread that writes, and its queue from the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_kit.jobs import Append, Create, Job
from qtforge_sdk.shielding import shield, wait_shielded

__all__ = ["GroupStore", "Writer"]

_CAPACITY: Final = 1024  # jobs that wait or are being written; further callers wait for room
_AT_ONCE: Final = 32  # jobs that are handed over before the loop's turn ends
_POLL_S: Final = 0.05  # between looks at other processes' writes, while a caller waits


class GroupStore(Protocol):
    """Writes groups of jobs; used by one thread, the writer's."""

    def commit(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> list[Any]:
        """Do all jobs in one transaction, in order; new runs first.

        Args:
            jobs: At least one.
            meanwhile: Called before the commit, during which the interpreter lock is free;
                may be called twice.

        Returns:
            The outcome of each job, or the QtForgeError that refused just that job.

        Raises:
            Exception: Nothing was written.
        """

    def failure(self, error: Exception) -> QtForgeError:
        """Return what is raised in the callers for an error of `commit`.

        Where it is not ``retryable``, nothing is written any more.
        """

    def others_wrote(self) -> bool:
        """Return whether another process may have written since the last call.

        It is called many times a second while a caller waits for that, so that it costs nothing.
        """

    def closed(self) -> QtForgeError:
        """Return what is raised in callers after `Writer.close`."""

    def close(self) -> None:
        """Close the connection; nothing is written any more."""


class _Ticket(msgspec.Struct):
    """A job, and the future of its outcome; replaced when it was cancelled with the caller."""

    job: Job
    future: asyncio.Future[Any]


class Writer:
    """Takes jobs from the loop, and writes all waiting jobs as one group.

    Args:
        store: Writes the groups; from now on it is used by the thread only.
    """

    def __init__(self, store: GroupStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._outbox: list[_Ticket] = []
        self._pending = 0
        self._room = (
            asyncio.Event()
        )  # set when there may be room; cheaper for each job than a semaphore
        self._queue: queue.SimpleQueue[list[_Ticket] | None] = queue.SimpleQueue()
        self._changed = asyncio.Event()
        self._watchers = 0  # read by the thread; assigning an int is atomic
        self._closing = False
        self._broken: Exception | None = None  # the thread's
        self._written: tuple[Sequence[_Ticket], Sequence[Any]] | None = None  # the thread's
        self._looked_at = 0.0  # the thread's
        self._ended = self._loop.create_future()
        # A daemon thread: an interpreter that exits without close() does not wait for it.
        threading.Thread(target=self._work, name="qtforge-journal", daemon=True).start()

    @property
    def backlog(self) -> int:
        """How many jobs wait or are being written, without those that wait for room."""
        return self._pending

    async def submit(self, job: Job) -> Any:
        """Write a job, and return its outcome once it is on the disk.

        A caller that is cancelled meanwhile waits for that before it raises CancelledError:
        the state of a run in memory must not lag behind the disk.

        Raises:
            QtForgeError: The job was refused, or could not be written.
        """
        cancelled = self._pending >= _CAPACITY and await self._until_room()
        if self._closing:
            raise self._store.closed()
        self._pending += 1
        ticket = _Ticket(job, self._loop.create_future())
        if not self._outbox:
            # At the loop's next turn, together with the jobs of other tasks of this turn.
            self._loop.call_soon(self._hand_over)
        self._outbox.append(ticket)
        if (
            len(self._outbox) >= _AT_ONCE
            and isinstance(job, Append)
            and (job.status is None or job.checkpoint)
        ):
            self._hand_over()  # only cheap jobs: each statement of others would wait for the loop
        try:
            outcome = await ticket.future
        except asyncio.CancelledError:
            if ticket.future.cancelled():  # with the caller; the outcome is still to come
                ticket.future = self._loop.create_future()
            await shield(ticket.future)
            raise
        if cancelled:
            raise asyncio.CancelledError
        return outcome

    async def _until_room(self) -> bool:
        """Wait until another job may be submitted; return whether the caller was cancelled."""
        cancelled = False
        while self._pending >= _CAPACITY:
            self._room.clear()
            cancelled |= await wait_shielded(asyncio.ensure_future(self._room.wait()))
        return cancelled

    async def changed(self, timeout_s: float) -> bool:
        """Wait for another process's write or a waking `Change`; see `Journal`."""
        self._watchers += 1
        self._queue.put([])  # the thread may be waiting without a timeout
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self._watchers -= 1
        self._changed.clear()
        return True

    async def close(self) -> None:
        """Write all submitted jobs, and end the thread."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.shield(self._ended)

    def _hand_over(self) -> None:
        if self._outbox:
            self._queue.put(self._outbox)
            self._outbox = []

    def _deliver(self, tickets: Sequence[_Ticket], outcomes: Sequence[Any]) -> None:
        self._pending -= len(tickets)
        self._room.set()
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            job, future = ticket.job, ticket.future
            if _wakes(job):
                self._changed.set()
            if future.done():  # cancelled with the caller, who is about to look again
                future = ticket.future = self._loop.create_future()
            if outcome is None:  # an append, like most jobs
                future.set_result(None)
            elif isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    # The following methods run in the thread.

    def _work(self) -> None:
        try:
            self._look_for_others()  # so that what was written before does not count
            last = False
            while not last:
                tickets, last = self._take()
                if tickets:
                    outcomes = self._write(tickets)
                    self._written = tickets, outcomes
                else:
                    self._deliver_written()
                self._poll_other_writers()
            self._deliver_written()
        finally:
            self._store.close()
            self._call_in_loop(self._end)

    def _take(self) -> tuple[list[_Ticket], bool]:
        """Return all waiting jobs, and whether they are the last; do not wait while there are
        outcomes to deliver.
        """
        tickets: list[_Ticket] = []
        wait = self._written is None
        while True:
            try:
                found = self._queue.get(wait, _POLL_S if self._watchers else None)
            except queue.Empty:
                return tickets, False
            if found is None:
                return tickets, True
            tickets += found
            if len(tickets) >= max(_AT_ONCE, self._pending // 2):
                return tickets, False
            wait = False

    def _write(self, tickets: Sequence[_Ticket]) -> list[Any]:
        error = self._broken
        if error is None:
            try:
                jobs = [ticket.job for ticket in tickets]
                return self._store.commit(jobs, self._deliver_written)
            except Exception as raised:  # noqa: BLE001 - raised in every caller, with its cause
                error = raised
        self._deliver_written()
        failures = [self._store.failure(error) for _ in tickets]
        if failures[0].retryable is False:
            self._broken = error
        return failures

    def _deliver_written(self) -> None:
        """Deliver the outcomes of the last group.

        This is done just before the next group is written, so that the loop handles the
        outcomes while this thread waits for the disk; earlier, the loop would compete with it.
        """
        written, self._written = self._written, None
        if written is not None:
            self._call_in_loop(self._deliver, *written)

    def _poll_other_writers(self) -> None:
        if not self._watchers or time.monotonic() < self._looked_at + _POLL_S:
            return
        self._looked_at = time.monotonic()
        if self._look_for_others():
            self._call_in_loop(self._changed.set)

    def _look_for_others(self) -> bool:
        try:
            return self._store.others_wrote()
        except Exception:  # noqa: BLE001 - the next write reports it
            return False

    def _call_in_loop(self, callback: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            return  # the loop is closed, and no caller waits any more

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _wakes(job: Job) -> bool:
    """Return whether there may be something to do for this process after a job."""
    if isinstance(job, Append):
        return bool(job.posts)
    return job.is_queued if isinstance(job, Create) else job.wakes
