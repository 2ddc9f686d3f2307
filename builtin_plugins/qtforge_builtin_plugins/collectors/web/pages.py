"""Request a source's pages one after the other, and put their rows into a sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import httpx2
import msgspec

from qtforge_builtin_plugins.collectors.cancellable_threads import CancellableThreads, Interrupt
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_builtin_plugins.collectors.web.answers import (
    at_path,
    decoded,
    lines_of,
    rows_in,
    take,
)
from qtforge_builtin_plugins.collectors.web.bodies import excerpt, parts, text_of, whole
from qtforge_builtin_plugins.collectors.web.failures import status_error
from qtforge_builtin_plugins.collectors.web.links import next_link
from qtforge_builtin_plugins.collectors.web.request import Cursor, HttpParameters, build
from qtforge_builtin_plugins.collectors.web.session import WebSession
from qtforge_sdk.errors import OperationError

__all__ = ["Pages"]

_BATCH_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 1 << 15

_KINDS: Final = {dict: "an object", list: "a list", bool: "true"}

T = TypeVar("T")


class Pages:
    """The pages of one call.

    Args:
        session: Sends the requests.
        threads: Parse answers, so that a large one does not block the event loop.
        url: The URL with its secrets.
        parameters: The parameters with their secrets, and with ``max_bytes``.
        label: The source, without secrets.
        mask: Masks the secrets in a text.
        hide: Masks the secrets in a row; None when none were used.
    """

    def __init__(
        self,
        session: WebSession,
        threads: CancellableThreads,
        url: str,
        parameters: HttpParameters,
        label: str,
        mask: Callable[[str], str],
        hide: Callable[[Any], Any] | None,
    ) -> None:
        self._session = session
        self._threads = threads
        self._client = session.client()
        self._parameters = parameters
        self._max_bytes = parameters.max_bytes or 0
        self._label = label
        self._mask = mask
        self._hide = hide
        self._first = build(self._client, url, parameters, label)

    async def collect(self, sink: RowSink, progress: Callable[[int], None]) -> dict[str, Any]:
        """Put all rows into the sink, and return the details: ``status`` and ``pages``.

        Args:
            sink: The sink.
            progress: Called with the number of each page that was read.

        Raises:
            OperationError: See `HttpCollector.request`.
        """
        request: httpx2.Request | None = self._first
        requested = {str(self._first.url)}
        page = status = 0
        while request is not None:
            page += 1
            async with self._session.answer(self._client, request, self._label) as response:
                status = response.status_code
                if not (response.is_success or status in self._parameters.accept_status):
                    text = await excerpt(response, self._mask)
                    raise status_error(response, text, self._label, "http")
                wanted, value = await self._take(response, sink)
                request = self._next(response, value)
            progress(page)
            if request is None:
                break
            if not wanted or page == self._parameters.max_pages or self._full(sink):
                sink.truncated = True
                break
            if str(request.url) in requested:
                why = f"page {page} links to a page that was requested already"
                what = f"the pages of {self._label} have no end"
                raise OperationError("http.endless_pages", what, why, retryable=False)
            requested.add(str(request.url))
        return {"status": status, "pages": page}

    def _full(self, sink: RowSink) -> bool:
        return sink.count >= self._parameters.limit

    async def _take(self, response: httpx2.Response, sink: RowSink) -> tuple[bool, Any]:
        """Put a page's rows into the sink; return whether it takes more, and the JSON."""
        if response.request.method == "HEAD":
            row = {"status": response.status_code, "headers": dict(response.headers)}
            return await self._put([row], sink, 0), None
        if self._parameters.format == "jsonl":
            return await self._lines(response, sink), None
        body = await whole(response, self._max_bytes, self._label)
        if self._parameters.format == "text":
            text = text_of(body, response)
            return await self._put([{"text": text}], sink, len(body)), None
        kind = response.headers.get("content-type", "")

        def read(interrupt: Interrupt) -> tuple[bool, Any]:
            value = decoded(body, self._label, kind)
            rows = rows_in(value, self._parameters.rows, self._label)
            return take(rows, sink, self._hide, interrupt), value

        return await self._run(read, len(body))

    async def _put(self, rows: Iterable[Any], sink: RowSink, size_bytes: int) -> bool:
        return await self._run(
            lambda interrupt: take(rows, sink, self._hide, interrupt), size_bytes
        )

    async def _run(self, work: Callable[[Interrupt], T], size_bytes: int) -> T:
        if size_bytes <= _SMALL_BYTES:
            return work(Interrupt())  # a thread would cost more than the work
        # Not asyncio.to_thread: after a cancellation its thread would continue to write the
        # file of rows, which the next attempt writes too.
        return await self._threads.run(work)

    async def _lines(self, response: httpx2.Response, sink: RowSink) -> bool:
        batch: list[bytes] = []
        size_bytes, first = 0, 1
        async for part in parts(response, self._max_bytes, self._label):
            batch.append(part)
            size_bytes += len(part)
            if size_bytes >= _BATCH_BYTES and b"\n" in part:
                *lines, rest = b"".join(batch).split(b"\n")
                if not await self._put(lines_of(lines, first, self._label), sink, size_bytes):
                    return False
                first += len(lines)
                batch, size_bytes = [rest], len(rest)
        lines = b"".join(batch).split(b"\n")
        return await self._put(lines_of(lines, first, self._label), sink, size_bytes)

    def _next(self, response: httpx2.Response, value: Any) -> httpx2.Request | None:
        """Return the request for the page after this one, or None after the last."""
        pagination = self._parameters.pagination
        if pagination is None:
            return None
        if not isinstance(pagination, Cursor):
            link = next_link(response.headers.get_list("link"))
            return None if link is None else self._at(response.url, link)
        cursor = at_path(value, pagination.source)
        # 0 is a cursor as good as any, and is not False.
        if cursor is None or cursor is False or cursor in ("", [], {}):
            return None
        text = _text_of(cursor)
        if pagination.end is not None and text == _text_of(pagination.end):
            return None
        if pagination.target is not None:
            return self._again(self._first.url.copy_set_param(pagination.target, text))
        if not isinstance(cursor, str):
            what = f"'{pagination.source}' in the answer of {self._label} is not a URL"
            why = f"it is {_KINDS.get(type(cursor), 'a number')}"
            fix = "to send it as a parameter of the query, name that in as"
            raise OperationError("http.invalid_answer", what, why, fix, retryable=False)
        return self._at(response.url, cursor)

    def _at(self, base: httpx2.URL, link: str) -> httpx2.Request:
        try:
            url = base.join(link)
        except httpx2.InvalidURL as error:
            what = f"the next page of {self._label} is not a URL"
            raise OperationError(
                "http.invalid_answer", what, self._mask(str(error)), retryable=False
            ) from error
        own = self._first.url
        if url.origin == own.origin and not url.userinfo:
            url = url.copy_with(username=own.username, password=own.password)
        return self._session.onward(self._first, self._again(url), self._label)

    def _again(self, url: httpx2.URL) -> httpx2.Request:
        # The URL has its own query: the source's went into the first URL.
        parameters = msgspec.structs.replace(self._parameters, query={})
        return build(self._client, str(url), parameters, self._label)


def _text_of(cursor: Any) -> str:
    """Return a cursor as it is sent: text unchanged, and any other value as JSON."""
    return cursor if isinstance(cursor, str) else msgspec.json.encode(cursor).decode()
