"""Bounds of connections: how many are open, and how long one may wait for a request.

A client without a token can open connections and send nothing, or half a head. Such a connection
is closed when its time is over, and before that as soon as its place is needed by another one:
only a connection with an authenticated request in progress keeps its place.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from qtforge_host.serving.errors import TooFewDescriptorsError

__all__ = ["AUTHENTICATED", "BURST", "Connection", "Connections", "connection_limit"]

_LOG: Final = logging.getLogger("qtforge.http")
AUTHENTICATED: Final = "qtforge.authenticated"  # the key in ASGI's scope of what a token may do
BURST: Final = 64  # connections that the loop accepts before it does anything else
_RESERVED: Final = BURST + 192  # descriptors for the journal, plugins, worker processes
_DEFAULT_LIMIT: Final = 1000
_LEAST: Final = 32
_SHARE: Final = 16  # of the connections, that are closed at once when all places are taken
_STALLED_S: Final = 30.0  # in which a client must read something of its response


def connection_limit(wanted: int | None) -> int:
    """Return how many connections may be open at once, with descriptors left for the process.

    Args:
        wanted: So many; None for 1,000, or fewer where the process may open fewer files.

    Raises:
        TooFewDescriptorsError: The process may not open so many files.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    available = most - _RESERVED if most != resource.RLIM_INFINITY else 1 << 20
    if available < (wanted or _LEAST):
        raise TooFewDescriptorsError(most, wanted or _LEAST, (wanted or _LEAST) + _RESERVED)
    return wanted or min(_DEFAULT_LIMIT, available)


class Connection(H11Protocol):
    """uvicorn's connection, which belongs to `Connections`.

    Args:
        connections: Where it is counted.
        options: uvicorn's own arguments.

    Attributes:
        waiting_since_s: Since when it waits for the head of a request, in monotonic seconds.
        stalled_since_s: Since when its client reads nothing of the response; None while it does.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections
        self.waiting_since_s = 0.0
        self.stalled_since_s: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is in progress, whose head was received."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def keeps_its_place(self) -> bool:
        """Whether an authenticated request is in progress."""
        return self.is_busy and AUTHENTICATED in self.scope

    def cut(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception:  # noqa: BLE001 - whatever the library raises ends one connection
            # asyncio would close it too, but write a traceback each time, without a limit.
            _LOG.exception("what a client sent can't be read")
            self.cut()

    def on_response_complete(self) -> None:
        # Before the call, which handles a request that was sent ahead.
        self._connections.wait_again(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        if self.is_busy and self.cycle.response_started:
            self.cut()  # a second response would end up in the first one
        else:
            super().send_400_response(msg)
            if self.cycle is not None:
                self.cycle.disconnected = True

    def pause_writing(self) -> None:
        self.stalled_since_s = self._connections.now_s()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_since_s = None
        super().resume_writing()


class Connections:
    """All open connections of a server, those first that have waited longest for a request.

    Args:
        limit: How many may be open.
        head_s: How long the head of a request may take to arrive, in seconds.
        idle_s: How long a connection is kept after a response, in seconds.
        now_s: The time, in monotonic seconds.
    """

    def __init__(
        self,
        limit: int,
        *,
        head_s: float,
        idle_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._head_s = head_s
        self._idle_s = idle_s
        self._open: OrderedDict[Connection, None] = OrderedDict()
        self.now_s = now_s

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Count a new connection; when all places are taken, close those that wait longest."""
        if len(self._open) >= self._limit:
            self._make_place()
        if len(self._open) >= self._limit:
            _LOG.warning(
                "a connection was closed: %d requests are in progress on as many connections",
                len(self._open),
            )
            connection.cut()
            return
        connection.waiting_since_s = self.now_s()
        self._open[connection] = None

    def discard(self, connection: Connection) -> None:
        """Do not count a connection any more."""
        self._open.pop(connection, None)

    def wait_again(self, connection: Connection) -> None:
        """Let a connection wait for its next request, for the idle time and that of a head."""
        if connection in self._open:
            connection.waiting_since_s = self.now_s() + self._idle_s
            self._open.move_to_end(connection)

    def close_overdue(self) -> None:
        """Close what waits too long for a head, or for its client to read."""
        now_s = self.now_s()
        for connection in [*self._open]:
            stalled_since_s = connection.stalled_since_s
            is_late = not connection.is_busy and now_s - connection.waiting_since_s > self._head_s
            if is_late or (stalled_since_s is not None and now_s - stalled_since_s > _STALLED_S):
                self._close(connection)

    def _make_place(self) -> None:
        # Several at once: each look at all of them makes place for many more.
        wanted = max(1, self._limit // _SHARE)
        found = [each for each in self._open if not each.keeps_its_place][:wanted]
        if found:
            _LOG.warning("%d connections are open: those that wait longest are closed", self._limit)
        for connection in found:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self.discard(connection)
        connection.cut()
