"""Who asks, where trusted proxies stand before the host."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.auth import Gate, RateGate, client_address
from qtforge_host.serving.tokens import TokenChecker
from qtforge_sdk.policies import ParsedRate

PROXIES = [ipaddress.ip_network(each) for each in ("127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),  # no proxy of ours: it may say anything
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["6.6.6.6", "203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.5, 10.1.2.3"], "203.0.113.5"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("::1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("::1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("fd00::1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.5, _hidden, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [", ,"], "127.0.0.1"),
        ("", ["203.0.113.5"], ""),
    ],
)
def test_the_address_is_what_the_last_trusted_proxy_was_called_from(
    peer: str, forwarded: Sequence[str], client: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


@pytest.mark.parametrize("is_trusted", [True, False])
def test_clients_behind_a_trusted_proxy_have_a_rate_each(
    tmp_path_factory: pytest.TempPathFactory, is_trusted: bool
) -> None:
    checker = TokenChecker(tmp_path_factory.mktemp("state"))
    proxies = PROXIES if is_trusted else []
    gate = Gate(checker, [], RateGate(ParsedRate(1, 3600.0), lambda: 0.0), proxies=proxies)

    def ask(client: str) -> None:
        headers = [(b"host", b"localhost"), (b"x-forwarded-for", client.encode())]
        scope = {"type": "http", "headers": headers, "client": ("127.0.0.1", 1)}
        gate.check(scope, needs_token=False)

    ask("203.0.113.1")
    if is_trusted:
        ask("203.0.113.2")
    with pytest.raises(RefusedError) as refused:
        ask("203.0.113.1" if is_trusted else "203.0.113.2")
    assert refused.value.code == "http.too_many_requests"
