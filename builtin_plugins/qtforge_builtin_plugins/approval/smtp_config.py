"""The configuration of the SMTP server."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qtforge_sdk.durations import Duration, check_duration

__all__ = ["SmtpConfig"]


class SmtpConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of the SMTP server.

    Attributes:
        host: The server's name.
        sender: The sender's address.
        port: None for 587 with ``starttls``, 465 with ``tls``, 25 with ``none``.
        security: ``starttls``, ``tls`` from the first byte, or ``none``.
        username: For the login, or "" for none; may be ``${secret.NAME}``.
        password: For the login; write ``${secret.NAME}`` to keep it out of the file.
        ca_file: A PEM file of certificates to trust instead of the system's, or None.
        timeout: How long to wait for each answer of the server; at most 300s.
    """

    host: Annotated[str, msgspec.Meta(min_length=1)]
    sender: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""
    ca_file: str | None = None
    timeout: Duration = "20s"

    def __post_init__(self) -> None:
        check_duration(self, "timeout", least_s=0.001, most_s=300)
        if self.username and self.security == "none":
            raise ValueError("a login needs security 'starttls' or 'tls', or it is not encrypted")
        if "@" not in self.sender:
            raise ValueError(f"sender '{self.sender}' is not an e-mail address")
