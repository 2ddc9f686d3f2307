"""Addresses of NATS servers."""

from __future__ import annotations

from pathlib import Path

import nkeys  # type: ignore[import-untyped]
import pytest

from qtforge_nats.address import parse_address
from qtforge_sdk.errors import ConfigError

_SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()


@pytest.mark.parametrize(
    ("url", "servers", "options"),
    [
        ("nats://bus", ["nats://bus:4222"], {}),
        ("nats://a:1,b.c:2/", ["nats://a:1", "nats://b.c:2"], {}),
        ("nats://[::1]:4000", ["nats://[::1]:4000"], {}),
        ("nats://me:p%40ss@bus", ["nats://bus:4222"], {"user": "me", "password": "p@ss"}),
        ("nats://tok%2Fen@bus", ["nats://bus:4222"], {"token": "tok/en"}),
        ("nats://bus?token=tok%2Fen", ["nats://bus:4222"], {"token": "tok/en"}),
        (f"nats://bus?nkey={_SEED}", ["nats://bus:4222"], {"nkeys_seed_str": _SEED}),
    ],
)
def test_an_address_gives_servers_and_credentials(
    url: str, servers: list[str], options: dict[str, str]
) -> None:
    found = parse_address(url)
    assert (found.servers, found.options, found.prefix) == (servers, options, "qtforge")
    for secret in options.values():
        assert secret not in repr(found)


def test_tls_is_used_where_the_scheme_or_a_parameter_says_so() -> None:
    assert parse_address("tls://bus").options["tls"].check_hostname
    found = parse_address("nats://bus?tls_hostname=other&prefix=a.b-c")
    assert found.servers == ["tls://bus:4222"]
    assert found.options["tls_hostname"] == "other"
    assert found.prefix == "a.b-c"


@pytest.mark.parametrize(
    "url",
    [
        "http://s3cr3t@bus",
        "nats://",
        "nats://s3cr3t@",
        "nats://s3cr3t@bus:0",
        "nats://s3cr3t@bus:65536",
        "nats://s3cr3t@bus:x",
        "nats://s3cr3t@a,,b",
        "nats://s3cr3t@bus?prefix=a.",
        "nats://s3cr3t@bus?prefix=a.>",
        "nats://s3cr3t@bus?color=s3cr3t",
        "nats://s3cr3t@bus?nkey=s3cr3t",
        "nats://bus?nkey=s3cr3t",
        f"nats://bus?nkey=s3cr3t{_SEED}",
        f"nats://bus?nkey={_SEED}s3cr3t",
        "nats://bus?nkey=s3cr3t%C3%A9",
        "nats://me:s3cr3t@bus?token=s3cr3t",
        "nats://s3cr3t@bus?tls_ca=/nowhere/s.pem",
        "nats://s3cr3t\n@bus\n",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cr3t" not in str(caught.value.__cause__)


def test_a_certificate_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    with pytest.raises(ConfigError, match="tls_ca"):
        parse_address(f"tls://bus?tls_ca={bad}")
