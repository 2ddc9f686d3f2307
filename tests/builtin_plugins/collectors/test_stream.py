"""stream-collector with real files, pipes and servers."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.servers.http import HttpServer, Received, Reply
from tests.servers.tcp import TcpServer, running_tcp_server

from qtforge_builtin_plugins.collectors.stream import StreamCollector
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import OperationContext
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Collected, CollectRequest
from qtforge_sdk.secrets import Secrets

Read = Callable[..., Collected]
SECRET = "s3cr3t/t0ken"


@pytest.fixture
def collector(host: PluginTestHost, tmp_path: Path) -> StreamCollector:
    host.secrets = Secrets({"TOKEN": SECRET}.get)
    config = {"allow": ["127.0.0.1"], "roots": [str(tmp_path)], "max_line_bytes": 1000}
    return host.add(StreamCollector(), "stream-collector", config=config)


@pytest.fixture
def read(host: PluginTestHost, collector: StreamCollector) -> Read:
    def reading(
        endpoint: object,
        *,
        deadline_s: float | None = None,
        run_id: str | None = None,
        **given: Any,
    ) -> Collected:
        request = CollectRequest(name="source", endpoint=str(endpoint), parameters=given)
        deadline = None if deadline_s is None else time.monotonic() + deadline_s
        context = OperationContext(
            "stream.read", "stream-collector", deadline=deadline, run_id=run_id, step="source"
        )
        return host.run(collector.read(request, context), timeout=60)

    return reading


@pytest.fixture
def refused(read: Read) -> Callable[..., OperationError]:
    def error_of(endpoint: object, **parameters: Any) -> OperationError:
        with pytest.raises(OperationError) as caught:
            read(endpoint, **parameters)
        return caught.value

    return error_of


Refused = Callable[..., OperationError]


@contextlib.contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def until_read(file: Path) -> None:
    """Wait until the reader of a file, which is in this process, has come to its end."""
    deadline = time.monotonic() + 60
    while not any(_is_at_end(each, file) for each in Path("/proc/self/fd").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _is_at_end(descriptor: Path, file: Path) -> bool:
    try:
        about = (descriptor.parent.with_name("fdinfo") / descriptor.name).read_text()
        return descriptor.resolve() == file and int(about.split()[1]) == file.stat().st_size
    except OSError:  # closed meanwhile
        return False


def numbers(*wanted: int) -> bytes:
    return b"".join(b'{"n": %d}\n' % number for number in wanted)


def rows_of(found: Collected) -> list[Any]:
    return [row["n"] for row in found.rows or []]


def test_a_file_is_read_and_then_followed(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(1, 2))

    def grow() -> None:
        for part in (b'{"n"', b": 3}\n", numbers(4)):
            until_read(file)
            with file.open("ab") as appended:
                appended.write(part)

    with meanwhile(grow):
        found = read(file, count=4)
    assert rows_of(found) == [1, 2, 3, 4]
    assert found.details == {"ended_by": "count", "invalid": 0}
    assert not found.truncated


def test_a_file_can_be_followed_from_its_end(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(1, 2))
    done = threading.Event()

    def grow() -> None:
        number = 3
        while not done.wait(0.05):
            with file.open("ab") as appended:
                appended.write(numbers(number))
            number += 1

    with meanwhile(grow):
        found = read(f"file://{file}", count=2, **{"from": "end"})
        done.set()
    assert 1 not in rows_of(found)
    assert 2 not in rows_of(found)
    assert found.count == 2


def test_a_file_that_is_begun_anew_is_read_from_its_beginning(read: Read, tmp_path: Path) -> None:
    for replace in (False, True):
        file = tmp_path / "events.jsonl"
        file.write_bytes(numbers(1, 2))

        def renew(file: Path = file, replace: bool = replace) -> None:
            until_read(file)
            if replace:
                file.rename(tmp_path / "old")
                time.sleep(0.1)  # in which the reader may find no file
                (tmp_path / "new").write_bytes(numbers(3))
                (tmp_path / "new").rename(file)
            else:
                file.write_bytes(numbers(3))

        with meanwhile(renew):
            assert rows_of(read(file, count=3)) == [1, 2, 3]


def test_the_time_ends_a_window_and_what_came_is_the_answer(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(1) + b'{"n": 2')
    found = read(file, time="200ms")
    assert rows_of(found) == [1]  # the second line is not finished
    assert found.details["ended_by"] == "time"


def test_silence_ends_a_window(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(1))
    found = read(file, time="1h", idle="500ms")
    assert (rows_of(found), found.details["ended_by"]) == ([1], "idle")


def test_a_window_ends_before_the_deadline_and_keeps_what_came(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(1))
    found = read(file, time="1h", deadline_s=2.0)
    assert (rows_of(found), found.details["ended_by"]) == ([1], "deadline")


def test_bad_lines_are_counted(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    long = b'{"n": "%s"}\n' % (b"x" * 2000)
    file.write_bytes(
        b"\xef\xbb\xbf" + numbers(1) + b"oops\n\n\xff\n" + long + b"[2]\n" + numbers(3)
    )
    found = read(file, idle="100ms")
    assert found.rows == [{"n": 1}, {"value": [2]}, {"n": 3}]
    assert found.details["invalid"] == 3
    assert [(each.code, each.count) for each in found.warnings] == [("stream.invalid_line", 3)]
    assert found.warnings[0].message.startswith("line 2 is not JSON: ")


def test_a_bad_line_is_an_error_where_the_source_is_strict(
    refused: Refused, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(1) + b"\noops\n")
    error = refused(file, strict=True)
    assert (error.code, error.retryable) == ("stream.invalid_line", False)
    assert error.what.startswith("line 3 of ")


def test_many_rows_go_to_a_file_of_the_run(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(*range(50_000)))
    found = read(file, idle="200ms", run_id="run-1")
    assert found.dataset is not None
    content = Path(found.dataset.path).read_bytes()
    assert [msgspec.json.decode(line)["n"] for line in content.splitlines()] == list(range(50_000))


def test_outside_a_run_what_does_not_fit_is_cut_off(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(numbers(*range(50_000)))
    found = read(file)
    assert (found.truncated, found.details["ended_by"]) == (True, "size")


def test_files_outside_the_roots_are_refused(
    refused: Refused, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.jsonl"
    outside.write_bytes(numbers(1))
    os.mkfifo(outside.with_suffix(".pipe"))
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "pipe").symlink_to(outside.with_suffix(".pipe"))
    (tmp_path / "below").mkdir()
    links = [tmp_path / "link", tmp_path / "pipe", tmp_path / ".." / "x"]
    others = [outside, outside.with_suffix(".pipe"), "/proc/self/environ", "file:///etc/passwd"]
    for path in [*links, *others]:
        error = refused(path)
        assert error.code == "file.outside_roots", path
        assert "[plugins.stream-collector.config]" in error.fix


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [("nothing.jsonl", "file.not_found"), (".", "file.not_regular"), ("", "file.not_found"),
     ("file://host/x", "stream.invalid_endpoint"), ("udp://127.0.0.1:1", "stream.invalid_endpoint"),
     ("tcp://127.0.0.1", "stream.invalid_endpoint"), ("tcp://h:x", "stream.invalid_endpoint"),
     ("tcp://localhost.invalid:1", "stream.unknown_host"),
     ("tcp://10.0.0.1:1", "stream.address_refused"), ("tcp://[::1]:1", "stream.address_refused"),
     ("tcp://2130706434:1", "stream.address_refused"), ("http://", "stream.invalid_endpoint"),
     ("http://10.0.0.1/", "stream.address_refused"), ("tcp://127.0.0.1:1", "stream.unreachable")],
)  # fmt: skip
def test_what_can_not_be_a_stream_is_refused(refused: Refused, endpoint: str, code: str) -> None:
    if endpoint.startswith("http"):
        pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
    error = refused(endpoint)
    assert error.code == code
    assert error.retryable is (code == "stream.unreachable")


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"counts": 1}, "counts: unknown key"),
        ({"count": 0}, "count: expected int >= 1"),
        ({"time": "soon"}, "time: 'soon' is not a duration"),
        ({"idle": "0s"}, "idle: '0s' is not above zero"),
        ({"from": "middle"}, "from: invalid enum value"),
        ({"headers": {"a": "b"}}, "headers are for http and https"),
    ],
)
def test_wrong_parameters_are_named(
    refused: Refused, tmp_path: Path, parameters: dict[str, Any], why: str
) -> None:
    (tmp_path / "f").touch()
    error = refused("f", **parameters)
    assert (error.code, error.retryable) == ("stream.invalid_parameters", False)
    assert why in error.why


def test_a_pipe_is_read_until_its_writer_closes_it(read: Read, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as written:
            for number in range(3):
                written.write(numbers(number))
                time.sleep(0.03)
            written.write(b'{"n": 9}')

    with meanwhile(write):
        found = read(pipe)
    assert (rows_of(found), found.details["ended_by"]) == ([0, 1, 2, 9], "end")


def test_a_pipe_without_a_writer_ends_with_its_window(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = read("pipe", time="150ms")
    assert (found.count, found.details["ended_by"]) == (0, "time")
    found = read("pipe", deadline_s=0.5)
    assert (found.count, found.details["ended_by"]) == (0, "deadline")


def test_tcp_is_read_until_the_server_closes(read: Read) -> None:
    with running_tcp_server(lambda server: [numbers(1)[:4], numbers(1)[4:], numbers(2)]) as server:
        found = read(server.url)
    assert (rows_of(found), found.details["ended_by"]) == ([1, 2], "end")


def endless(server: TcpServer) -> Iterable[bytes]:
    while not server.ended.wait(0.01):
        yield numbers(1)


def test_a_window_over_tcp_closes_its_connection(read: Read) -> None:
    with running_tcp_server(endless) as server:
        assert read(server.url, count=3).count == 3
        assert server.gone.wait(60)


def test_a_cancelled_read_closes_its_connection(
    host: PluginTestHost, collector: StreamCollector
) -> None:
    with running_tcp_server(endless) as server:
        request = CollectRequest(endpoint=server.url)
        reading = collector.read(request, OperationContext("stream.read"))
        with pytest.raises(TimeoutError):
            host.run(reading, timeout=0.3)
        assert server.gone.wait(60)


def test_a_cancelled_read_closes_its_file(
    host: PluginTestHost, collector: StreamCollector, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(numbers(1))
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "pipe"):
        reading = collector.read(CollectRequest(endpoint=name), OperationContext("stream.read"))
        with pytest.raises(TimeoutError):
            host.run(reading, timeout=0.2)
        opened = {os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")}
        assert str(tmp_path / name) not in opened


def test_events_are_read(read: Read, server: HttpServer) -> None:
    pytest.importorskip("httpx2", reason="the extra 'http' is not installed")

    def events(request: Received) -> Reply:
        parts = [b"\xef\xbb", b"\xbf: hello\n\n", b"event: tick\nid: 1\ndata: {\"n\":\n",
                 b"data: 1}\n\n", b"data: oops\n\ndata: {\"n\": 2}\r\n\r\n"]  # fmt: skip
        return Reply(headers={"Content-Type": "text/event-stream; charset=utf-8"}, parts=parts)

    server["/events"] = events
    found = read(f"{server.url}/events", headers={"Authorization": "Bearer ${secret.TOKEN}"})
    assert rows_of(found) == [1, 2]
    assert found.details == {"ended_by": "end", "invalid": 1}
    assert server.requests[0].headers["accept"].startswith("text/event-stream")
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_an_event_that_is_too_long_costs_a_warning_and_not_the_source(
    read: Read, refused: Refused, server: HttpServer
) -> None:
    pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
    stream = b'\xef\xbb\xbfdata: {"n": 1}\n\ndata: ' + b"x" * 2000 + b'\n\ndata: {"n": 2}\n\n'
    server["/long"] = Reply(headers={"Content-Type": "text/event-stream"}, parts=[stream])
    packed = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    server["/packed"] = Reply(headers=packed, parts=[gzip.compress(stream)])
    for path in ("/long", "/packed"):
        found = read(f"{server.url}{path}")
        assert rows_of(found) == [1, 2]
        assert found.details["invalid"] == 1
        (warning,) = found.warnings
        assert warning.code == "stream.invalid_line"
        assert warning.message == "line 2 is longer than max_line_bytes"
        assert refused(f"{server.url}{path}", strict=True).code == "stream.invalid_line"


def test_events_without_end_are_read_for_a_window_and_secrets_in_them_are_hidden(
    read: Read, server: HttpServer
) -> None:
    pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
    left = threading.Event()

    def forever(request: Received) -> Iterator[bytes]:
        try:
            while not server.ended.wait(0.01):
                token = msgspec.json.encode({"n": request.query["t"][0]})
                yield b"data: " + token + b"\n\n"
        finally:
            left.set()

    server["/"] = lambda request: Reply(
        headers={"Content-Type": "text/event-stream"}, parts=forever(request)
    )
    found = read(f"{server.url}/?t=${{secret.TOKEN}}", count=3)
    assert rows_of(found) == ["***"] * 3
    assert left.wait(60)


def test_json_lines_of_a_web_server_are_read_too(read: Read, server: HttpServer) -> None:
    pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
    kind = {"Content-Type": "application/x-ndjson"}
    server["/"] = Reply(headers=kind, parts=[numbers(1)[:5], numbers(1)[5:] + numbers(2)[:-1]])
    assert rows_of(read(f"{server.url}/")) == [1, 2]


def test_what_is_no_stream_is_refused(refused: Refused, server: HttpServer) -> None:
    pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
    server["/json"] = Reply.json([])
    server["/busy"] = Reply(status=503, headers={"Retry-After": "3"}, body=SECRET.encode())
    error = refused(f"{server.url}/json")
    assert (error.code, "application/json" in error.why) == ("stream.invalid_answer", True)
    error = refused(f"{server.url}/busy", headers={"X": "${secret.TOKEN}"})
    assert (error.code, error.retryable, error.retry_after_s) == ("stream.status", True, 3.0)
    assert SECRET not in str(error)


def test_a_server_that_does_not_begin_is_given_up(
    host: PluginTestHost, server: HttpServer, tmp_path: Path
) -> None:
    pytest.importorskip("httpx2", reason="the extra 'http' is not installed")

    def wait(request: Received) -> Reply:
        server.ended.wait(20)
        return Reply()

    server["/"] = wait
    config = {"allow": ["127.0.0.1"], "connect_timeout": 0.1, "read_timeout": "100ms"}
    collector = host.add(StreamCollector(), "stream-collector", config=config)
    request = CollectRequest(endpoint=f"{server.url}/")
    with pytest.raises(OperationError) as caught:
        host.run(collector.read(request, OperationContext("stream.read")))
    assert (caught.value.code, caught.value.retryable) == ("stream.timeout", True)


def test_without_the_http_library_files_are_read_and_web_streams_say_how_to_get_it(
    read: Read, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = "qtforge_builtin_plugins.collectors."
    for name in [each for each in sys.modules if each.startswith((f"{ours}streams.events",
                 f"{ours}web.session", "httpx2"))]:  # fmt: skip
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    (tmp_path / "file").write_bytes(numbers(1))
    assert rows_of(read("file", count=1)) == [1]
    error = refused("https://example.org/")
    assert (error.code, error.retryable) == ("stream.not_installed", False)
    assert error.fix == "pip install 'qtforge-host[http]'"
