"""The options of ``qtforge-host serve`` and ``worker``."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from qtforge_sdk.policies import ParsedRate

__all__ = ["ServeOptions", "origin_of"]

_PORTS: Final = {"http": 80, "https": 443}


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve.

    Attributes:
        http: Whether there is an HTTP interface at all.
        host: The address that it listens on.
        port: Its port; 0 for any that is free.
        allowed_hosts: Further names by which it may be called.
        public_url: The URL at which a proxy publishes the HTTP interface, such as
            ``https://forge.example/host``; "" for none.
        root_path: The path of the proxy beneath which it is published, without a slash at its
            end; "" for none.
        proxies: The addresses or networks of proxies whose ``X-Forwarded-For`` header is believed.
        grace_s: How long runs may continue when the process ends, in seconds.
        max_body_bytes: No request may be larger.
        max_connections: So many connections are open at once; None for 1,000, or fewer where
            the process may open few files.
        max_requests: So many requests are in progress at once.
        head_timeout_s: How long the head of a request may take to arrive, in seconds.
        idle_timeout_s: How long a connection is kept after a response, in seconds.
        log_rate: How many lines of one kind bad requests may write into the log.
        max_streams: The most clients that receive live events at once.
        role: The command: ``serve`` or ``worker``, of which a state directory may have many.
        node: The name by which operators know the process; "" for one of its own.
        max_runs: So many runs are in memory at once, those that wait there among them.
        pools: Queued runs of these pools are executed.
        reexec: Whether the process replaces itself when an imported distribution was replaced.
        rate: How often one client may ask.
    """

    http: bool = True
    host: str = "127.0.0.1"
    port: int = 8321
    allowed_hosts: tuple[str, ...] = ()
    public_url: str = ""
    root_path: str = ""
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    grace_s: float = 10.0
    max_body_bytes: int = 10_000_000
    max_connections: int | None = None
    max_requests: int = 512
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 5.0
    log_rate: ParsedRate = ParsedRate(10, 60.0)
    max_streams: int = 32
    role: Literal["serve", "worker"] = "serve"
    node: str = ""
    max_runs: int = 10_000
    pools: tuple[str, ...] = ("default",)
    reexec: bool = True
    rate: ParsedRate = ParsedRate(100, 1.0)


def origin_of(url: str) -> str:
    """Return the origin of a URL, as browsers write it.

    >>> origin_of("https://Forge.example:443/runs"), origin_of("http://[::1]:8321")
    ('https://forge.example', 'http://[::1]:8321')

    Raises:
        ValueError: It is no ``http`` or ``https`` URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"'{url}' is not a URL such as https://forge.example")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"'{url}' has more than a host, a port and a path")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
