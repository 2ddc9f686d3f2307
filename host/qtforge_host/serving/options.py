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
    max_streams: int = 32
    max_runs: int = 10_000
    reexec: bool = True
    rate: ParsedRate = ParsedRate(100, 1.0)
