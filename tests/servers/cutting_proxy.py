"""A TCP proxy for tests: passes bytes on, until it is told to lose an answer or to be away."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["CuttingProxy", "running_cutting_proxy"]

_TIMEOUT_S: Final = 30


@dataclass
class CuttingProxy:
    """What runs.

    Attributes:
        port: On 127.0.0.1.
        lost: How many answers were lost.
    """

    port: int
    lost: int = 0
    _marks: list[bytes] = field(default_factory=list)
    _away: bool = False
    _pairs: set[tuple[socket.socket, socket.socket]] = field(default_factory=set)

    def lose_answer(self, mark: bytes) -> None:
        """Cut the next connection whose server answers a request with these bytes in it."""
        self._marks.append(mark)

    def go_away(self) -> None:
        """Cut all connections, and refuse others."""
        self._away = True
        for pair in list(self._pairs):
            _close(*pair)

    def come_back(self) -> None:
        """Accept connections again."""
        self._away = False


@contextlib.contextmanager
def running_cutting_proxy(port: int) -> Iterator[CuttingProxy]:
    """Listen on 127.0.0.1 until the block ends.

    Args:
        port: Where the server is, on 127.0.0.1.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        proxy = CuttingProxy(listening.getsockname()[1])
        threading.Thread(target=_accept, args=(proxy, listening, port), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.go_away()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(proxy: CuttingProxy, listening: socket.socket, port: int) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        if proxy._away:
            client.close()
            continue
        server = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        server.settimeout(None)
        pair = client, server
        proxy._pairs.add(pair)
        threading.Thread(target=_pass_on, args=(proxy, pair), daemon=True).start()


def _pass_on(proxy: CuttingProxy, pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    doomed = threading.Event()

    def requests() -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                for mark in proxy._marks:
                    if mark in data:
                        proxy._marks.remove(mark)
                        doomed.set()
                        break
                server.sendall(data)
        _close(*pair)

    thread = threading.Thread(target=requests, daemon=True)
    thread.start()
    with contextlib.suppress(OSError):
        while data := server.recv(1 << 16):
            if doomed.is_set():
                proxy.lost += 1
                break  # the server has done it, and the client does not know
            client.sendall(data)
    _close(*pair)
    proxy._pairs.discard(pair)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
