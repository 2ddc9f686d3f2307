"""Listens, and hands requests to the application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from qtforge_host.serving.errors import CannotListenError
from qtforge_sdk.files import close_in_children

__all__ = ["HttpServer", "listen"]

_LOG: Final = logging.getLogger("qtforge.http")
_BACKLOG: Final = 128
_CONNECTIONS: Final = 512
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
    """uvicorn without its own handling of signals: the host has one of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """An application on a socket, in a task of its own.

    Args:
        application: Answers.
        listening: The socket; closed at the end.
    """

    def __init__(self, application: ASGIApp, listening: socket.socket) -> None:
        config = uvicorn.Config(
            application,
            http="h11",
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=int(_CLOSE_S),
            limit_concurrency=_CONNECTIONS,
        )
        self._server = _Server(config)
        self._listening = listening
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HttpServer:
        self._task = asyncio.create_task(self._server.serve([self._listening]))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=3 * _CLOSE_S)
        if not self._task.done():
            _LOG.warning("some connections did not end, and are cut")
            self._task.cancel()
            await asyncio.wait([self._task])
