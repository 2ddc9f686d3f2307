"""`GuardedTransport`: connect only to addresses that have been checked.

The check is made where the connection is opened, so that it applies to every request,
redirect and new connection. Host header, SNI and the certificate's name stay those of the
URL.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore2
import httpx2

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule
from qtforge_builtin_plugins.collectors.web.resolving import Resolver, permitted

__all__ = ["GuardedTransport"]

_CONNECTIONS = 100
_IDLE_CONNECTIONS = 20
_IDLE_S = 5.0


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Resolve a name once, check its addresses, and connect to one of them."""

    def __init__(self, rule: AddressRule, resolver: Resolver, subject: str) -> None:
        self._rule = rule
        self._resolver = resolver
        self._subject = subject
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of the host's permitted addresses that answers.

        Raises:
            OperationError: See `resolving.permitted`.
        """
        addresses = await permitted(host, port, self._rule, self._resolver, self._subject)
        ends = None if timeout is None else time.monotonic() + timeout
        failure: Exception | None = None
        for address in addresses:
            left = None if ends is None else max(0.001, ends - time.monotonic())
            try:
                return await self._backend.connect_tcp(
                    address, port, left, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError("no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no URL leads to a Unix socket."""
        raise httpcore2.UnsupportedProtocol("Unix sockets are not supported")

    async def sleep(self, seconds: float) -> None:
        """Wait between the pool's own retries; there are none."""
        await self._backend.sleep(seconds)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class GuardedTransport(httpx2.AsyncBaseTransport):
    """A pool of connections to checked addresses, for an `httpx2.AsyncClient`.

    Its errors are httpcore2's own; `failures.transport_error` maps those of both libraries.

    Args:
        rule: The allowed addresses.
        resolver: Resolves names.
        ssl_context: Has the trusted certificates.
        subject: The first word of its errors' codes, such as ``http``.
    """

    def __init__(
        self, rule: AddressRule, resolver: Resolver, ssl_context: ssl.SSLContext, subject: str
    ) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
            network_backend=_CheckedBackend(rule, resolver, subject),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the answer, its body unread."""
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
