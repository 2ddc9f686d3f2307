"""Listening."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from qtforge_host.serving.errors import CannotListenError
from qtforge_host.serving.http.server import listen


def test_a_connection_sends_at_once() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machines_is_refused(host: str) -> None:
    with pytest.raises(CannotListenError) as found:
        listen(host, 0)
    assert found.value.address == f"{host}:0"


def test_an_address_that_is_taken_is_refused() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(CannotListenError):
        listen("127.0.0.1", taken.getsockname()[1])
