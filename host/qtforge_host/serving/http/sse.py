"""Live events as server-sent events (the HTML standard's ``text/event-stream``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from typing import Final, Protocol, Self

from starlette.types import Message, Receive, Scope, Send

from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.requests import Call, json_bytes
from qtforge_host.serving.streaming import Live
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import CURSOR, Cursor

__all__ = ["EVENTS_TYPE", "LAST_ID", "EventSource", "EventStream", "live_events"]

EVENTS_TYPE: Final = "text/event-stream"
LAST_ID: Final = "Last-Event-ID"
_LOG: Final = logging.getLogger("qtforge.http")
_QUIET_S: Final = 15.0  # after which a comment shows that the connection is alive
_SEND_S: Final = 30.0  # in which a client must have taken what it is sent


async def live_events(call: Call) -> EventStream:
    """Open a stream of live events."""
    asked, last = call.query, call.headers.get(LAST_ID.lower())
    after = asked.after if not last else _cursor(last)
    kinds = frozenset(asked.record)
    return EventStream(await call.service.streams.open(asked.run, asked.topic, after, kinds))


def _cursor(last: str) -> Cursor:
    if re.fullmatch(CURSOR, last) is None:
        raise RefusedError(
            400,
            "http.invalid_request",
            f"the {LAST_ID} can't be used",
            "it is not an id that this server has sent",
            "leave it out to receive new events only",
        )
    return last


class EventSource(Protocol):
    """What an event stream sends; a context manager."""

    @property
    def position(self) -> Cursor | None:
        """The id of the last event: a client that connects again continues after it."""

    async def next(self, within_s: float) -> Live | None:
        """Return the next event; None at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class EventStream:
    """An ASGI application that sends one stream until it ends or the client has gone.

    Args:
        stream: The events that are sent.
        encode: Writes one of them; None for its data as JSON.
    """

    def __init__(self, stream: EventSource, encode: Callable[[Live], bytes] | None = None) -> None:
        self._stream = stream
        self._encode = encode or _encoded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stream:
            left = asyncio.create_task(_until_left(receive))
            sending = asyncio.create_task(self._send_all(send))
            try:
                await asyncio.wait({left, sending}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                left.cancel()
                sending.cancel()
                await asyncio.wait({left, sending})
            if not sending.cancelled() and (error := sending.exception()) is not None:
                raise error

    async def _send_all(self, send: Send) -> None:
        headers = [
            (b"content-type", f"{EVENTS_TYPE}; charset=utf-8".encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with contextlib.suppress(TimeoutError):  # too slow: the connection ends with it
            await _send(send, b": open\n" + _id(self._stream.position) + b"\n")
            while (text := await self._next()) is not None:
                await _send(send, text)
            await _send(send, b"", more=False)

    async def _next(self) -> bytes | None:
        try:
            found = await self._stream.next(_QUIET_S)
        except TimeoutError:
            # With a current id: the stream of a quiet run may stay open for days.
            return b": alive\n" + _id(self._stream.position) + b"\n"
        except QtForgeError as error:
            _LOG.error("a stream of events has ended: %s", error)
            return None
        return None if found is None else self._encode(found)


def _encoded(live: Live) -> bytes:
    # JSON has no raw line break, so it is one line of the format.
    name = b"event: " + live.name.encode() + b"\n"
    return _id(live.id) + name + b"data: " + json_bytes(live.data) + b"\n\n"


def _id(position: Cursor | None) -> bytes:
    # A client remembers an id that is sent without an event too.
    return b"" if position is None else b"id: %b\n" % position.encode()


async def _send(send: Send, content: bytes, *, more: bool = True) -> None:
    message: Message = {"type": "http.response.body", "body": content, "more_body": more}
    async with asyncio.timeout(_SEND_S):
        await send(message)
    # Sending may never suspend: without a turn of the loop between two events, no other task
    # would run, and a disconnect would not be noticed.
    await asyncio.sleep(0)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
