"""``qtforge-host ui``: a link that logs in, of a host that serves, or is started for it."""

from __future__ import annotations

import os
import signal

import httpx2
import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from tests.serving import Server, Serving, until


def pid_of(serving: Serving) -> int:
    return int((serving.folder / "state" / "serve" / "process").read_text())


def log_in(link: str) -> httpx2.Response:
    """Log in as a browser does with what is behind the # of a link."""
    address, _, code = link.strip().partition("#")
    return httpx2.post(address, data={"code": code}, headers={"Sec-Fetch-Site": "same-origin"})


def test_it_starts_serve_once_and_gives_a_new_link_each_time(serving: Serving) -> None:
    first = serving.cli("ui", "--no-open", "--port", "0")
    pid = pid_of(serving)
    try:
        assert first.returncode == 0, first.stderr
        assert "serve is started" in first.stderr
        second = serving.cli("ui", "--no-open")
        assert second.stderr == ""
        assert second.stdout != first.stdout
        assert second.stdout.partition("#")[0] == first.stdout.partition("#")[0]
        assert pid_of(serving) == pid
        for done in (first, second):
            assert log_in(done.stdout).status_code == 303
            assert log_in(done.stdout).status_code == 401
    finally:
        os.kill(pid, signal.SIGTERM)
    address = serving.folder / "state" / "serve" / "address"
    until(lambda: not address.exists())


def test_it_says_why_serve_has_ended(serving: Serving, server: Server) -> None:
    port = server.url.rpartition(":")[2]
    other = serving.beside("other")
    done = other.cli("ui", "--no-open", "--port", port)
    assert done.returncode == 1
    assert "serve.not_started" in done.stderr
    assert "serve.cannot_listen" in done.stderr


def test_a_host_without_http_has_no_pages(serving: Serving) -> None:
    serving.serve("--no-http")
    done = serving.cli("ui", "--no-open")
    assert done.returncode == 1
    assert "start it without --no-http" in done.stderr
