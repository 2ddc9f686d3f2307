"""Tokens: kept as hashes, changed by commands, noticed by the process that serves."""

from __future__ import annotations

import datetime
import json
import stat
from pathlib import Path

import pytest

from qtforge_host.api.errors import NotFoundError
from qtforge_host.serving.state_files import ServeFolder
from qtforge_host.serving.tokens import FIRST, SCOPES, TokenChecker, TokenScope, TokenStore, allows
from qtforge_sdk.errors import StateDirectoryError

NOW = datetime.datetime(2026, 3, 4, 5, 6, tzinfo=datetime.UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime.datetime:
        return self.time


def test_each_scope_includes_those_before_it() -> None:
    assert SCOPES == ("read", "approve", "operate", "admin")
    table = [[allows(granted, needed) for needed in SCOPES] for granted in SCOPES]
    assert table == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_may_do_what_it_was_created_for(tmp_path: Path, scope: TokenScope) -> None:
    made, text = TokenStore(tmp_path).create(scope, "for a test")
    checker = TokenChecker(tmp_path)
    assert checker.scope_of(text.encode()) == scope
    assert checker.scope_of(text.encode() + b"x") is None
    assert checker.scope_of(made.sha256.encode()) is None
    assert checker.scope_of(b"") is None


def test_only_the_hash_is_kept_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    _, text = TokenStore(tmp_path / "state").create("admin")
    for path in [tmp_path / "state", *(tmp_path / "state").rglob("*")]:
        assert path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0, path
        if path.is_file():
            content = path.read_text()
            assert text not in content
            assert text.split("_", 2)[2] not in content


def test_the_token_of_the_file_may_do_everything(tmp_path: Path) -> None:
    folder = ServeFolder(tmp_path)
    folder.make_token()
    text = folder.read_token()
    assert text is not None
    assert TokenChecker(tmp_path).scope_of(text.encode()) == "admin"


def test_a_change_is_noticed_at_once(tmp_path: Path) -> None:
    store, checker = TokenStore(tmp_path), TokenChecker(tmp_path)
    first, first_text = store.create("read")
    assert checker.scope_of(first_text.encode()) == "read"
    _, second_text = store.create("operate")
    assert checker.scope_of(second_text.encode()) == "operate"
    store.revoke(first.id)
    assert checker.scope_of(first_text.encode()) is None
    assert checker.scope_of(second_text.encode()) == "operate"


def test_the_first_token_can_be_replaced(tmp_path: Path) -> None:
    folder, store, checker = ServeFolder(tmp_path), TokenStore(tmp_path), TokenChecker(tmp_path)
    folder.make_token()
    before = folder.read_token()
    assert before is not None
    store.revoke(FIRST)
    assert checker.scope_of(before.encode()) is None
    folder.make_token()
    after = folder.read_token()
    assert after is not None
    assert (checker.scope_of(before.encode()), checker.scope_of(after.encode())) == (None, "admin")


def test_a_token_expires(tmp_path: Path) -> None:
    clock = Clock()
    store, checker = TokenStore(tmp_path, clock.now), TokenChecker(tmp_path, clock.now)
    made, text = store.create("read", lifetime=datetime.timedelta(days=90))
    assert made.expires_at == NOW + datetime.timedelta(days=90)
    clock.time += datetime.timedelta(days=90, microseconds=-1)
    assert checker.scope_of(text.encode()) == "read"
    clock.time += datetime.timedelta(microseconds=1)
    assert checker.scope_of(text.encode()) is None
    assert [each.is_expired(clock.time) for each in store.all()] == [True]
    store.create("read")  # those that have expired are forgotten
    assert len(store.all()) == 1


@pytest.mark.parametrize("token_id", ["none", FIRST, ""])
def test_a_token_that_is_not_there_cannot_be_revoked(tmp_path: Path, token_id: str) -> None:
    with pytest.raises(NotFoundError):
        TokenStore(tmp_path).revoke(token_id)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"tokens": 1}', b'{"schema_version": 2}', b"\xff"]
)
def test_a_damaged_file_lets_nobody_in_and_is_an_error(tmp_path: Path, content: bytes) -> None:
    store = TokenStore(tmp_path)
    _, text = store.create("admin")
    path = ServeFolder(tmp_path).tokens_path
    path.write_bytes(content)
    assert TokenChecker(tmp_path).scope_of(text.encode()) is None
    with pytest.raises(StateDirectoryError):
        store.all()
    with pytest.raises(StateDirectoryError):
        store.create("read")
    assert path.read_bytes() == content


def test_a_file_that_others_may_change_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, checker = TokenStore(tmp_path), TokenChecker(tmp_path)
    _, text = store.create("admin")
    assert checker.scope_of(text.encode()) == "admin"
    ServeFolder(tmp_path).tokens_path.chmod(0o602)
    assert checker.scope_of(text.encode()) is None
    assert "other users can change it" in caplog.text


def test_the_file_is_small_and_bounded(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    made, _ = store.create("read")
    path = ServeFolder(tmp_path).tokens_path
    document = json.loads(path.read_text())
    document["tokens"] *= 1000
    path.write_text(json.dumps(document))
    with pytest.raises(StateDirectoryError, match="1000 tokens"):
        store.create("read")
    store.revoke(made.id)
    store.create("read")
