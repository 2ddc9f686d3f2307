"""Live events for clients that may be slow: records of the journal, and messages of the bus.

Records are read from the journal in the order in which they were appended, including those of
other processes. Each has a number, so that a client that connects again continues after the last
one that it received. No records are buffered for a client: the next are read when it has received
those before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from qtforge_host.api.documents import LogRow
from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.serving.errors import RefusedError
from qtforge_sdk import Record, Subscription
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.journal import AppendedRecord, Cursor, Journal

__all__ = ["Live", "LogStream", "Stream", "Streams"]

_MESSAGES: Final = 1000  # of the bus, which wait for a client
_AT_ONCE: Final = 100  # records that are read ahead for a client
_GAPS: Final = MappingProxyType(
    {
        "pruned": "the journal no longer holds the records between",
        "unknown": "the id is not of this journal; the records that it holds follow",
    }
)
_POLL_S: Final = 0.25  # how often other processes' records are looked for


class Live(NamedTuple):
    """One event.

    Attributes:
        name: What ``data`` is: ``record``, ``damaged``, ``gap``, ``message`` or ``dropped``.
        data: Plain.
        id: A client that connects again with it continues after this event; None where the event
            does not change the place.
    """

    name: str
    data: Any
    id: Cursor | None = None


class LogStream:
    """The entries of a run's log for one client; a context manager.

    Args:
        rows: The entries, as the run makes them.
        after: The position after which they begin.
        on_close: Called once, when it closes.

    Attributes:
        position: That of the last entry that was returned.
    """

    def __init__(
        self, rows: AsyncIterator[LogRow], after: Cursor, on_close: Callable[[LogStream], None]
    ) -> None:
        self.position: Cursor | None = after
        self._rows = rows
        self._on_close = on_close
        self._asked: asyncio.Future[LogRow | None] | None = None
        self._ended = asyncio.Event()

    def __enter__(self) -> LogStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._on_close(self)
        self.end()
        if self._asked is not None:
            self._asked.cancel()

    def end(self) -> None:
        """Return no further entries."""
        self._ended.set()

    async def next(self, within_s: float) -> Live | None:
        """Return the next entry; None once the run has ended.

        Raises:
            TimeoutError: There was none in time.
            QtForgeError: The log can't be read.
        """
        if self._asked is None:  # it goes on where it takes longer
            self._asked = asyncio.ensure_future(anext(self._rows, None))
        ended = asyncio.ensure_future(self._ended.wait())
        either: set[asyncio.Future[Any]] = {self._asked, ended}
        try:
            done, _ = await asyncio.wait(
                either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ended.cancel()
        if ended in done:
            return None
        if not done:
            raise TimeoutError
        row, self._asked = self._asked.result(), None
        if row is None:
            return None
        self.position = str(row.position)
        return Live("log", row, self.position)


class Stream:
    """The events for one client; a context manager.

    Args:
        journal: Where records are read; None for no records.
        run_id: Only records of this run; None for all runs.
        after: The place in the journal after which it begins.
        kinds: Only records with these names; empty for all.
        on_close: Called once, when it closes.
    """

    def __init__(
        self,
        journal: Journal | None,
        run_id: str | None,
        after: Cursor,
        kinds: frozenset[str],
        on_close: Callable[[Stream], None],
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._after = after
        self._kinds = kinds
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
    def position(self) -> Cursor | None:
        """The place up to which every record was returned; None without records."""
        return None if self._journal is None or self._records else self._after

    def wake(self, run_id: str) -> None:
        """Read the journal at once: a run has new records."""
        if self._run_id in (None, run_id):
            self._wake.set()

    def offer(self, topic: str, message: Any) -> None:
        """Add a message; where too many are unread, end the stream of the slow client."""
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
        """Add no further events; those that were added can still be read."""
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
                there_were_any = await self._read()
                if self._records:
                    return self._records.popleft()
                if not self._messages and not there_were_any:
                    await self._woken()

    async def _woken(self) -> None:
        poll_s = (
            None if self._journal is None else _POLL_S
        )  # another process's records call no `wake`
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(poll_s):
                await self._wake.wait()

    async def _read(self) -> bool:
        """Read the next records; return whether there were any, also such as are not sent."""
        if self._journal is None:
            return False
        page = await self._journal.records_since(self._after, _AT_ONCE, run_id=self._run_id)
        if page.gap:
            gap = {"why": _GAPS[page.gap], "missed": page.missed}
            self._records.append(Live("gap", gap, page.since))
        self._records.extend(map(_live, filter(self._is_asked, page.records)))
        self._after = page.until
        return bool(page.records)

    def _is_asked(self, appended: AppendedRecord) -> bool:
        record = appended.record
        if not self._kinds or record is None:
            return True
        return str(type(record).__struct_config__.tag) in self._kinds


def _live(appended: AppendedRecord) -> Live:
    if appended.record is None:
        where = {"run_id": appended.run_id, "fix": "qtforge-host doctor"}
        return Live("damaged", where, appended.cursor)
    return Live("record", to_plain(appended.record), appended.cursor)


class Streams:
    """The streams of all clients.

    Args:
        bus: Its messages are sent.
        journal: Its records are sent.
        limit: The most streams at once.
    """

    def __init__(self, bus: MessageBus, journal: Journal, limit: int) -> None:
        self._bus = bus
        self._journal = journal
        self._limit = limit
        self._streams: set[Stream] = set()
        self._logs: set[LogStream] = set()
        self._closed = False

    def __len__(self) -> int:
        """Return the number of open streams."""
        return len(self._streams) + len(self._logs)

    def open_log(self, rows: AsyncIterator[LogRow], after: Cursor) -> LogStream:
        """Open a stream of the entries of a run's log.

        Args:
            rows: The entries, as the run makes them.
            after: The position after which they begin.

        Raises:
            RefusedError: There are too many streams already.
        """
        self._check_room()
        stream = LogStream(rows, after, self._logs.discard)
        self._logs.add(stream)
        if self._closed:
            stream.end()
        return stream

    async def open(
        self,
        run_id: str | None,
        topic: str | None,
        after: Cursor | None,
        kinds: frozenset[str] = frozenset(),
    ) -> Stream:
        """Open a stream for a client.

        Args:
            run_id: Only records of this run; None for all runs.
            topic: The pattern of the topics whose messages are sent; records are then sent only
                where a run is named too. None for no messages.
            after: The id of the last event that the client received; None for new events only.
            kinds: Only records with these names, such as ``run_finished``; empty for all.

        Raises:
            RefusedError: There are too many already.
            InvalidTopicError: The pattern is not well formed.
            RunNotFoundError: There is no such run.
            StateDirectoryError: The journal can't be read.
        """
        self._check_room()
        journal = self._journal if topic is None or run_id is not None else None
        if journal is not None:
            now = await journal.records_since("", 0, run_id=run_id)
            after = now.until if after is None else after
            self._check_room()  # others may have been opened meanwhile
        stream = Stream(journal, run_id, after or "", kinds, self._streams.discard)
        if topic is not None:

            async def offer(published: tuple[str, Any]) -> None:
                stream.offer(*published)

            stream.subscription = self._bus.subscribe_with_topic(topic, offer)
        self._streams.add(stream)
        if self._closed:
            stream.end()
        return stream

    def notify(self, record: Record) -> None:
        """Wake the streams that send a record, which this process has appended."""
        for stream in self._streams:
            stream.wake(record.run_id)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for stream in [*self._streams]:
            stream.end()
        for log in [*self._logs]:
            log.end()

    def _check_room(self) -> None:
        if len(self) >= self._limit:
            raise RefusedError(
                429,
                "http.too_many_streams",
                "too many clients receive events already",
                f"there are {self._limit}",
                "end one of them, or raise --max-streams",
                {"Retry-After": "10"},
            )
