"""TCP: data from a server whose address has been checked."""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import AsyncGenerator
from typing import Final

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule
from qtforge_builtin_plugins.collectors.web.resolving import Resolver, permitted
from qtforge_sdk.errors import OperationError

__all__ = ["tcp_pieces"]

_PIECE_BYTES: Final = 64 * 1024


async def tcp_pieces(
    url: str, label: str, rule: AddressRule, resolver: Resolver, connect_timeout_s: float
) -> AsyncGenerator[bytes, None]:
    """Yield the data that a server sends, until it closes the connection.

    Args:
        url: ``tcp://host:port``.
        label: The URL without secrets.
        rule: The allowed addresses.
        resolver: Resolves names.
        connect_timeout_s: The timeout of the connection attempts, in seconds.

    Raises:
        OperationError: ``stream.invalid_endpoint``, ``.unknown_host``, ``.address_refused``,
            ``.unreachable``, ``.timeout``, ``.connection_lost``.
    """
    host, port = _place(url, label)
    addresses = await permitted(host, port, rule, resolver, "stream")
    reader, writer = await _connected(addresses, port, label, connect_timeout_s)
    try:
        yield b""
        while piece := await reader.read(_PIECE_BYTES):
            yield piece
    except OSError as error:
        raise OperationError(
            "stream.connection_lost",
            f"{label} closed the connection",
            error.strerror or str(error),
            "try again later",
            retryable=True,
        ) from error
    finally:
        writer.transport.abort()  # nothing is left to send, and closing could block


async def _connected(
    addresses: list[str], port: int, label: str, timeout_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    ends = time.monotonic() + timeout_s
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            async with asyncio.timeout(max(0.001, ends - time.monotonic())):
                return await asyncio.open_connection(address, port)
        except OSError as error:  # a TimeoutError is one
            failure = error
    late = isinstance(failure, TimeoutError)
    raise OperationError(
        "stream.timeout" if late else "stream.unreachable",
        f"{label} can't be reached",
        f"no connection within {timeout_s:g} s" if late else failure.strerror or str(failure),
        "check that the server runs, and the port",
        retryable=True,
    ) from failure


def _place(url: str, label: str) -> tuple[str, int]:
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        fix = "write it as tcp://host:port"
        what = f"{label} can't be connected to"
        why = "it has no host and port"
        raise OperationError("stream.invalid_endpoint", what, why, fix, retryable=False)
    return host, port
