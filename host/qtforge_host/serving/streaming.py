"""Live events: records of runs and messages of the bus, for clients that may be slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.serving.errors import RefusedError
from qtforge_sdk import Record, Subscription
from qtforge_sdk.conversion import to_plain

__all__ = ["Live", "Stream", "Streams"]

_CAPACITY: Final = 1000


class Live(NamedTuple):
    """One event; ``name`` tells what ``data`` is: ``record``, ``message`` or ``dropped``."""

    name: str
    data: Any


class Stream:
    """What one client hears; a context manager.

    Args:
        run_id: Only of this run, of records; None for all.
        on_close: Told once, when it closes.
    """

    def __init__(self, run_id: str | None, on_close: Callable[[Stream], None]) -> None:
        self._run_id = run_id
        self._on_close = on_close
        self._queue: asyncio.Queue[Live | None] = asyncio.Queue(_CAPACITY + 1)
        self._open = True
        self.wants_records = True
        self.subscription: Subscription | None = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._on_close(self)
        self.end()

    def record(self, record: Record) -> None:
        """Offer a run's record."""
        if self.wants_records and self._run_id in (None, record.run_id):
            self.offer("record", record)

    def offer(self, name: str, content: Any) -> None:
        """Take an event; when there is no room the client has been too slow, and is left."""
        if not self._open:
            return
        if self._queue.qsize() >= _CAPACITY:
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(Live("dropped", {"why": "it was read too slowly"}))
            self.end()
            return
        self._queue.put_nowait(Live(name, to_plain(content)))

    def end(self) -> None:
        """Tell the client no more; what waits may still be read."""
        if self._open:
            self._open = False
            if self.subscription is not None:
                self.subscription.close()
            if not self._queue.full():
                self._queue.put_nowait(None)

    async def next(self, within_s: float) -> Live | None:
        """Return the next event; None at the end.

        Raises:
            TimeoutError: There was none in time.
        """
        if not self._open and self._queue.empty():
            return None
        async with asyncio.timeout(within_s):
            return await self._queue.get()


class Streams:
    """All clients that hear live events.

    Args:
        bus: Whose messages they hear.
        limit: How many there may be.
    """

    def __init__(self, bus: MessageBus, limit: int) -> None:
        self._bus = bus
        self._limit = limit
        self._streams: set[Stream] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._streams)

    def open(self, run_id: str | None, topic: str | None) -> Stream:
        """Begin to collect for a client.

        Args:
            run_id: Only records of this run; None for all runs.
            topic: Messages of the topics that this pattern names; records then only when a run
                is named too. None for no messages.

        Raises:
            RefusedError: There are too many already.
            InvalidTopicError: The pattern is not well formed.
        """
        if len(self._streams) >= self._limit:
            raise RefusedError(
                429,
                "http.too_many_streams",
                "too many clients hear events already",
                f"there are {self._limit}",
                "end one of them, or raise --max-streams",
                {"Retry-After": "10"},
            )
        stream = Stream(run_id, self._streams.discard)
        if topic is not None:
            stream.wants_records = run_id is not None

            async def heard(published: tuple[str, Any]) -> None:
                stream.offer("message", {"topic": published[0], "message": published[1]})

            stream.subscription = self._bus.hear(topic, heard)
        self._streams.add(stream)
        return stream

    def tell(self, record: Record) -> None:
        """Give a record to those who want it."""
        for stream in [*self._streams]:
            stream.record(record)

    def close(self) -> None:
        """End all of them."""
        for stream in [*self._streams]:
            stream.end()
