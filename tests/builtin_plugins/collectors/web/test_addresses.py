from __future__ import annotations

import ipaddress

import pytest

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule, literal_address

NOT_PUBLIC = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::", "::127.0.0.1",
    "64:ff9b:1::1", "100::1", "fec0::1", "192.0.0.192", "192.0.0.1", "192.88.99.1", "198.51.100.7",
    "203.0.113.9", "2001:2::1", "2001:10::1", "3fff::1", "5f00::1", "100:0:0:1::1", "4000::1",
    "2001:0:0a00:1::1",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101",
          "192.0.0.9", "2001:20::1", "2001:4860:4860::8888", "11.0.0.1", "172.32.0.1",
          "192.0.1.1"]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused_unless_it_is_allowed(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert not AddressRule([]).allows(parsed, "host.example")
    assert AddressRule(["0.0.0.0/0", "::/0"]).allows(parsed, "host.example")
    assert AddressRule(["Host.Example."]).allows(parsed, "host.example")
    assert not AddressRule(["host.example"]).allows(parsed, "evil.host.example")
    error = AddressRule([]).refusal([parsed], "host.example", "http")
    assert error.code == "http.address_refused"
    assert "host.example" in error.what
    assert str(parsed) in error.what
    assert "[plugins.http-collector.config]" in error.fix


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert AddressRule([]).allows(ipaddress.ip_address(address), "host.example")


def test_an_allowed_ipv4_network_holds_for_the_ipv6_forms_of_its_addresses_only() -> None:
    rule = AddressRule(["10.0.0.0/8"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"):
        assert rule.allows(ipaddress.ip_address(address), "h")
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1"):
        assert not rule.allows(ipaddress.ip_address(address), "h")


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0x7f000001", "017700000001"],
)
def test_old_ways_to_write_an_address_are_understood(text: str) -> None:
    assert literal_address(text) == ipaddress.ip_address("127.0.0.1")


@pytest.mark.parametrize("text", ["example.org", "localhost", "a.1", "", "127.0.0.1 x", "é"])
def test_a_name_is_not_an_address(text: str) -> None:
    assert literal_address(text) is None


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "", "http://host/", "a b"])
def test_an_entry_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no address, no network and no host name"):
        AddressRule([entry])
