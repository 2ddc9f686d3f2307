"""Resolve a host's name to the addresses that may be connected to.

The connection is made to one of these addresses and the name is not resolved again, so a
name that resolves differently the second time (DNS rebinding) has no effect.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule, literal_address
from qtforge_sdk.errors import OperationError

__all__ = ["Resolver", "SystemResolver", "permitted"]


class Resolver(Protocol):
    """Resolves names."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return a host's addresses, best first; at least one.

        Raises:
            OSError: There are none, or the name can't be resolved.
        """
        ...


class SystemResolver:
    """The operating system's resolver."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return a host's addresses.

        Raises:
            socket.gaierror: There are none, or the name can't be resolved.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def permitted(
    host: str, port: int, rule: AddressRule, resolver: Resolver, subject: str
) -> list[str]:
    """Return the addresses of a host that may be connected to, best first.

    Raises:
        OperationError: ``<subject>.unknown_host``, or ``<subject>.address_refused`` when none
            of its addresses is allowed.
    """
    literal = literal_address(host)
    if literal is not None:
        addresses = [literal]
    else:
        try:
            found = await resolver.addresses(host, port)
            addresses = [ipaddress.ip_address(each) for each in found]
        except (OSError, UnicodeError, ValueError) as error:
            raise _unknown(host, error, subject) from error
    allowed = [str(each) for each in addresses if rule.allows(each, host)]
    if not allowed:
        raise rule.refusal(addresses, host, subject)
    return allowed


def _unknown(host: str, error: Exception, subject: str) -> OperationError:
    later = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    why = error.strerror if isinstance(error, OSError) else str(error)
    return OperationError(
        f"{subject}.unknown_host",
        f"the host {host} has no address",
        why or type(error).__name__,
        "check its spelling, and that this machine can resolve names",
        retryable=later,
    )
