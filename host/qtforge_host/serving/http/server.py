"""Listens, and hands requests to the application."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Generator
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp

from qtforge_host.serving.errors import CannotListenError
from qtforge_host.serving.http.connections import BURST, Connection, Connections
from qtforge_host.serving.http.log_limit import LogLimit
from qtforge_sdk.files import close_in_children

__all__ = ["HttpServer", "listen"]

_LOG: Final = logging.getLogger("qtforge.http")
_BACKLOG: Final = 2048  # connections that the operating system keeps until they are accepted
_TICKS: Final = 5  # of uvicorn, a tenth of a second each
_CLOSE_S: Final = 2.0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        CannotListenError: The address is taken, is not this machine's, or is no address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # Inherited by each connection. asyncio sets it only where the socket was made for TCP by
        # number, which this one was not; without it an answer takes 40 ms (Nagle's algorithm).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        close_in_children(listening)
        return listening
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CannotListenError(f"{host}:{port}", why) from error


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, and with bounds of connections and log."""

    def __init__(
        self, config: uvicorn.Config, connections: Connections, log_limit: LogLimit
    ) -> None:
        super().__init__(config)
        self._bounds = connections
        self._log_limit = log_limit

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(_BACKLOG)  # asyncio has set it to what it accepts at once

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            self._bounds.close_overdue()
            self._log_limit.tell_left_out()
        return await super().on_tick(counter)


class HttpServer:
    """An application on a socket, in a task of its own.

    Args:
        application: Answers.
        listening: The socket; closed at the end.
        connections: Bounds the connections.
        log_limit: Bounds what they write into the log.
        idle_s: How long a connection is kept after a response, in seconds.
    """

    def __init__(
        self,
        application: ASGIApp,
        listening: socket.socket,
        connections: Connections,
        log_limit: LogLimit,
        idle_s: float,
    ) -> None:
        config = uvicorn.Config(
            application,
            # A factory: uvicorn only calls it, with the arguments of its own protocols.
            http=cast("type[asyncio.Protocol]", functools.partial(Connection, connections)),
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=max(1, round(idle_s)),
            timeout_graceful_shutdown=int(_CLOSE_S),
            backlog=BURST,
        )
        self._server = _Server(config, connections, log_limit)
        self._log_limit = log_limit
        self._listening = listening
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HttpServer:
        self._log_limit.attach()
        self._task = asyncio.create_task(self._server.serve([self._listening]))
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._end()
        finally:
            self._log_limit.detach()

    async def _end(self) -> None:
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=3 * _CLOSE_S)
        if not self._task.done():
            _LOG.warning("some connections did not end, and are cut")
            self._task.cancel()
            await asyncio.wait([self._task])
