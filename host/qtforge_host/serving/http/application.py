"""The ASGI application: authenticate a request, check it, and call its endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qtforge_host.api.documents import Ready
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.auth import Gate, check_scope
from qtforge_host.serving.http.connections import AUTHENTICATED
from qtforge_host.serving.http.openapi import openapi
from qtforge_host.serving.http.paths import encoded_path, with_names
from qtforge_host.serving.http.requests import (
    Answer,
    Call,
    Endpoint,
    error_response,
    read_body,
    read_query,
    response,
)
from qtforge_host.serving.http.routes import ENDPOINTS, HEALTH_PATH, OPENAPI_PATH
from qtforge_host.serving.http.sse import EventStream
from qtforge_host.serving.service import Service
from qtforge_sdk.errors import QtForgeError

__all__ = ["PAGES", "Application", "Current"]

_LOG: Final = logging.getLogger("qtforge.http")
PAGES: Final = "/ui"
"""The path beneath which the pages in the browser are."""

_BODY_S: Final = 30.0  # in which a request's body must have come
_ANSWER_S: Final = 90.0  # in which it is answered, a wait of 60 s included


class Current:
    """The service that answers; None while the host starts or stops."""

    def __init__(self) -> None:
        self.service: Service | None = None


class Application:
    """Implements ASGI.

    Args:
        current: The service that answers.
        gate: Authenticates requests.
        max_body_bytes: The size of the largest request.
        max_requests: How many authenticated requests may be in progress at once.
        pages: Makes what answers beneath `PAGES`, when it is first asked; None for no pages.
    """

    def __init__(
        self,
        current: Current,
        gate: Gate,
        max_body_bytes: int,
        max_requests: int,
        pages: Callable[[], ASGIApp] | None = None,
    ) -> None:
        self._current = current
        self._gate = gate
        self._max_body_bytes = max_body_bytes
        self._max_requests = max_requests
        self._in_progress = 0
        self._make_pages = pages
        self._pages: ASGIApp | None = None
        by_path = groupby(sorted(ENDPOINTS, key=lambda each: each.path), lambda each: each.path)
        routes = [Route(with_names(path), _Path(self, found)) for path, found in by_path]
        self._router = Router(routes, redirect_slashes=False, default=_nothing_there)
        self._openapi = Answer(openapi(ENDPOINTS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # websockets and lifespan are switched off in the server
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._pass(scope, receive, sending)
        except (ClientDisconnect, TimeoutError):
            if not begun:
                await self._refuse(_late(), scope, receive, send)
        except QtForgeError as error:
            await self._refuse(error, scope, receive, send)
        except Exception:
            _LOG.exception("%s %s failed in the host itself", scope["method"], scope["path"])
            if begun:
                raise
            await self._refuse(_broken(), scope, receive, send)

    async def answer(self, endpoint: Endpoint, request: Request) -> ASGIApp:
        """Answer a request to an endpoint.

        Raises:
            QtForgeError: The request is refused.
        """
        query = read_query(request.query_params.multi_items(), endpoint.query)
        body = None
        if endpoint.body is not None:
            content = await self._body(request)
            body = read_body(content, request.headers, endpoint)
        service = self._current.service
        if service is None:
            raise RefusedError(
                503, "http.not_ready", "the host is starting or stopping", "", "try again soon",
                {"Retry-After": "1"},
            )  # fmt: skip
        call = Call(
            service=service,
            path=request.path_params,
            query=query,
            body=body,
            headers=request.headers,
        )
        telemetry = service.host.telemetry
        if telemetry is None or (endpoint.method == "GET" and "traceparent" not in request.headers):
            done = await endpoint.handler(call)
        else:
            with telemetry.serving(endpoint.method, endpoint.path, request.headers) as span:
                done = await endpoint.handler(call)
                if isinstance(done, Answer):
                    span.set_attribute("http.response.status_code", done.status)
        return response(done) if isinstance(done, Answer) else done

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if self._make_pages is not None and _is_of_pages(scope):
            await self._show_page(self._make_pages, scope, receive, send)
            return
        alive = path == HEALTH_PATH
        granted = self._gate.check(scope, needs_token=not alive)
        own = self._own(path)
        if own is None:
            scope[AUTHENTICATED] = granted
            await self._route(scope, receive, send)
        elif method in ("GET", "HEAD"):
            await response(own)(scope, receive, send)
        else:
            raise _wrong_method(method, ("GET",))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._progressing():
            await self._router({**scope, "path": encoded_path(scope)}, receive, send)

    async def _show_page(
        self, make: Callable[[], ASGIApp], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["path"] == "/":
            await RedirectResponse(f"{PAGES}/runs", 303)(scope, receive, send)
            return
        async with self._progressing():
            self._pages = self._pages or make()
            await self._pages({**scope, "path": encoded_path(scope)}, receive, send)

    @asynccontextmanager
    async def _progressing(self) -> AsyncIterator[None]:
        if self._in_progress >= self._max_requests:
            raise RefusedError(
                503, "http.too_busy", "too many requests are in progress",
                f"{self._max_requests} are allowed", "try again soon, or raise --max-requests",
                {"Retry-After": "1"},
            )  # fmt: skip
        self._in_progress += 1
        try:
            yield
        finally:
            self._in_progress -= 1

    def _own(self, path: str) -> Answer | None:
        if path == HEALTH_PATH:
            return Answer(Ready(status="alive"))
        if path == OPENAPI_PATH:
            return self._openapi
        if path == "/":
            lines = [f"{each.method:<5} {each.path}  {each.summary}" for each in ENDPOINTS]
            text = "\n".join(["QtForge Host", "", *lines, f"GET   {OPENAPI_PATH}", ""])
            return Answer(text, media_type="text/plain")
        return None

    async def _body(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(_BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > self._max_body_bytes:
                    raise self._too_large()
                parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> RefusedError:
        # The rest of the body is not read, so the connection can't be used again.
        return RefusedError(
            413, "http.too_large", "the request is too large",
            f"{self._max_body_bytes} bytes are allowed", "send less, or raise --max-body",
            {"Connection": "close"},
        )  # fmt: skip

    async def _refuse(
        self, error: QtForgeError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        refused = error_response(error)
        await refused(scope, receive, send)


class _Path:
    """All methods of one path."""

    def __init__(self, application: Application, endpoints: Iterable[Endpoint]) -> None:
        self._application = application
        self._endpoints: Mapping[str, Endpoint] = {each.method: each for each in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        endpoint = self._endpoints.get(method)
        if endpoint is None:
            raise _wrong_method(scope["method"], tuple(self._endpoints))
        check_scope(scope[AUTHENTICATED], endpoint.scope)
        async with asyncio.timeout(_ANSWER_S):
            answered = await self._application.answer(endpoint, Request(scope, receive))
        if isinstance(answered, EventStream):
            await answered(scope, receive, send)
            return
        async with asyncio.timeout(_ANSWER_S):
            await answered(scope, receive, send)


def _is_of_pages(scope: Scope) -> bool:
    """Whether a request is for a page; a browser that asks for ``/`` wants one, too."""
    path: str = scope["path"]
    if path == "/":
        wanted = Headers(scope=scope).get("accept", "")
        return scope["method"] in ("GET", "HEAD") and "text/html" in wanted
    return path == PAGES or path.startswith(f"{PAGES}/")


async def _nothing_there(scope: Scope, receive: Receive, send: Send) -> None:
    raise RefusedError(
        404, "http.not_found", f"there is nothing at {scope['path']}", "", "see /openapi.json"
    )


def _wrong_method(method: str, allowed: Iterable[str]) -> RefusedError:
    return RefusedError(
        405, "http.method_not_allowed", f"this path does not take {method}", "",
        "see /openapi.json", {"Allow": ", ".join(sorted(allowed))},
    )  # fmt: skip


def _late() -> RefusedError:
    return RefusedError(
        408, "http.timeout", "the request was not done in time", "", "try again, with less",
        {"Connection": "close"},
    )  # fmt: skip


def _broken() -> RefusedError:
    return RefusedError(
        500, "http.internal", "something went wrong in the host itself", "",
        "its log says more; report it",
    )  # fmt: skip
