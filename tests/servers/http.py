"""An HTTP server for tests: real sockets, one thread for each connection, every request noted."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["Certificates", "HttpServer", "Received", "Reply", "running_http_server"]

_CLOSE_TIMEOUT_S: Final = 10


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came: header names in lower case, the query's values as lists."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; with ``parts`` its body comes piece by piece, until the connection closes."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: Iterable[bytes] | None = None

    @classmethod
    def json(cls, value: Any, **headers: str) -> Reply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        content = {"Content-Type": "application/json", **named}
        return cls(headers=content, body=msgspec.json.encode(value))


Route = Callable[[Received], Reply]


@dataclass
class HttpServer:
    """What runs: add to ``routes``, look into ``requests``.

    Attributes:
        port: On 127.0.0.1.
        scheme: ``http`` or ``https``.
        routes: What answers each path; any other is 404.
        requests: All that came, in order.
        ended: Set when the server ends, for routes that wait.
    """

    port: int
    scheme: str = "http"
    routes: dict[str, Route] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __setitem__(self, path: str, route: Route | Reply) -> None:
        self.routes[path] = route if callable(route) else lambda request: route

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)


@dataclass(frozen=True)
class Certificates:
    """A server's certificate for 127.0.0.1 and localhost, which is its own authority."""

    certificate: Path
    key: Path

    @classmethod
    def made_in(cls, folder: Path) -> Certificates:
        """Make one with OpenSSL's command.

        Raises:
            FileNotFoundError: There is no such command.
        """
        made = cls(folder / "certificate.pem", folder / "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:service.example",
             "-keyout", made.key, "-out", made.certificate],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        return made


@contextlib.contextmanager
def running_http_server(
    port: int = 0, certificates: Certificates | None = None
) -> Iterator[HttpServer]:
    """Serve on 127.0.0.1 until the block ends.

    Args:
        port: 0 for a free one.
        certificates: For https.
    """

    class Handler(_Handler):
        served: HttpServer

    with _Server(("127.0.0.1", port), Handler) as listening:
        server = HttpServer(listening.server_address[1])
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            listening.socket = context.wrap_socket(
                listening.socket, server_side=True, do_handshake_on_connect=False
            )
            server.scheme = "https"
        Handler.served = server
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            listening.shutdown()
            thread.join(_CLOSE_TIMEOUT_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # many sources connect at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent: clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    served: HttpServer

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def answer(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("content-length", "0"))
        request = Received(
            method=self.command,
            path=parts.path,
            query=urllib.parse.parse_qs(parts.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        self.served.requests.append(request)
        route = self.served.routes.get(parts.path)
        reply = Reply(status=404, body=b"?") if route is None else route(request)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.parts is None:
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if request.method != "HEAD":
                self.wfile.write(reply.body)
            return
        self.close_connection = True
        self.send_header("Connection", "close")
        self.end_headers()
        for part in reply.parts:
            self.wfile.write(part)
            self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer
