"""Logins of the pages: a cookie that ends with its token, and codes that are good for one."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from qtforge_host.serving.login_codes import CODE_S
from qtforge_host.serving.login_codes import login_code as code_of
from qtforge_host.serving.state_files import ServeFolder
from qtforge_host.serving.tokens import FIRST, TokenChecker, TokenStore
from qtforge_host.serving.web.session import LIFETIME_S, LoginRefusedError, Sessions
from qtforge_host.serving.web.visit import Notice
from qtforge_sdk.errors import StateDirectoryError

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime.datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> ServeFolder:
    made = ServeFolder(tmp_path)
    made.make_token()
    return made


@pytest.fixture
def sessions(folder: ServeFolder, clock: Clock) -> Sessions:
    return Sessions(folder, TokenChecker(folder.state_dir, clock), clock, clock())


def test_a_login_has_the_name_and_the_scope_of_its_token(
    sessions: Sessions, folder: ServeFolder, clock: Clock
) -> None:
    _, text = TokenStore(folder.state_dir, clock).create("approve", "Anna")
    person = sessions.person(sessions.open_with_token(f" {text}\n"))
    assert person is not None
    assert (person.name, person.scope) == ("Anna", "approve")
    assert person.may("read")
    assert not person.may("operate")


def test_a_login_ends_with_its_token(sessions: Sessions, folder: ServeFolder, clock: Clock) -> None:
    store = TokenStore(folder.state_dir, clock)
    made, text = store.create("read", "Anna")
    cookie = sessions.open_with_token(text)
    store.revoke(made.id)
    assert sessions.person(cookie) is None
    _, short = store.create("read", "Ben", datetime.timedelta(hours=1))
    cookie = sessions.open_with_token(short)
    clock.later(3601)
    assert sessions.person(cookie) is None


def test_a_login_ends_by_itself_and_outlives_the_process(
    sessions: Sessions, folder: ServeFolder, clock: Clock
) -> None:
    cookie = sessions.open_with_code(code_of(folder.session_key(), clock()))
    clock.later(LIFETIME_S - 1)
    after = Sessions(folder, TokenChecker(folder.state_dir, clock), clock, clock())
    assert after.cookie == sessions.cookie
    assert after.person(cookie) is not None
    clock.later(2)
    assert after.person(cookie) is None


def test_another_state_directory_has_another_cookie(
    sessions: Sessions, tmp_path: Path, clock: Clock
) -> None:
    other = ServeFolder(tmp_path / "other")
    other.make_token()
    there = Sessions(other, TokenChecker(other.state_dir, clock), clock, clock())
    assert there.cookie != sessions.cookie
    cookie = there.open_with_code(code_of(other.session_key(), clock()))
    assert sessions.person(cookie) is None


def test_a_code_is_good_for_one_login(
    sessions: Sessions, folder: ServeFolder, clock: Clock
) -> None:
    code = code_of(folder.session_key(), clock())
    assert sessions.person(sessions.open_with_code(code)) is not None
    with pytest.raises(LoginRefusedError, match="used up"):
        sessions.open_with_code(code)


@pytest.mark.parametrize("age_s", [-60.0, CODE_S + 1.0])
def test_a_code_of_another_time_is_refused(
    age_s: float, sessions: Sessions, folder: ServeFolder, clock: Clock
) -> None:
    clock.later(2 * CODE_S)
    code = code_of(folder.session_key(), clock() - datetime.timedelta(seconds=age_s))
    with pytest.raises(LoginRefusedError):
        sessions.open_with_code(code)


def test_a_code_from_before_the_process_is_refused_since_it_may_have_been_used(
    folder: ServeFolder, clock: Clock
) -> None:
    code = code_of(folder.session_key(), clock())
    clock.later(1)
    with pytest.raises(LoginRefusedError):
        Sessions(folder, TokenChecker(folder.state_dir, clock), clock, clock()).open_with_code(code)


def test_a_code_opens_nothing_when_the_first_token_was_revoked(
    sessions: Sessions, folder: ServeFolder, clock: Clock
) -> None:
    TokenStore(folder.state_dir, clock).revoke(FIRST)
    with pytest.raises(LoginRefusedError):
        sessions.open_with_code(code_of(folder.session_key(), clock()))


@pytest.mark.parametrize("text", ["", ".", "a.b", "é.ü", "x" * 10_000, "e30.e30", "=.="])
def test_what_was_not_signed_here_is_no_login_no_code_and_no_notice(
    text: str, sessions: Sessions
) -> None:
    assert sessions.person(text) is None
    assert sessions.notice(text) is None
    with pytest.raises(LoginRefusedError):
        sessions.open_with_code(text)
    with pytest.raises(LoginRefusedError):
        sessions.open_with_token(text)


def test_a_signature_counts_for_its_purpose_alone(sessions: Sessions, folder: ServeFolder) -> None:
    notice = sessions.signed_notice(Notice(text="Done."))
    assert sessions.notice(notice) == Notice(text="Done.")
    assert sessions.person(notice) is None
    assert sessions.notice(notice[:-2] + "AA") is None


def test_the_key_is_its_owners_alone(folder: ServeFolder) -> None:
    folder.session_key()
    path = folder.token_path.with_name("session-key")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(StateDirectoryError, match="other users"):
        folder.session_key()
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(StateDirectoryError, match="damaged"):
        folder.session_key()
