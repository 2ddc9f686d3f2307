"""Live events for clients that may be slow: what happens in the journal, and messages of the bus.

Records come from the journal, in the order of their appending, so those of other processes are
among them, each has a number, and a client that comes again goes on behind the last that it
got. Nothing is collected for a client: it reads on when it has taken what it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.serving.errors import RefusedError
from qtforge_sdk import Record, Subscription
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.journal import AppendedPage, AppendedRecord, Journal

__all__ = ["Live", "Stream", "Streams"]

_MESSAGES: Final = 1000  # of the bus, which wait for a client
_AT_ONCE: Final = 100  # records that are read ahead for a client
_POLL_S: Final = 0.25  # how often other processes' records are looked for


class Live(NamedTuple):
    """One event.

    Attributes:
        name: What ``data`` is: ``record``, ``damaged``, ``gap``, ``message`` or ``dropped``.
        data: Plain.
        id: With it a client goes on behind this event; None where it changes nothing in that.
    """

    name: str
    data: Any
    id: int | None = None


class Stream:
    """What one client hears; a context manager.

    Args:
        journal: Where records are read; None for none.
        run_id: Only records of this run; None for all.
        after: Behind which place of the journal it begins.
        on_close: Told once, when it closes.
    """

    def __init__(
        self,
        journal: Journal | None,
        run_id: str | None,
        after: int,
        on_close: Callable[[Stream], None],
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._after = after
        self._on_close = on_close
        self._records: deque[Live] = deque()
        self._messages: deque[Live] = deque()
        self._wake = asyncio.Event()
        self._open = True
        self.subscription: Subscription | None = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._on_close(self)
        self.end()

    @property
    def position(self) -> int | None:
        """The id up to which nothing waits to be read; None where there are no ids."""
        return None if self._journal is None or self._records else self._after

    def wake(self, run_id: str) -> None:
        """Have it look into the journal: there is something new of a run."""
        if self._run_id in (None, run_id):
            self._wake.set()

    def offer(self, topic: str, message: Any) -> None:
        """Take a message; when there is no room the client has been too slow, and is left."""
        if not self._open:
            return
        if len(self._messages) >= _MESSAGES:
            self._messages.clear()
            self._messages.append(Live("dropped", {"why": "it was read too slowly"}))
            self.end()
            return
        self._messages.append(Live("message", to_plain({"topic": topic, "message": message})))
        self._wake.set()

    def end(self) -> None:
        """Tell the client no more; what waits may still be read."""
        if self._open:
            self._open = False
            if self.subscription is not None:
                self.subscription.close()
            self._wake.set()

    async def next(self, within_s: float) -> Live | None:
        """Return the next event; None at the end.

        Raises:
            TimeoutError: There was none in time.
            StateDirectoryError: The journal can't be read.
        """
        with contextlib.suppress(IndexError):
            return self._records.popleft()
        async with asyncio.timeout(within_s):
            while True:
                self._wake.clear()
                if self._messages:
                    return self._messages.popleft()
                if not self._open:
                    return None
                await self._read()
                if self._records:
                    return self._records.popleft()
                if not self._messages:
                    await self._woken()

    async def _woken(self) -> None:
        poll_s = None if self._journal is None else _POLL_S  # others' records wake nobody
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(poll_s):
                await self._wake.wait()

    async def _read(self) -> None:
        if self._journal is None:
            return
        page = await self._journal.records_since(self._after, _AT_ONCE, run_id=self._run_id)
        gap = _gap(self._after, page)
        if gap is not None:
            self._records.append(gap)
            self._after = page.oldest - 1
        if gap is None or gap.data["missed"] is not None:
            self._records.extend(map(_live, page.records))
            self._after = max(self._after, page.until)


def _gap(after: int, page: AppendedPage) -> Live | None:
    """Return what tells that not everything behind a place is known any more."""
    if after > page.until:
        why = "the id is not of this journal; what it still knows follows"
        missed = None
    elif after + 1 < page.oldest:
        why = "the records between are no longer known"
        missed = page.oldest - after - 1
    else:
        return None
    return Live("gap", {"why": why, "missed": missed}, page.oldest - 1)


def _live(appended: AppendedRecord) -> Live:
    if appended.record is None:
        where = {"run_id": appended.run_id, "fix": "qtforge-host doctor"}
        return Live("damaged", where, appended.position)
    return Live("record", to_plain(appended.record), appended.position)


class Streams:
    """All clients that hear live events.

    Args:
        bus: Whose messages they hear.
        journal: Whose records they hear.
        limit: How many there may be.
    """

    def __init__(self, bus: MessageBus, journal: Journal, limit: int) -> None:
        self._bus = bus
        self._journal = journal
        self._limit = limit
        self._streams: set[Stream] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._streams)

    async def open(self, run_id: str | None, topic: str | None, after: int | None) -> Stream:
        """Begin to collect for a client.

        Args:
            run_id: Only records of this run; None for all runs.
            topic: Messages of the topics that this pattern names; records then only when a run
                is named too. None for no messages.
            after: The id of the last event that the client has got; None for what comes from
                now on.

        Raises:
            RefusedError: There are too many already.
            InvalidTopicError: The pattern is not well formed.
            RunNotFoundError: There is no such run.
            StateDirectoryError: The journal can't be read.
        """
        self._check_room()
        journal = self._journal if topic is None or run_id is not None else None
        if journal is not None:
            now = await journal.records_since(0, 0, run_id=run_id)
            after = now.until if after is None else after
            self._check_room()  # others may have come meanwhile
        stream = Stream(journal, run_id, after or 0, self._streams.discard)
        if topic is not None:

            async def heard(published: tuple[str, Any]) -> None:
                stream.offer(*published)

            stream.subscription = self._bus.subscribe_with_topic(topic, heard)
        self._streams.add(stream)
        if self._closed:
            stream.end()
        return stream

    def tell(self, record: Record) -> None:
        """Have those look who want a record that this process has kept."""
        for stream in self._streams:
            stream.wake(record.run_id)

    def close(self) -> None:
        """End all of them."""
        self._closed = True
        for stream in [*self._streams]:
            stream.end()

    def _check_room(self) -> None:
        if len(self._streams) >= self._limit:
            raise RefusedError(
                429,
                "http.too_many_streams",
                "too many clients hear events already",
                f"there are {self._limit}",
                "end one of them, or raise --max-streams",
                {"Retry-After": "10"},
            )
