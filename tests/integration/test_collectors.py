"""The collectors in real runs, from the command line: what a secret leaves behind is nothing."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.http import HttpServer, Received, Reply, running_http_server

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")

SECRETS = {"TOKEN": "t0k3n-of-4711", "PASSWORD": 'p@ss/w:rd?&é "q"+x', "KEY": "k3y+/=ABC"}

WORKFLOW = """
name = "fetch"
kind = "sequential"
version = "1.0.0"
[[stages]]
name = "rows"
operation = "${operation}"
timeout = "20s"
${policy}[stages.message]
name = "rows"
endpoint = "${url}"
[stages.message.parameters]
headers = { Authorization = "Bearer ${secret.TOKEN}", X-Echo = "Basic ${secret.KEY}" }
"""


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with running_http_server() as running:
        yield running


def run(
    tmp_path: Path, operation: str, url: str, policy: str = ""
) -> subprocess.CompletedProcess[bytes]:
    definition = WORKFLOW.replace("${operation}", operation).replace("${url}", url)
    definition = definition.replace("${policy}", policy)
    (tmp_path / "fetch.toml").write_text(definition, encoding="utf-8")
    config = "".join(
        f'[plugins.{name}-collector.config]\nallow = ["127.0.0.1"]\n' for name in ("http", "stream")
    )
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    secrets = {f"QTFORGE_SECRET_{name}": value for name, value in SECRETS.items()}
    return subprocess.run(
        [sys.executable, "-m", "qtforge_host.cli.main", "--debug", "--config", "config.toml",
         "--state-dir", "state", "run", "fetch.toml", "--json"],
        capture_output=True, timeout=120, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUTF8": "1", **secrets},
    )  # fmt: skip


def forms(value: str) -> Iterator[bytes]:
    """Give the ways in which a secret might be left somewhere."""
    plain = {value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)}
    plain |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    for text in plain:
        yield text.encode()
    yield repr(value.encode())[2:-1].encode()
    for user in ("", "user:"):
        yield base64.b64encode((user + value).encode()).rstrip(b"=")


def assert_no_secret(tmp_path: Path, done: subprocess.CompletedProcess[bytes]) -> None:
    places = {"stdout": done.stdout, "stderr": done.stderr}
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_bytes()
    assert any("sqlite" in place for place in places)  # the journal is looked into
    for name, value in SECRETS.items():
        for form in forms(value):
            for place, content in places.items():
                assert form not in content, f"{name} is in {place} as {form!r}"


def echo(request: Received) -> dict[str, object]:
    return {"headers": request.headers, "query": request.query, "token": SECRETS["TOKEN"]}


def sent_back(request: Received) -> dict[str, str]:
    """Headers that hold what was sent: --debug logs an answer's headers."""
    return {
        "X-Token": request.headers["authorization"],
        "X-Seen": urllib.parse.quote(SECRETS["PASSWORD"]),
        "X-Basic": base64.b64encode(f"user:{SECRETS['PASSWORD']}".encode()).decode(),
    }


URL = "/rows?p=${secret.PASSWORD}"


def test_no_secret_is_left_by_a_run_that_a_server_answers_with_all_of_them(
    tmp_path: Path, server: HttpServer
) -> None:
    server["/rows"] = lambda request: Reply(
        headers=sent_back(request), body=json.dumps([echo(request)] * 3).encode()
    )
    done = run(tmp_path, "http.request", server.url + URL)
    assert done.returncode == 0, done.stderr
    received = server.requests[0]
    assert received.headers["authorization"] == f"Bearer {SECRETS['TOKEN']}"
    assert received.query == {"p": [SECRETS["PASSWORD"]]}
    assert b"HTTP Request" in done.stderr  # the library's own log lines are there
    assert b"***" in done.stderr
    assert b"***" in done.stdout
    assert_no_secret(tmp_path, done)


def test_no_secret_is_left_by_a_run_that_fails_with_them_in_the_servers_words(
    tmp_path: Path, server: HttpServer
) -> None:
    server["/rows"] = lambda request: Reply(
        status=403, headers=sent_back(request), body=json.dumps(echo(request)).encode()
    )
    url = (server.url + URL).replace("//", "//user:${secret.PASSWORD}@", 1)
    done = run(tmp_path, "http.request", url)
    assert done.returncode == 1
    assert b"http.status" in done.stdout
    assert_no_secret(tmp_path, done)


def test_no_secret_is_left_by_a_redirect_that_carries_them(
    tmp_path: Path, server: HttpServer
) -> None:
    server["/rows"] = lambda request: Reply(
        status=302, headers={"Location": f"http://10.0.0.1/?{urllib.parse.urlencode(SECRETS)}"}
    )
    done = run(tmp_path, "http.request", server.url + URL)
    assert done.returncode == 1
    assert b"http.address_refused" in done.stdout
    assert_no_secret(tmp_path, done)


def test_no_secret_is_left_by_a_stream(tmp_path: Path, server: HttpServer) -> None:
    server["/rows"] = lambda request: Reply(
        headers={"Content-Type": "text/event-stream", **sent_back(request)},
        parts=[b"data: " + json.dumps(echo(request)).encode() + b"\n\n"],
    )
    done = run(tmp_path, "stream.read", server.url + URL)
    assert done.returncode == 0, done.stderr
    assert b"***" in done.stdout
    assert_no_secret(tmp_path, done)


def test_a_busy_server_is_asked_again_by_the_steps_retry_policy(
    tmp_path: Path, server: HttpServer
) -> None:
    busy = Reply(status=429, headers={"Retry-After": "0"})
    server["/rows"] = lambda request: (
        busy if len(server.requests) < 3 else Reply(body=b'[{"n": 1}]')
    )
    retry = 'retry = { max_attempts = 3, initial_delay = "10ms" }\n'
    done = run(tmp_path, "http.request", f"{server.url}/rows", retry)
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    assert stage["attempts"] == 3
    assert len(server.requests) == 3


def test_without_a_retry_policy_it_is_asked_once(tmp_path: Path, server: HttpServer) -> None:
    server["/rows"] = Reply(status=503)
    assert run(tmp_path, "http.request", f"{server.url}/rows").returncode == 1
    assert len(server.requests) == 1
