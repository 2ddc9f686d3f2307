"""Bounds of connections, tried on a process that serves."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from tests.serving import DEADLINE_S, Server, Serving, until

from qtforge_host.serving.errors import TooFewDescriptorsError
from qtforge_host.serving.http.connections import Connections, connection_limit

HEAD = b"GET /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
MOST = 40  # connections of the process beneath


@pytest.fixture(scope="module")
def bounded(module_serving: Serving) -> Server:
    """A process whose times are short, and places few."""
    return module_serving.serve(
        "--grace", "1s", "--rate", "10000/s", "--head-timeout", "1s", "--idle-timeout", "1s",
        "--max-connections", str(MOST), "--log-rate", "3/h",
    )  # fmt: skip


@pytest.fixture
def connect() -> Iterator[Callable[[Server], socket.socket]]:
    """Connects to a process; the connections are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connected(server: Server) -> socket.socket:
            place = urlsplit(server.url)
            assert place.hostname is not None
            made = socket.create_connection((place.hostname, place.port or 0), DEADLINE_S)
            return stack.enter_context(made)

        yield connected


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side has closed it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def trickle(connection: socket.socket, each: bytes) -> bool:
    """Send a little again and again, until the other side has closed the connection."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            connection.sendall(each)
            while connection.recv(65536):
                pass
        except TimeoutError:
            continue
        except ConnectionError:
            pass
        return True
    return False


Connect = Callable[[Server], socket.socket]


def test_a_connection_that_sends_nothing_is_closed(bounded: Server, connect: Connect) -> None:
    assert is_closed(connect(bounded))


@pytest.mark.parametrize("begun", [HEAD, b"G", b"\r\n"], ids=["head", "letter", "line"])
def test_half_a_head_is_not_awaited(bounded: Server, connect: Connect, begun: bytes) -> None:
    connection = connect(bounded)
    connection.sendall(begun)
    assert is_closed(connection)


def test_a_head_that_comes_letter_by_letter_has_no_more_time(
    bounded: Server, connect: Connect
) -> None:
    connection = connect(bounded)
    connection.sendall(HEAD + b"X-Long: ")
    assert trickle(connection, b"x")


@pytest.mark.parametrize("then", [b"", b"G"], ids=["silent", "half a head"])
def test_a_connection_is_not_kept_long_after_a_response(
    bounded: Server, connect: Connect, then: bytes
) -> None:
    connection = connect(bounded)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    connection.sendall(then)
    assert is_closed(connection)


def test_a_body_that_comes_slowly_after_the_refusal_is_not_awaited(
    bounded: Server, connect: Connect
) -> None:
    connection = connect(bounded)
    connection.sendall(
        b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
        b"Content-Type: application/json\r\n\r\n{"
    )
    assert connection.recv(65536).startswith(b"HTTP/1.1 401")
    assert trickle(connection, b" ")


def test_connections_without_a_request_lock_nobody_out(bounded: Server, connect: Connect) -> None:
    for _ in range(3 * MOST):
        connect(bounded).sendall(HEAD)
    assert bounded.get("/v1/runs").status_code == 200


def test_a_request_in_progress_keeps_its_place(bounded: Server, connect: Connect) -> None:
    with bounded.client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        for _ in range(3 * MOST):
            connect(bounded)
        run_id = bounded.start("quick", word="x", wait="30s")["run_id"]
        assert next(line for line in lines if run_id in line)


def test_bad_requests_write_few_lines(bounded: Server, connect: Connect) -> None:
    for _ in range(50):
        connection = connect(bounded)
        connection.sendall(b"\x16\x03\x01\x00 this is no HTTP\r\n\r\n")
        assert is_closed(connection)
    assert bounded.get("/v1/runs").status_code == 200
    assert bounded.error.count("Invalid HTTP request") <= 3


def test_what_was_left_out_of_the_log_is_counted(serving: Serving, connect: Connect) -> None:
    server = serving.serve("--grace", "1s", "--log-rate", "2/h")
    for _ in range(5):
        connection = connect(server)
        connection.sendall(b"no HTTP\r\n\r\n")
        assert is_closed(connection)
    assert server.end() == 0
    assert server.error.count("Invalid HTTP request received") == 3
    assert "3 more lines in" in server.error


def test_more_requests_at_once_than_allowed_are_refused(serving: Serving) -> None:
    server = serving.serve("--grace", "1s", "--max-requests", "1")
    with server.client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()  # kept: an iterator that is dropped ends the request
        assert next(lines) == ": open"
        refused = server.get("/v1/runs")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "http.too_busy"
        assert refused.headers["retry-after"] == "1"
        assert server.get("/healthz").status_code == 200
    until(lambda: server.get("/v1/runs").status_code == 200)


def test_connections_leave_the_process_its_descriptors(serving: Serving, connect: Connect) -> None:
    server = serving.serve("--grace", "1s", descriptors=1024)
    held = [connect(server) for _ in range(1100)]
    done = server.start("quick", word="x", wait="60s")
    assert done["status"] == "succeeded"
    assert server.process.poll() is None
    del held
    assert server.end() == 0


@pytest.mark.parametrize(
    ("descriptors", "options"),
    [(64, ()), (1024, ("--max-connections", "1000"))],
    ids=["any", "those that are asked for"],
)
def test_too_few_descriptors_are_an_error(
    serving: Serving, descriptors: int, options: tuple[str, ...]
) -> None:
    done = serving.cli("serve", "--port", "0", *options, descriptors=descriptors)
    assert done.returncode == 1
    assert "error[serve.too_few_descriptors]" in done.stderr
    assert "ulimit -n" in done.stderr


@pytest.mark.parametrize(
    "option", [("--head-timeout", "0.2s"), ("--idle-timeout", "x"), ("--log-rate", "0/m")]
)
def test_a_limit_that_is_none_is_refused(serving: Serving, option: tuple[str, str]) -> None:
    done = serving.cli("serve", "--port", "0", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr


def test_the_limit_follows_what_the_process_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def may_open(count: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (count, count))

    may_open(20_000)
    assert connection_limit(None) == 1000
    assert connection_limit(5000) == 5000
    may_open(resource.RLIM_INFINITY)
    assert connection_limit(None) == 1000
    may_open(1024)
    assert connection_limit(None) == 768
    assert connection_limit(768) == 768
    with pytest.raises(TooFewDescriptorsError) as found:
        connection_limit(769)
    assert (found.value.limit, found.value.needed) == (1024, 1025)


class Held:
    """Stands for a connection; those of a process are tried above."""

    keeps_its_place = False
    is_busy = False
    waiting_since_s = 0.0
    stalled_since_s: float | None = None

    def __init__(self) -> None:
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True


def test_a_client_that_does_not_read_its_response_is_cut() -> None:
    now_s = 0.0
    connections = Connections(10, head_s=10.0, idle_s=5.0, now_s=lambda: now_s)
    reads, stalls = Held(), Held()
    for each in (reads, stalls):
        each.is_busy = each.keeps_its_place = True
        connections.add(_as_connection(each))
    stalls.stalled_since_s = 0.0
    now_s = 31.0
    connections.close_overdue()
    assert (reads.is_cut, stalls.is_cut) == (False, True)
    assert len(connections) == 1


def test_a_connection_more_than_can_be_served_is_closed_itself() -> None:
    connections = Connections(2, head_s=10.0, idle_s=5.0, now_s=lambda: 0.0)
    held = [Held(), Held(), Held()]
    for each in held:
        connections.add(_as_connection(each))
        each.is_busy = each.keeps_its_place = True
    assert [each.is_cut for each in held] == [False, False, True]


def _as_connection(held: Held) -> Any:
    return held


@pytest.mark.soak
def test_a_client_is_served_while_2000_connections_are_hostile(
    serving: Serving, connect: Connect
) -> None:
    server = serving.serve("--grace", "1s", "--rate", "10000/s")
    body = b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n{"
    known = b"Authorization: Bearer " + server.token.encode() + b"\r\n\r\n"
    kinds: list[Callable[[socket.socket], None]] = [
        lambda _: None,
        lambda connection: connection.sendall(HEAD),
        lambda connection: connection.sendall(body),
        lambda connection: connection.sendall(b"\x00\xff garbage \r\n\r\n"),
        lambda connection: connection.shutdown(socket.SHUT_WR),
        lambda connection: connection.sendall((HEAD + b"\r\n") * 20),
    ]
    waits: list[float] = []
    for number in range(2000):
        kinds[number % len(kinds)](connect(server))
        if number % 50 == 0:
            began = time.monotonic()
            with connect(server) as client:  # a new one, as a client that was not here before
                client.sendall(HEAD + known)
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
            waits.append(time.monotonic() - began)
    assert server.start("quick", word="x", wait="60s")["status"] == "succeeded"
    assert max(waits) < 1.0, waits
    assert Path(server.folder / "stderr").stat().st_size < 100_000
    assert server.end() == 0
