"""`WebConfig`: the common configuration of the collectors that request servers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule

__all__ = ["WebConfig"]

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class WebConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Allowed addresses, timeouts and redirects.

    Attributes:
        allow: Addresses, networks (``10.0.0.0/8``) and host names that may be requested
            although they are not public.
        ca_file: A file of certificates (PEM) to trust instead of the system's own.
        proxy: The URL of a proxy, ``http://`` or ``https://``; may contain
            ``${secret.NAME}``. Proxies from the environment are ignored.
        connect_timeout_s: The timeout of a connection attempt, in seconds.
        read_timeout_s: The longest silence of a server, in seconds.
        max_redirects: The most redirects that are followed.
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
        """Refuse an entry of ``allow`` that is not valid.

        Raises:
            ValueError: It is no address, no network and no host name.
        """
        AddressRule(self.allow)
