"""Tokens of the HTTP interface: what each may do, and until when.

The first one lies in ``<state>/serve/token``, and may do everything. Of all others only a hash
is kept, in ``<state>/serve/tokens.json``; each of them was chosen at random from 2^256.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec

from qtforge_host.api.errors import NotFoundError
from qtforge_host.serving.state_files import ServeFolder
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.files import exclusive_lock, write_atomically
from qtforge_sdk.validation import decoded

__all__ = ["FIRST", "SCOPES", "Token", "TokenChecker", "TokenScope", "TokenStore", "allows"]

_LOG: Final = logging.getLogger("qtforge.http")
TokenScope = Literal["read", "approve", "operate", "admin"]
SCOPES: Final[tuple[TokenScope, ...]] = get_args(TokenScope)  # each includes those before it
FIRST: Final = "first"  # the id of the one in the file
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 4
_LOCK_S: Final = 10.0
_MOST: Final = 1000


def allows(granted: TokenScope, needed: TokenScope) -> bool:
    """Return whether a scope includes another.

    >>> allows("operate", "approve"), allows("read", "approve")
    (True, False)
    """
    return SCOPES.index(granted) >= SCOPES.index(needed)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored token, without its text.

    Attributes:
        id: Names it; part of the token.
        name: What it is for, as its creator wrote it.
        scope: What it may do.
        sha256: The hash of the whole token, in hexadecimal digits.
        created_at: When it was created, in UTC.
        expires_at: From when on it is refused, in UTC; None for never.
    """

    id: str
    name: str
    scope: TokenScope
    sha256: str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None

    def is_expired(self, now: datetime.datetime) -> bool:
        """Whether it is refused because of its age."""
        return self.expires_at is not None and now >= self.expires_at


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    tokens: list[Token] = []


class TokenStore:
    """The tokens of a state directory, for the commands that change them.

    Args:
        state_dir: The state directory.
        now: The time, in UTC.
    """

    def __init__(self, state_dir: Path, now: Callable[[], datetime.datetime] = _now) -> None:
        self._folder = ServeFolder(state_dir)
        self._path = self._folder.tokens_path
        self._now = now

    def create(
        self, scope: TokenScope, name: str = "", lifetime: datetime.timedelta | None = None
    ) -> tuple[Token, str]:
        """Create a token; the text is shown once, and never kept.

        Args:
            scope: What it may do.
            name: What it is for.
            lifetime: How long it is valid; None for ever.

        Returns:
            What is kept of it, and its text.

        Raises:
            StateDirectoryError: The file can't be read or written, or holds too many.
        """
        now = self._now()
        token_id = secrets.token_hex(_ID_BYTES)
        text = f"qth_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        try:
            expires_at = None if lifetime is None else now + lifetime
        except OverflowError:
            expires_at = None  # beyond the year 9999
        made = Token(
            id=token_id,
            name=name,
            scope=scope,
            sha256=_hash(text.encode()),
            created_at=now,
            expires_at=expires_at,
        )
        with self._changing() as tokens:
            tokens[:] = [each for each in tokens if not each.is_expired(now)]
            if len(tokens) >= _MOST:
                raise StateDirectoryError(
                    str(self._path), f"it has {_MOST} tokens", "revoke those that nobody needs"
                )
            tokens.append(made)
        return made, text

    def all(self) -> list[Token]:
        """Return the tokens that were created, the oldest first, also those that have expired.

        Raises:
            StateDirectoryError: The file can't be read.
        """
        return read_tokens(self._path)

    @property
    def has_first(self) -> bool:
        """Whether the token of ``serve/token`` exists."""
        return self._folder.token_path.exists()

    def revoke(self, token_id: str) -> None:
        """Revoke a token at once.

        In place of the first one the next start of ``serve`` makes another.

        Raises:
            NotFoundError: There is no such token.
            StateDirectoryError: The file can't be read or written.
        """
        if token_id == FIRST:
            try:
                self._folder.token_path.unlink()
            except FileNotFoundError:
                raise _no_token(token_id) from None
            except OSError as error:
                raise StateDirectoryError(str(self._folder.token_path), str(error)) from error
            return
        if all(each.id != token_id for each in self.all()):
            raise _no_token(token_id)
        with self._changing() as tokens:
            tokens[:] = [each for each in tokens if each.id != token_id]

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        try:
            with exclusive_lock(self._path, _LOCK_S):
                tokens = self.all()
                yield tokens
                # Beneath it is mkstemp, which makes files that only their owner can read.
                write_atomically(self._path, msgspec.json.encode(_File(tokens=tokens)))
        except OSError as error:
            raise StateDirectoryError(str(self._path), str(error)) from error


