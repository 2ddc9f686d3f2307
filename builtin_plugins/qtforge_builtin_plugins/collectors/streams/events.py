"""Server-sent events, and JSON lines that a web server streams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

import httpx2

from qtforge_builtin_plugins.collectors.streams.lines import TooLong, split
from qtforge_builtin_plugins.collectors.streams.server_events import EventSplitter
from qtforge_builtin_plugins.collectors.web.bodies import excerpt
from qtforge_builtin_plugins.collectors.web.decoding import decoded_parts
from qtforge_builtin_plugins.collectors.web.failures import status_error
from qtforge_builtin_plugins.collectors.web.request import HttpParameters, build
from qtforge_builtin_plugins.collectors.web.session import WebSession
from qtforge_sdk.errors import OperationError

__all__ = ["web_lines"]

_EVENTS: Final = "text/event-stream"
_LINES: Final = (
    "application/jsonl", "application/x-ndjson", "application/ndjson", "application/jsonlines",
    "application/x-jsonlines", "application/stream+json",
)  # fmt: skip


async def web_lines(
    session: WebSession,
    url: str,
    label: str,
    headers: Mapping[str, str],
    max_line_bytes: int,
    mask: Callable[[str], str],
) -> AsyncGenerator[list[bytes | TooLong], None]:
    """Yield the data of each event, or each line, as it arrives.

    Args:
        session: Sends the request.
        url: The URL with its secrets.
        label: The source, without secrets.
        headers: The headers with their secrets.
        max_line_bytes: The longest line or event, in bytes.
        mask: Masks the secrets in a text.

    Raises:
        OperationError: As `WebSession.answer`, ``stream.status``, and
            ``stream.invalid_answer``: it is no stream.
    """
    client = session.client()
    # A stream may be silent for as long as its window allows.
    client.timeout = httpx2.Timeout(None, connect=client.timeout.connect)
    accept = f"{_EVENTS}, {_LINES[1]};q=0.9"
    asked = {"Accept": accept, "Cache-Control": "no-store", **headers}
    request = build(client, url, HttpParameters(headers=asked), label)
    async with session.answer(client, request, label) as response:
        if not response.is_success:
            text = await excerpt(response, mask)
            raise status_error(response, text, label, "stream")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in (_EVENTS, *_LINES):
            yield []
        if kind == _EVENTS:
            splitter = EventSplitter(max_line_bytes)
            async with contextlib.aclosing(decoded_parts(response)) as pieces:
                async for piece in pieces:
                    yield splitter.feed(piece)
        elif kind in _LINES:
            async for lines in split(decoded_parts(response), max_line_bytes):
                yield lines
        else:
            raise OperationError(
                "stream.invalid_answer",
                f"{label} is not a stream",
                f"its content type is {kind or 'not given'}, not {_EVENTS} or JSON lines",
                "to read an answer as a whole, use a source of the type http",
                retryable=False,
            )
