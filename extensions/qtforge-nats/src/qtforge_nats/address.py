"""`Address`: where the server is, from ``nats://HOST:4222,HOST2:4222?prefix=qtforge&...``."""

from __future__ import annotations

import re
import ssl
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, Final

import nkeys  # type: ignore[import-untyped]

from qtforge_sdk.errors import ConfigError

__all__ = ["Address", "parse_address"]

_WORD: Final = r"[A-Za-z0-9_-]+"
_PREFIX: Final = re.compile(rf"{_WORD}(\.{_WORD})*")
_HOST: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_PORT: Final = 4222
_LAST_PORT: Final = 65_535
_EXAMPLE: Final = "give one such as nats://HOST:4222 or tls://HOST:4222?nkey=${secret.NAME}"
_PARAMETERS: Final = (
    "nkey",
    "prefix",
    "tls_ca",
    "tls_cert",
    "tls_hostname",
    "tls_key",
    "token",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Servers, and how a node proves who it is.

    Attributes:
        servers: Their URLs, without users.
        prefix: The beginning of all subjects.
        options: Further arguments of `nats.connect`; secrets are among them.
        shown: The address as it is shown: scheme, hosts and ports.
    """

    servers: list[str]
    prefix: str
    options: dict[str, Any] = field(repr=False)
    shown: str


def parse_address(url: str) -> Address:
    """Return the address that a URL gives.

    Args:
        url: ``nats://`` or ``tls://``, a user and a password or a token, hosts with ports, and
            parameters. Special characters of secrets are written as ``%XX``.

    Raises:
        ConfigError: It is not one. The text never repeats the URL, which may hold a secret.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("nats", "tls"):
        raise _invalid("the address of NATS does not begin with nats:// or tls://")
    rest, _, query = rest.partition("?")
    user, _, hosts = rest.rstrip("/").rpartition("@")
    parameters = _parameters(query)
    options = _credentials(user, parameters)
    places = [_place(each) for each in hosts.split(",")]
    prefix = parameters.get("prefix", "qtforge")
    if _PREFIX.fullmatch(prefix) is None:
        raise _invalid(
            "its prefix is not one: words of letters, digits, '-' and '_', joined by dots"
        )
    needs_tls = scheme == "tls" or any(name.startswith("tls_") for name in parameters)
    if needs_tls:
        options["tls"] = _tls(parameters)
        if "tls_hostname" in parameters:
            options["tls_hostname"] = parameters["tls_hostname"]
    scheme = "tls" if needs_tls else "nats"
    return Address(
        servers=[f"{scheme}://{place}" for place in places],
        prefix=prefix,
        options=options,
        shown=f"{scheme}://{','.join(places)}",
    )


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name not in _PARAMETERS:
            raise _invalid(f"it has an unknown parameter; known are {', '.join(_PARAMETERS)}")
        found[name] = value
    return found


def _credentials(user: str, parameters: dict[str, str]) -> dict[str, Any]:
    name, separator, password = (urllib.parse.unquote(each) for each in user.partition(":"))
    options: dict[str, Any] = {}
    if separator:
        options.update(user=name, password=password)
    elif name:
        options["token"] = name
    if "token" in parameters:
        options["token"] = parameters["token"]
    if "nkey" in parameters:
        _check_seed(parameters["nkey"])
        options["nkeys_seed_str"] = parameters["nkey"]
    if len({"user", "token", "nkeys_seed_str"} & set(options)) > 1:
        raise _invalid("it has more than one of user and password, token, and nkey")
    return options


def _check_seed(seed: str) -> None:
    try:
        nkeys.from_seed(bytearray(seed, "ascii"))
    except (ValueError, nkeys.NkeysError):
        # Not as its cause: it may repeat the seed.
        raise _invalid(
            "nkey is not the seed of an NKey, which begins with SU and has 58 letters and digits"
        ) from None


def _place(text: str) -> str:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or _PORT) if found else 0
    if found is None or not 0 < port <= _LAST_PORT:
        raise _invalid("one of its hosts is not a name or address with a port")
    return f"{found['host']}:{port}"


def _tls(parameters: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=parameters.get("tls_ca"))
        if "tls_cert" in parameters:
            context.load_cert_chain(parameters["tls_cert"], parameters.get("tls_key"))
    except OSError as error:  # ssl.SSLError as well
        raise ConfigError(
            "bus",
            f"the files of tls_ca, tls_cert and tls_key can't be used: {error.strerror or error}",
            "name files in the PEM format that this user may read",
        ) from error
    return context


def _invalid(why: str) -> ConfigError:
    return ConfigError("bus", why, _EXAMPLE)
