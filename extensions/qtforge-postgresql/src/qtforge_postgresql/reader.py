"""The thread that reads, and its queue from the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

import psycopg

from qtforge_postgresql.contact import Contact
from qtforge_postgresql.errors import is_passing
from qtforge_postgresql.queries import Queries
from qtforge_postgresql.session import Connector

__all__ = ["Reader"]

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0


class _Ticket(NamedTuple):
    read: Callable[[Queries], Any]
    future: asyncio.Future[Any]


class Reader:
    """Takes reads from the loop, and does all reads of one turn of the loop together.

    A read whose connection was lost is done again with another one, for a while.

    Args:
        queries: From now on it is used by the thread only.
        connector: Makes connections.
        contact: Is told of the server's answers.
        thread: An executor with one worker.
        retry_s: For how long a read is tried while the server is away, in seconds.
    """

    def __init__(
        self,
        queries: Queries,
        connector: Connector,
        contact: Contact,
        thread: ThreadPoolExecutor,
        retry_s: float,
    ) -> None:
        self._queries = queries
        self._connector = connector
        self._contact = contact
        self._thread = thread
        self._retry_s = retry_s
        self._gave_up = False
        self._loop = asyncio.get_running_loop()
        self._outbox: list[_Ticket] = []

    async def read(self, read: Callable[[Queries], T]) -> T:
        """Call a function in the thread, and return its result or raise its exception."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._outbox:
            self._loop.call_soon(self._hand_over)
        self._outbox.append(_Ticket(read, future))
        return await future

    async def close(self) -> None:
        """Finish all reads, and end the thread."""
        self._hand_over()
        await self._loop.run_in_executor(self._thread, self._queries.session.close)
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
            return self._read(ticket.read), None
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            return None, error

    def _read(self, read: Callable[[Queries], Any]) -> Any:
        until = time.monotonic() + (0.0 if self._gave_up else self._retry_s)
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                if self._queries.session.is_broken:
                    self._queries.session.close()
                    self._queries.session = self._connector.connect()
                found = read(self._queries)
            except psycopg.Error as error:
                if not is_passing(error):
                    raise
                self._connector.note(error, self._queries.session)
                if time.monotonic() > until:
                    self._gave_up = True  # until the server answers, others are tried once
                    raise
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                self._gave_up = False
                self._contact.note()
                return found
