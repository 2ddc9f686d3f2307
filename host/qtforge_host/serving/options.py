"""The options of ``qtforge-host serve``."""

from __future__ import annotations

from dataclasses import dataclass

from qtforge_sdk.policies import ParsedRate

__all__ = ["ServeOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve.

    Attributes:
        http: Whether there is an HTTP interface at all.
        host: The address that it listens on.
        port: Its port; 0 for any that is free.
        allowed_hosts: Further names by which it may be called.
        grace_s: How long runs may go on when the process ends, in seconds.
        max_body_bytes: No request may be larger.
        max_connections: So many connections are open at once; None for 1,000, or fewer where
            the process may open few files.
        max_requests: So many requests are in progress at once.
        head_timeout_s: How long the head of a request may take to arrive, in seconds.
        idle_timeout_s: How long a connection is kept after a response, in seconds.
        log_rate: How many lines of one kind bad requests may write into the log.
        max_streams: So many clients may hear events at once.
        max_runs: So many runs are in memory at once, those that wait there among them.
        reexec: Whether the process replaces itself when an imported distribution was replaced.
        rate: How often one client may ask.
    """

    http: bool = True
    host: str = "127.0.0.1"
    port: int = 8321
    allowed_hosts: tuple[str, ...] = ()
    grace_s: float = 10.0
    max_body_bytes: int = 10_000_000
    max_connections: int | None = None
    max_requests: int = 512
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 5.0
    log_rate: ParsedRate = ParsedRate(10, 60.0)
    max_streams: int = 32
    max_runs: int = 10_000
    reexec: bool = True
    rate: ParsedRate = ParsedRate(100, 1.0)