class TokenChecker:
    """The tokens of a state directory, for the process that serves: each change is noticed at once.

    Args:
        state_dir: The state directory.
        now: The time, in UTC.
    """

    def __init__(self, state_dir: Path, now: Callable[[], datetime.datetime] = _now) -> None:
        self._folder = ServeFolder(state_dir)
        self._now = now
        self._seen: tuple[object, object] | None = None
        self._by_hash: dict[str, Token] = {}

    def scope_of(self, text: bytes) -> TokenScope | None:
        """Return what a token may do; None when it is not valid."""
        found = self.token_of(text)
        return None if found is None else found.scope

    def token_of(self, text: bytes) -> Token | None:
        """Return the token with a text; None when it is not valid."""
        # Looked up by the hash: how long that takes says nothing about the token.
        return self.with_hash(_hash(text))

    def with_hash(self, sha256: str) -> Token | None:
        """Return the token with a hash, in hexadecimal digits; None when it is not valid."""
        found = self._current().get(sha256)
        return None if found is None or found.is_expired(self._now()) else found

    def named(self, token_id: str) -> Token | None:
        """Return the token with an id; None when it is not valid."""
        found = (each for each in self._current().values() if each.id == token_id)
        return next((each for each in found if not each.is_expired(self._now())), None)

    def _current(self) -> Mapping[str, Token]:
        seen = _fingerprint(self._folder.token_path), _fingerprint(self._folder.tokens_path)
        if seen != self._seen:
            self._seen = seen
            self._read()
        return self._by_hash

    def _read(self) -> None:
        by_hash: dict[str, Token] = {}
        try:
            by_hash.update({each.sha256: each for each in read_tokens(self._folder.tokens_path)})
        except StateDirectoryError as error:
            _LOG.error("no token of %s is valid: %s", self._folder.tokens_path, error.why)
        try:
            if (first := self._folder.read_token()) is not None:
                made = _first_token(_hash(first.encode()))
                by_hash[made.sha256] = made
        except StateDirectoryError as error:
            _LOG.error("the token in %s is not valid: %s", self._folder.token_path, error.why)
        self._by_hash = by_hash


def read_tokens(path: Path) -> list[Token]:
    """Return the tokens of a file; none where there is no file.

    Raises:
        StateDirectoryError: It can't be read, is damaged, or others may change it.
    """
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StateDirectoryError(
                str(path), "other users can change it", f"chmod 600 {path}, and look at what it has"
            )
        return decoded(msgspec.json.Decoder(_File).decode, path.read_bytes()).tokens
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateDirectoryError(str(path), str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        fix = "remove it, which revokes all tokens but the first, and create them again"
        raise StateDirectoryError(str(path), f"it is damaged: {error}", fix) from error


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _first_token(sha256: str) -> Token:
    return Token(
        id=FIRST,
        name="serve/token",
        scope="admin",
        sha256=sha256,
        created_at=datetime.datetime.min.replace(tzinfo=datetime.UTC),
        expires_at=None,
    )


def _fingerprint(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def _no_token(token_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no token '{token_id}'", "", "qtforge-host tokens list shows them"
    )
