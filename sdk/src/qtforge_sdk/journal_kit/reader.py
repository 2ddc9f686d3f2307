"""The thread that reads, and its queue from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

__all__ = ["ReadStore", "Reader"]

Q = TypeVar("Q")
Q_co = TypeVar("Q_co", covariant=True)
T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]


class ReadStore(Protocol[Q_co]):
    """Where reads are done; used by one thread, the reader's."""

    def read(self, read: Callable[[Q_co], T], /) -> T:
        """Call a function with the queries of the store, and return its result."""

    def close(self) -> None:
        """Close the connection; nothing is read any more."""


class _Ticket(NamedTuple):
    read: Callable[[Any], Any]
    future: asyncio.Future[Any]


class Reader(Generic[Q]):
    """Takes reads from the loop, and does all reads of one turn of the loop together.

    Waking a thread costs more than reading the records of a run: when many runs are resumed
    at once, their reads share one wake-up.

    Args:
        store: Where it reads; from now on it is used by the thread only.
        thread: An executor with one worker.
    """

    def __init__(self, store: ReadStore[Q], thread: ThreadPoolExecutor) -> None:
        self._store = store
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._outbox: list[_Ticket] = []

    async def read(self, read: Callable[[Q], T]) -> T:
        """Call a function in the thread, and return its result or raise its exception."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._outbox:
            self._loop.call_soon(self._hand_over)
        self._outbox.append(_Ticket(read, future))
        return await future

    async def close(self) -> None:
        """Finish all reads, and end the thread."""
        self._hand_over()
        await self._loop.run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)

    def _hand_over(self) -> None:
        if self._outbox:
            tickets, self._outbox = self._outbox, []
            self._thread.submit(self._work, tickets)

    def _deliver(self, tickets: Sequence[_Ticket], outcomes: Sequence[_Outcome]) -> None:
        for (_, future), (found, error) in zip(tickets, outcomes, strict=True):
            if future.done():
                continue  # its caller was cancelled
            if error is None:
                future.set_result(found)
            else:
                future.set_exception(error)

    # The following methods run in the thread.

    def _work(self, tickets: Sequence[_Ticket]) -> None:
        outcomes = [self._do(ticket) for ticket in tickets]
        try:
            self._loop.call_soon_threadsafe(self._deliver, tickets, outcomes)
        except RuntimeError:
            return  # the loop is closed, and no caller waits any more

    def _do(self, ticket: _Ticket) -> _Outcome:
        if ticket.future.cancelled():
            return None, None
        try:
            return self._store.read(ticket.read), None
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            return None, error
