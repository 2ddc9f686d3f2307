"""Addresses of journals in PostgreSQL, and that no text shows their passwords."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from tests.servers.postgresql import PostgreSQL

from qtforge_postgresql import initialize, make_postgresql_journal
from qtforge_postgresql.address import parse_address
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.journal_errors import JournalUnavailableError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:s3cret@db/runs", "postgresql://db/runs"),
        ("postgres://ada:s3cret@db:6543/runs", "postgresql://db:6543/runs"),
        (
            "postgresql://a:s3cret@b:1,c:2/runs?target_session_attrs=any",
            "postgresql://b:1,c:2/runs",
        ),
        ("postgresql://db/runs?schema=Work_1", "postgresql://db/runs?schema=Work_1"),
        ("postgresql:///runs?host=/tmp&password=s3cret", "postgresql:///tmp/runs"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    address = parse_address(url)
    assert address.shown == shown
    assert "s3cret" not in repr(address)


def test_the_schema_is_no_parameter_of_libpq() -> None:
    address = parse_address("postgresql://db/runs?sslmode=require&schema=other")
    assert (address.schema, address.parameters["sslmode"]) == ("other", "require")
    assert "schema" not in address.parameters
    assert parse_address("postgresql://db/runs").schema == "qtforge"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://ada:s3cret@db/runs",
        "postgresql://ada:p/s3cret@db/runs",
        "postgresql://ada:p@s3cret@db:x/runs",
        "postgresql://ada:s3cret@db/runs?no_such_parameter=1",
        "postgresql://ada:s3cret@db:s3cret/runs",
        "postgresql://ada:s3cret@db:5432,other:65536/runs",
        "postgresql://ada:s3cret@db/runs?sslmode=s3cret",
        "postgresql://ada:s3cret@db/runs?connect_timeout=s3cret",
        "postgresql://ada:s3cret@db/runs?target_session_attrs=s3cret",
        "postgresql://ada:s3cret@db/runs?schema=",
        "postgresql://ada:s3cret@db/runs?schema=a%22b",
        "postgresql://ada:s3cret@db/runs?schema=pg_catalog",
        f"postgresql://ada:s3cret@db/runs?schema={'a' * 64}",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_postgresql_journal(JournalSettings(directory=tmp_path, url=url))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.fix


def test_no_error_of_the_server_shows_the_password(postgresql: PostgreSQL, tmp_path: Path) -> None:
    wrong = "wr0ng/p@ss"
    for server, why, fix in (
        (postgresql, "password authentication failed", "user and password of the address"),
        (dataclasses.replace(postgresql, port=1), "refused", "the server runs"),
    ):
        settings = JournalSettings(directory=tmp_path, url=server.url("wr0ng%2Fp%40ss"))
        for attempt in (initialize(settings), make_postgresql_journal(settings).open()):
            with pytest.raises(JournalUnavailableError, match=why) as caught:
                asyncio.run(attempt)
            assert f"127.0.0.1:{server.port}/postgres" in str(caught.value)
            assert wrong not in str(caught.value)
            assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("password", "database", "query", "fix"),
    [
        ("", "postgres", "", "has no password"),
        (None, "no_such", "", "database of the address"),
        (None, "postgres", "sslmode=require", "check sslmode of the address, and ssl"),
        (None, "postgres", "sslmode=verify-full&sslrootcert=/nowhere", "sslmode of the address"),
        (None, "postgres", "gssencmode=maybe", "correct that parameter"),
    ],
)
def test_what_is_wrong_with_the_address_is_not_said_of_the_server(
    postgresql: PostgreSQL,
    tmp_path: Path,
    password: str | None,
    database: str,
    query: str,
    fix: str,
) -> None:
    url = f"{postgresql.url(password, database=database)}?{query}"
    settings = JournalSettings(directory=tmp_path, url=url)
    with pytest.raises(JournalUnavailableError) as caught:
        asyncio.run(make_postgresql_journal(settings).open())
    assert fix in caught.value.fix


def test_a_password_is_concealed_in_every_form() -> None:
    address = parse_address("postgresql://ada:p%2Fs3cret%40@db/runs")
    text = address.conceal("a p/s3cret@ and p%2Fs3cret%40 end")
    assert text == "a *** and *** end"
