"""A package index on this machine: what is built is installed by name, as from PyPI."""

from __future__ import annotations

import contextlib
import hashlib
import html
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

__all__ = ["serve_index"]

_NAME: Final = re.compile(r"(?P<name>.+?)-(?P<version>[0-9][^-]*)(-.*\.whl|\.tar\.gz)")


@contextlib.contextmanager
def serve_index(folder: Path) -> Iterator[str]:
    """Serve the archives of a folder as an index of the simple API (PEP 503).

    Args:
        folder: The folder of wheels and source distributions.

    Yields:
        The index's address, for ``pip --extra-index-url`` and ``uv --index``.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        archive = _NAME.fullmatch(path.name)
        if archive is not None:
            found.setdefault(_normal(archive["name"]), {})[path.name] = path

    class Handler(BaseHTTPRequestHandler):
        """Answers ``/simple/``, ``/simple/NAME/`` and ``/files/FILE``."""

        def do_GET(self) -> None:
            """Answer a page or a file; anything else is not found."""
            words = self.path.partition("?")[0].strip("/").split("/")
            if words == ["simple"]:
                self._answer(_page((f"{name}/", name) for name in found))
            elif len(words) == 2 and words[0] == "simple" and words[1] in found:
                self._answer(_page(
                    (f"/files/{name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}", name)
                    for name, path in found[words[1]].items()
                ))  # fmt: skip
            elif len(words) == 2 and words[0] == "files":
                archives = {name: path for each in found.values() for name, path in each.items()}
                path = archives.get(words[1])
                self._answer(None if path is None else path.read_bytes())
            else:
                self._answer(None)

        def do_HEAD(self) -> None:
            """Answer as to GET, without the content: uv asks for the size first."""
            self.do_GET()

        def _answer(self, body: bytes | None) -> None:
            if body is None:
                self.send_error(404)
                return
            is_page = self.path.startswith("/simple")
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if is_page else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: pip says what it takes."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _page(links: Iterator[tuple[str, str]]) -> bytes:
    lines = "".join(
        f'<a href="{html.escape(to)}">{html.escape(name)}</a><br>' for to, name in links
    )
    return f"<!DOCTYPE html><html><body>{lines}</body></html>".encode()
