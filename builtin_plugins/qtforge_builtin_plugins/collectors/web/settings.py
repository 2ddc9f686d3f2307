"""`WebConfig`: the common configuration of the collectors that request servers."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule
from qtforge_sdk.durations import Duration, check_duration

__all__ = ["WebConfig"]

_LONGEST_S: Final = 3600.0


class WebConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Allowed addresses, timeouts and redirects.

    Attributes:
        allow: Addresses, networks (``10.0.0.0/8``) and host names that may be requested
            although they are not public.
        ca_file: A file of certificates (PEM) to trust instead of the system's own.
        proxy: The URL of a proxy, ``http://`` or ``https://``; may contain
            ``${secret.NAME}``. Proxies from the environment are ignored.
        connect_timeout: The timeout of a connection attempt; at most 1h.
        read_timeout: The longest silence of a server; at most 1h.
        max_redirects: The most redirects that are followed.
        allow_downgrade: Whether a redirect may lead from https to http.
    """

    allow: list[str] = []
    ca_file: str | None = None
    proxy: str | None = None
    connect_timeout: Duration = "10s"
    read_timeout: Duration = "30s"
    max_redirects: Annotated[int, msgspec.Meta(ge=0, le=20)] = 5
    allow_downgrade: bool = False

    def __post_init__(self) -> None:
        """Refuse an entry of ``allow`` or a time that is not valid.

        Raises:
            ValueError: An entry is no address, no network and no host name; or a time is not a
                duration above zero, or is longer than an hour.
        """
        for name in ("connect_timeout", "read_timeout"):
            check_duration(self, name, least_s=0.001, most_s=_LONGEST_S)
        AddressRule(self.allow)
