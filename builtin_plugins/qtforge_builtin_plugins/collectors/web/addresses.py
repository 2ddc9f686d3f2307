"""`AddressRule`: the addresses that a collector may connect to.

A source's URL may come from outside, and the host may be in a network whose machines trust
it. So only public addresses are allowed, unless the configuration names others.
"""

from __future__ import annotations

import ipaddress
import socket
import string
from collections.abc import Sequence
from typing import Final

from qtforge_sdk.errors import OperationError

__all__ = ["Address", "AddressRule", "literal_address"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are IPv4

# The blocks of IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and multicast.
# The interpreter has a table, too, but an older Python lacks what was registered after it.
_SPECIAL: Final = tuple(
    (ipaddress.ip_network(block), kind)
    for kind, blocks in {
        "unspecified": ("0.0.0.0/32", "::/128"),
        "this machine's own (loopback)": ("127.0.0.0/8", "::1/128"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "private": (
            "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
            "fec0::/10",
        ),
        "reserved": (
            "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
            "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
            "::/96", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
        ),
    }.items()
    for block in blocks
)  # fmt: skip
# Blocks within those that the registries call globally reachable.
_REACHABLE: Final = tuple(
    ipaddress.ip_network(block)
    for block in (
        "192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128",
        "2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28",
    )
)  # fmt: skip
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")  # all that IANA has given out of IPv6


class AddressRule:
    """The addresses that may be connected to.

    Args:
        allow: Addresses and networks that are allowed although they are not public, and names
            of hosts that may have any address.

    Raises:
        ValueError: An entry is no address, network or host name.

    >>> rule = AddressRule(["10.0.0.0/8", "intranet.example"])
    >>> rule.allows(ipaddress.ip_address("10.1.2.3"), "example.org")
    True
    >>> rule.allows(ipaddress.ip_address("127.0.0.1"), "example.org")
    False
    """

    def __init__(self, allow: Sequence[str]) -> None:
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._names: set[str] = set()
        for entry in allow:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip(" []"), strict=False))
            except ValueError as error:
                name = entry.strip().rstrip(".").lower()
                if not name or not all(each.isalnum() or each in "-._" for each in name):
                    why = f"'{entry}' is no address, no network and no host name"
                    raise ValueError(why) from error
                self._names.add(name)

    def allows(self, address: Address, host: str) -> bool:
        """Return whether a connection to this address of this host is allowed."""
        if host.rstrip(".").lower() in self._names:
            return True
        meant = _meant(address)
        if any(each.version == network.version and each in network
               for each in {address, meant} for network in self._networks):  # fmt: skip
            return True
        return _kind(meant) is None

    def refusal(self, addresses: Sequence[Address], host: str, subject: str) -> OperationError:
        """Return the error for a host none of whose addresses are allowed.

        Args:
            addresses: The host's addresses; at least one.
            host: The host in the URL.
            subject: The first word of the error's code, such as ``http``.
        """
        address = addresses[0]
        kind = _kind(_meant(address)) or "not allowed"
        where = host if host == str(address) else f"{host} ({address})"
        return OperationError(
            f"{subject}.address_refused",
            f"connections to {where} are not allowed",
            f"its address is {kind}, and only public addresses are allowed",
            f'to allow it, add "{address}" to allow in [plugins.{subject}-collector.config]',
            retryable=False,
        )


def literal_address(host: str) -> Address | None:
    """Return the address that a host's text denotes; None when it is a name.

    This includes the old forms that resolvers accept: ``2130706433``, ``0177.0.0.1`` and
    ``0x7f.1`` are 127.0.0.1.
    """
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    if not host or not all(each in string.hexdigits + "xX." for each in host):
        return None  # inet_aton ignores any text after a space
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, or the address itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
    return inner or address


def _kind(address: Address) -> str | None:
    """Return why an address is not public, in words; None when it is public."""
    if any(address in block for block in _REACHABLE):
        return None
    for block, kind in _SPECIAL:
        if address in block:
            return kind
    outside = isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST
    return "reserved" if outside else None
