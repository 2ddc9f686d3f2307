"""`Connection`: a client of NATS that sends nothing in clear where TLS was asked for."""

from __future__ import annotations

from typing import Final

import nats.errors
from nats.aio.client import Client

__all__ = ["Connection", "connection_fix"]

_IDENTITY: Final = "check the user and password, the token or the nkey of the address"
_CUT_OFF: Final = f"see that the server stays up and lets this host in: {_IDENTITY}"
# What servers and OpenSSL say, in lower case, and what to do about it.
_FIXES: Final = (
    ("authorization", _IDENTITY),
    ("authentication", _IDENTITY),
    ("does not require tls", "give the server a tls section without allow_non_tls"),
    # A server closes the connection of those whom it does not know, and what it says about it is
    # lost when this side writes meanwhile.
    ("connection reset", _CUT_OFF),
    ("broken pipe", _CUT_OFF),
    ("certificate", "check tls_ca, tls_cert, tls_key and tls_hostname of the address"),
)


class Connection(Client):
    """A client that gives up a connection which is not encrypted although it has to be.

    A server says whether it requires TLS, and nats-py encrypts only then: whoever pretends to be
    the server, or a server without TLS, would get the password and all messages in clear.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was_checked = False

    def check_encryption(self) -> None:
        """Check that nothing was sent before the connection was found to be encrypted.

        Raises:
            nats.errors.Error: nats-py has connected without asking; another version might.
        """
        if not self._was_checked:
            raise nats.errors.Error("nats: it is not known whether the connection is encrypted")

    def _connect_command(self) -> bytes:
        # The first that is sent: with each connection, those after a reconnection included.
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise nats.errors.Error(
                "nats: the server does not require TLS, which the address asks for"
            )
        self._was_checked = True
        command: bytes = super()._connect_command()
        return command


def connection_fix(why: str) -> str:
    """Return what to do about a server that can't be used.

    Args:
        why: What is wrong, as the server or the system says.
    """
    said = why.lower()
    return next(
        (fix for part, fix in _FIXES if part in said), "start the server, or correct [host] bus"
    )
