"""Which servers are really connected to, and what each of them gets to see."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")

from tests.servers.http import Certificates, HttpServer, Received, Reply, running_http_server

from qtforge_builtin_plugins.collectors.web.session import WebSession
from qtforge_builtin_plugins.collectors.web.settings import WebConfig
from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import Secrets

SECRETS = {"PROXY": "pr0xy-pass"}


class FakeResolver:
    """Knows some names; each question takes the next of its answers, and the last one stays."""

    def __init__(self, names: dict[str, list[list[str]]]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


Get = Callable[..., str]


@pytest.fixture
def get() -> Get:
    def asked(url: str, resolver: FakeResolver | None = None, *, method: str = "GET",
              headers: dict[str, str] | None = None, content: bytes | None = None,
              **config: Any) -> str:  # fmt: skip
        async def run() -> str:
            session = WebSession(
                WebConfig(**config), Secrets(SECRETS.get), "http", "test/1", resolver
            )
            try:
                client = session.client()
                request = client.build_request(method, url, headers=headers, content=content)
                async with session.answer(client, request, "the source") as response:
                    return (await response.aread()).decode()
            finally:
                await session.close()

        return asyncio.run(asyncio.wait_for(run(), 60))

    return asked


def refusal(get: Get, *arguments: Any, **named: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        get(*arguments, **named)
    return caught.value


HERE = ["127.0.0.1"]


def test_a_loopback_address_is_refused_and_nothing_is_sent(get: Get, server: HttpServer) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"):
        error = refusal(get, f"http://{host}:{server.port}/")
        assert (error.code, error.retryable) == ("http.address_refused", False), host
    assert server.requests == []


def test_the_environments_proxies_are_not_used(
    get: Get, server: HttpServer, other_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, other_server.url)
    server["/"] = Reply(body=b"direct")
    assert get(f"{server.url}/", allow=HERE) == "direct"
    assert other_server.requests == []


def test_a_name_is_checked_by_its_address(get: Get, server: HttpServer) -> None:
    server["/"] = Reply(body=b"here")
    resolver = FakeResolver({"service.example": [["127.0.0.1"]]})
    url = f"http://service.example:{server.port}/"
    assert "service.example (127.0.0.1)" in refusal(get, url, resolver).what
    assert get(url, resolver, allow=HERE) == "here"
    assert get(url, resolver, allow=["service.example"]) == "here"
    assert server.requests[0].headers["host"] == f"service.example:{server.port}"


def test_a_name_that_resolves_otherwise_the_second_time_gains_nothing(
    get: Get, server: HttpServer
) -> None:
    # Whoever checked the first answer and connected by name would reach 127.0.0.1.
    resolver = FakeResolver({"rebind.example": [["192.0.2.1", "10.9.9.9"], ["127.0.0.1"]]})
    url = f"http://rebind.example:{server.port}/"
    config = {"allow": ["192.0.2.1"], "connect_timeout": "300ms"}
    error = refusal(get, url, resolver, **config)
    assert error.code in ("http.timeout", "http.unreachable")
    assert resolver.asked == ["rebind.example"]
    assert server.requests == []
    assert refusal(get, url, resolver, **config).code == "http.address_refused"


def test_of_several_addresses_only_the_permitted_are_tried_until_one_answers(
    get: Get, server: HttpServer
) -> None:
    server["/"] = Reply(body=b"here")
    resolver = FakeResolver({"many.example": [["10.0.0.1", "127.0.0.9", "127.0.0.1"]]})
    url = f"http://many.example:{server.port}/"
    assert get(url, resolver, allow=["127.0.0.1", "127.0.0.9"]) == "here"


def test_an_unknown_name_is_an_error_of_its_own(get: Get) -> None:
    error = refusal(get, "http://nowhere.example/", FakeResolver({}))
    assert (error.code, error.retryable) == ("http.unknown_host", False)
    assert "nowhere.example" in error.what


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(get: Get, server: HttpServer, status: int) -> None:
    server["/a"] = Reply(status=status, headers={"Location": "b"})
    server["/b"] = Reply(body=b"end")
    assert get(f"{server.url}/a", allow=HERE, headers={"X-Key": "k"}) == "end"
    assert server.requests[1].headers["x-key"] == "k"


def test_a_redirect_to_an_address_that_is_not_allowed_is_refused(
    get: Get, server: HttpServer
) -> None:
    resolver = FakeResolver({"public.example": [["127.0.0.1"]], "inner.example": [["10.0.0.1"]]})
    for target in ("http://127.0.0.2/", "http://169.254.169.254/latest", "http://inner.example/",
                   "http://[::1]/", "http://0x7f000002/"):  # fmt: skip
        server["/"] = Reply(status=302, headers={"Location": target})
        error = refusal(get, f"http://public.example:{server.port}/", resolver, allow=HERE)
        assert error.code == "http.address_refused", target


@pytest.mark.parametrize(
    ("location", "code"),
    [("file:///etc/passwd", "http.invalid_endpoint"), ("ftp://127.0.0.1/", "http.invalid_endpoint"),
     ("http://a\x01b/", "http.invalid_answer")],
)  # fmt: skip
def test_a_redirect_to_anything_else_than_the_web_is_refused(
    get: Get, server: HttpServer, location: str, code: str
) -> None:
    server["/"] = Reply(status=302, headers={"Location": location})
    assert refusal(get, f"{server.url}/", allow=HERE).code == code


def test_redirects_are_bounded(get: Get, server: HttpServer) -> None:
    server["/"] = Reply(status=302, headers={"Location": "/"})
    error = refusal(get, f"{server.url}/", allow=HERE)
    assert (error.code, error.retryable) == ("http.too_many_redirects", False)
    assert len(server.requests) == 6


def test_another_host_sees_no_credentials(
    get: Get, server: HttpServer, other_server: HttpServer
) -> None:
    server["/"] = Reply(status=302, headers={"Location": f"{other_server.url}/x"})
    other_server["/x"] = Reply(body=b"end")
    headers = {"Authorization": "Bearer t", "Cookie": "c=1", "X-Api-Key": "k", "Accept": "a/b"}
    assert get(f"{server.url}/", allow=HERE, headers=headers) == "end"
    first, second = server.requests[0].headers, other_server.requests[0].headers
    assert first["authorization"] == "Bearer t"
    assert first["cookie"] == "c=1"
    assert not {"authorization", "cookie", "x-api-key"} & set(second)
    assert second["accept"] == "a/b"
    assert second["host"] == f"127.0.0.1:{other_server.port}"


def test_a_password_of_the_url_does_not_go_to_another_host(
    get: Get, server: HttpServer, other_server: HttpServer
) -> None:
    server["/"] = Reply(status=302, headers={"Location": f"{other_server.url}/x"})
    other_server["/x"] = Reply(body=b"end")
    get(f"http://user:pass@127.0.0.1:{server.port}/", allow=HERE)
    assert "authorization" in server.requests[0].headers
    assert "authorization" not in other_server.requests[0].headers


def test_a_body_does_not_go_to_another_host(
    get: Get, server: HttpServer, other_server: HttpServer
) -> None:
    server["/"] = Reply(status=307, headers={"Location": f"{other_server.url}/x"})
    error = refusal(get, f"{server.url}/", allow=HERE, method="POST", content=b"body")
    assert error.code == "http.redirect_refused"
    assert other_server.requests == []


def test_https_does_not_lead_to_http_unless_it_is_allowed(
    get: Get, safe_server: HttpServer, server: HttpServer, ca_file: Path
) -> None:
    safe_server["/"] = Reply(status=302, headers={"Location": f"{server.url}/x"})
    server["/x"] = Reply(body=b"end")
    config = {"allow": HERE, "ca_file": str(ca_file)}
    error = refusal(get, f"{safe_server.url}/", **config)
    assert error.code == "http.redirect_refused"
    assert server.requests == []
    assert get(f"{safe_server.url}/", allow_downgrade=True, **config) == "end"


def test_the_certificate_is_checked_against_the_name_not_the_address(
    get: Get, certificates: Certificates, safe_server: HttpServer
) -> None:
    safe_server["/"] = Reply(body=b"end")
    resolver = FakeResolver({
        "service.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]],
    })  # fmt: skip
    config = {"allow": HERE, "ca_file": str(certificates.certificate)}
    assert get(f"https://service.example:{safe_server.port}/", resolver, **config) == "end"
    error = refusal(get, f"https://other.example:{safe_server.port}/", resolver, **config)
    assert error.code == "http.tls_failed"
    assert "other.example" in error.why


def test_a_configured_proxy_is_used_and_literal_addresses_are_checked_all_the_same(
    get: Get,
) -> None:
    with running_http_server() as proxy:
        seen: list[Received] = []

        def answer(request: Received) -> Reply:
            seen.append(request)
            return Reply(body=b"by proxy")

        # A proxy is asked for the whole URL, of which the path is what the server routes by.
        proxy["/rows"] = answer
        url = proxy.url.replace("//", "//user:${secret.PROXY}@")
        assert get("http://anything.example/rows", proxy=url) == "by proxy"
        assert "proxy-authorization" in seen[0].headers
        error = refusal(get, "http://127.0.0.1/rows", proxy=url)
        assert error.code == "http.address_refused"
