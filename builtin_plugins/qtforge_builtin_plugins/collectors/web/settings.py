"""`WebConfig`: what the collectors that ask servers have in common in their configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule

__all__ = ["WebConfig"]

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class WebConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may be asked, and how patiently.

    Attributes:
        allow: Addresses, networks (``10.0.0.0/8``) and host names that may be asked although
            they are not public.
        ca_file: A file of certificates (PEM) to trust instead of the system's own.
        proxy: The URL of a proxy, ``http://`` or ``https://``; ``${secret.NAME}`` may stand in
            it. The environment's proxies are not heeded.
        connect_timeout_s: How long a connection may take, in seconds.
        read_timeout_s: How long a server may be silent, in seconds.
        max_redirects: How many redirects are followed.
        allow_downgrade: Whether a redirect may lead from https to http.
    """

    allow: list[str] = []
    ca_file: str | None = None
    proxy: str | None = None
    connect_timeout_s: Seconds = 10.0
    read_timeout_s: Seconds = 30.0
    max_redirects: Annotated[int, msgspec.Meta(ge=0, le=20)] = 5
    allow_downgrade: bool = False

    def __post_init__(self) -> None:
        """Refuse an entry of ``allow`` that means nothing.

        Raises:
            ValueError: It is no address, no network and no host name.
        """
        AddressRule(self.allow)
