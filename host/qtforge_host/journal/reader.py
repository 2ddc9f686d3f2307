"""The one thread that reads, and the way to it from the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from qtforge_host.journal.queries import Queries

__all__ = ["Reader"]

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]


class _Ticket(NamedTuple):
    read: Callable[[Queries], Any]
    future: asyncio.Future[Any]


class Reader:
    """Takes reads from the loop, and does all that one of its turns asks for in one go.

    A thread's wake-up costs more than a run's records do: when many runs are taken up at
    once, their reads share it.

    Args:
        queries: Belongs to the thread from now on.
        connection: What the queries read; closed with the reader.
        thread: Of one worker.
    """

    def __init__(
        self, queries: Queries, connection: sqlite3.Connection, thread: ThreadPoolExecutor
    ) -> None:
        self._queries = queries
        self._connection = connection
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._outbox: list[_Ticket] = []

    async def read(self, read: Callable[[Queries], T]) -> T:
        """Have something read in the thread, and return what it gave or raise what it raised."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._outbox:
            self._loop.call_soon(self._hand_over)
        self._outbox.append(_Ticket(read, future))
        return await future

    async def close(self) -> None:
        """Finish what was asked for, and end the thread."""
        self._hand_over()
        await self._loop.run_in_executor(self._thread, self._connection.close)
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

    # What follows runs in the thread.

    def _work(self, tickets: Sequence[_Ticket]) -> None:
        outcomes = [self._do(ticket) for ticket in tickets]
        try:
            self._loop.call_soon_threadsafe(self._deliver, tickets, outcomes)
        except RuntimeError:
            return  # the loop is closed, and nobody waits any more

    def _do(self, ticket: _Ticket) -> _Outcome:
        if ticket.future.cancelled():
            return None, None
        try:
            return ticket.read(self._queries), None
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            return None, error
