"""Where e-mail is handed over."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["SmtpConfig"]


class SmtpConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where e-mail is handed over.

    Attributes:
        host: The server's name.
        sender: The address that it comes from.
        port: None means 587 for ``starttls``, 465 for ``tls``, 25 for ``none``.
        security: ``starttls``, ``tls`` from the first byte, or ``none``.
        username: For the login, or "" for none; may be ``${secret.NAME}``.
        password: For the login; ``${secret.NAME}`` keeps it out of the file.
        ca_file: Certificates to trust instead of the system's, a PEM file; or None.
        timeout_s: How long to wait for each answer of the server, in seconds.
    """

    host: Annotated[str, msgspec.Meta(min_length=1)]
    sender: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""
    ca_file: str | None = None
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 20.0

    def __post_init__(self) -> None:
        if self.username and self.security == "none":
            raise ValueError("a login needs security 'starttls' or 'tls': it would be readable")
        if "@" not in self.sender:
            raise ValueError(f"sender '{self.sender}' is not an e-mail address")
