"""`Address`: where a journal is, from ``postgresql://USER:PASSWORD@HOST/DATABASE?schema=NAME``."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from qtforge_sdk.errors import ConfigError

__all__ = ["EXAMPLE", "Address", "parse_address"]

_SCHEMA: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
EXAMPLE: Final = "postgresql://USER:${secret.NAME}@HOST/DATABASE"
"""An address, as errors show it."""

_GIVE: Final = f"give one such as {EXAMPLE}"
_DEFAULT_SCHEMA: Final = "qtforge"
_HIDDEN: Final = "***"
_LAST_PORT: Final = 65_535
# Of libpq.
_WORDS: Final = MappingProxyType(
    {
        "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
        "target_session_attrs": (
            "any", "read-only", "standby", "prefer-standby", "primary", "read-write",
        ),
    }
)  # fmt: skip
_SHORTEST: Final = 3  # a shorter password would hide letters of the text itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A database and a schema in it.

    Attributes:
        parameters: libpq's parameters, the password included.
        schema: The name of the schema with the journal's tables.
        shown: The address as it is shown: host, port, database and schema.
    """

    parameters: dict[str, str] = field(repr=False)
    schema: str
    shown: str

    def conceal(self, text: str) -> str:
        """Return a text without the password of the address."""
        secrets = [self.parameters[each] for each in ("password", "sslpassword")
                   if each in self.parameters]  # fmt: skip
        for secret in secrets:
            for form in {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret)}:
                if len(form) >= _SHORTEST:
                    text = text.replace(form, _HIDDEN)
        return text


def parse_address(url: str) -> Address:
    """Return the address that a URL gives.

    Args:
        url: In libpq's form, several hosts and parameters included; ``schema`` is not libpq's.

    Raises:
        ConfigError: It is not one. The text never repeats the URL, which may hold a password.
    """
    base, _, query = url.partition("?")
    if base.partition("://")[0] not in ("postgresql", "postgres"):
        raise ConfigError("journal", "the address of PostgreSQL does not begin so", _GIVE)
    schema, kept = _DEFAULT_SCHEMA, []
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name == "schema":
            schema = value
        else:
            kept.append((name, value))
    if _SCHEMA.fullmatch(schema) is None or schema.lower().startswith("pg_"):
        raise ConfigError(
            "journal",
            "the schema's name is not an identifier of up to 63 letters, digits and '_'",
            "give one such as ?schema=qtforge",
        )
    rest = urllib.parse.urlencode(kept, quote_via=urllib.parse.quote)
    try:
        found = conninfo_to_dict(f"{base}?{rest}" if rest else base)
    except psycopg.Error:
        # Not libpq's own text, and not as its cause: it repeats parts of the address, and where
        # a password's "/" or "@" is not written as %2F or %40, these are parts of the password.
        raise _unreadable() from None
    authority, _, path = base.partition("://")[2].partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise _unreadable()
    parameters = {name: str(value) for name, value in found.items() if value is not None}
    _check(parameters)
    return Address(parameters=parameters, schema=schema, shown=_shown(parameters, schema))


def _check(parameters: dict[str, str]) -> None:
    """Check what libpq would refuse with each connection, as if the server were away."""
    for port in filter(None, parameters.get("port", "").split(",")):
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
            raise ConfigError("journal", "a port of the address is not one", _GIVE)
    if re.fullmatch(r"-?[0-9]{1,9}", parameters.get("connect_timeout", "0")) is None:
        raise ConfigError("journal", "connect_timeout of the address is no number", _GIVE)
    for name, known in _WORDS.items():
        if parameters.get(name, known[0]) not in known:
            raise ConfigError(
                "journal",
                f"{name} of the address is not one of {', '.join(known)}",
                f"give one such as postgresql://HOST/DATABASE?{name}={known[-1]}",
            )


def _unreadable() -> ConfigError:
    return ConfigError(
        "journal",
        "the address of PostgreSQL can't be read",
        f"{_GIVE}, and write special characters of a password as %XX",
    )


def _shown(parameters: dict[str, str], schema: str) -> str:
    hosts = parameters.get("host", parameters.get("hostaddr", "")).split(",")
    ports = parameters.get("port", "").split(",")
    if len(ports) < len(hosts):
        ports = ports[:1] * len(hosts)
    places = (f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
    database = parameters.get("dbname", "")
    suffix = "" if schema == _DEFAULT_SCHEMA else f"?schema={schema}"
    return f"postgresql://{','.join(places)}/{database}{suffix}"
