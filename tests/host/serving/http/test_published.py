"""Behind a proxy that ends TLS, beneath a path, and compressed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.serving import Server, Serving

from qtforge_host.serving.options import origin_of

NAME = "forge.example"
PUBLIC = f"https://{NAME}"


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


class TlsProxy:
    """Ends TLS, and passes on what is within to a server that knows nothing of it."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self._target = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._listens = threading.Event()
        self._end: Any = None
        self.port = 0

    def __enter__(self) -> TlsProxy:
        self._thread.start()
        assert self._listens.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._thread.join(60)

    async def _serve(self) -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        self._end = lambda: loop.call_soon_threadsafe(ended.set)
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._listens.set()
        await ended.wait()
        server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of the name, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return certificate, key


@contextlib.contextmanager
def browser(server: Server, certificate: tuple[Path, Path]) -> Iterator[httpx2.Client]:
    """A client of a page at the public URL, through the proxy."""
    port = int(server.url.rpartition(":")[2])
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    trusted.check_hostname = False  # it is reached by its address here
    with TlsProxy(port, *certificate) as proxy, httpx2.Client(
        base_url=f"https://127.0.0.1:{proxy.port}", verify=trusted, timeout=120
    ) as client:  # fmt: skip
        client.headers.update(
            {"Authorization": f"Bearer {server.token}", "Host": NAME, "Origin": PUBLIC}
        )
        yield client


def test_a_page_behind_a_tls_proxy_may_ask(
    serving: Serving, certificate: tuple[Path, Path]
) -> None:
    server = serving.serve("--grace", "1s", "--public-url", f"{PUBLIC}/forge/")
    with browser(server, certificate) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/forge/readyz").status_code == 200
        asked = {"workflow": "quick", "input": {"word": "x"}}
        for path in ("/forge/v1/runs", "/v1/runs"):  # left by the proxy, and removed
            started = client.post(path, json=asked)
            assert started.status_code in (200, 202), started.text
            assert started.headers["location"].startswith("/forge/v1/runs/")
            assert client.get(started.headers["location"]).json()["run_id"]
        other = client.get("/readyz", headers={"Origin": "https://evil.example"})
        assert other.status_code == 403
        other = client.get("/readyz", headers={"Host": "evil.example"})
        assert other.status_code == 421


def test_a_proxy_that_names_the_host_itself_needs_only_the_public_url(serving: Serving) -> None:
    server = serving.serve("--grace", "1s", "--public-url", PUBLIC)
    assert server.get("/readyz", headers={"Origin": PUBLIC}).status_code == 200
    assert server.get("/readyz", headers={"Origin": f"{PUBLIC}:444"}).status_code == 403


def test_a_page_of_the_same_host_with_tls_is_of_the_same_origin(module_server: Server) -> None:
    origin = {"Origin": module_server.url.replace("http://", "https://")}
    assert module_server.get("/readyz", headers=origin).status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        ("--public-url", "forge.example"),
        ("--public-url", "https://[bad"),
        ("--public-url", "https://a@b"),
        ("--root-path", "forge"),
        ("--root-path", "/a?b"),
    ],
    ids=" ".join,
)
def test_an_address_that_is_none_is_refused(serving: Serving, options: tuple[str, str]) -> None:
    refused = serving.cli("serve", *options)
    assert refused.returncode == 2
    assert options[0] in refused.stderr


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Forge.example:443/a", "https://forge.example"),
        ("http://forge.example:80", "http://forge.example"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_large_answer_is_compressed_for_who_accepts_it(module_server: Server) -> None:
    packed = module_server.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    plain = module_server.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 3


def test_a_small_answer_and_a_stream_are_not_compressed(module_server: Server) -> None:
    accepting: dict[str, Any] = {"headers": {"Accept-Encoding": "gzip"}}
    assert "content-encoding" not in module_server.get("/readyz", **accepting).headers
    with module_server.client.stream("GET", "/v1/events", **accepting) as stream:
        assert stream.status_code == 200
        assert "content-encoding" not in stream.headers


@pytest.mark.parametrize("root", ["", "/forge"])
def test_a_name_in_a_path_may_have_a_slash_and_any_other_letter(
    serving: Serving, root: str
) -> None:
    names = ["eu/nightly", "50 % für b?", "graph"]
    serving.config.write_text(
        "".join(f'[schedules."{each}"]\nworkflow = "quick"\ncron = "@yearly"\n' for each in names)
    )
    server = serving.serve("--public-url", f"https://forge.example{root}/")
    for name in names:
        path = f"/v1/schedules/{urllib.parse.quote(name, safe='')}"
        assert server.get(path).json()["schedule"]["name"] == name
        assert server.get(f"{root}{path}").json()["schedule"]["name"] == name
        done = server.post(f"{root}{path}/pause", {"reason": "moving"})
        assert done.json()["schedule"]["paused_why"] == "moving"
    assert server.get("/v1/%73chedules/graph").status_code == 200
    missing = server.get("/v1/workflows/quick%2Fgraph")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "workflow.not_found")
