"""A TCP server for tests: sends what it is told to whoever connects."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["TcpServer", "running_tcp_server"]

_CLOSE_TIMEOUT_S: Final = 10


@dataclass
class TcpServer:
    """What runs.

    Attributes:
        port: On 127.0.0.1.
        gone: Set when a client has closed its connection, as a send has shown.
        ended: Set when the server ends, for senders that wait.
    """

    port: int
    gone: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_tcp_server(parts: Callable[[TcpServer], Iterable[bytes]]) -> Iterator[TcpServer]:
    """Serve on 127.0.0.1 until the block ends.

    Args:
        parts: Gives what each client is sent, one after the other.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                for part in parts(server):
                    self.request.sendall(part)
            except OSError:
                server.gone.set()

    class Listening(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Listening(("127.0.0.1", 0), Handler) as listening:
        server = TcpServer(listening.server_address[1])
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            listening.shutdown()
            thread.join(_CLOSE_TIMEOUT_S)
