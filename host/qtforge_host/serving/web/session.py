"""Logins in the browser: a signed cookie that ends with its token, and codes that open one.

A cookie names the hash of a token, and until when it is valid; its signature is made with a random
key that lies beside the tokens. So a login outlives the process, and ends when its token is
revoked. A code is made by who may read that key, is good for one login, and for five minutes.
"""

from __future__ import annotations

import datetime
import getpass
import hmac
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from qtforge_host.serving.login_codes import CODE_S, as_bytes, as_text, code_time_s, signature
from qtforge_host.serving.state_files import ServeFolder
from qtforge_host.serving.tokens import FIRST, Token, TokenChecker
from qtforge_host.serving.web.visit import Notice, Person
from qtforge_sdk.errors import QtForgeError

__all__ = ["LIFETIME_S", "LoginRefusedError", "Sessions"]

LIFETIME_S: Final = 12 * 3600
"""How long a login lasts, in seconds."""

_MOST_CODES: Final = 1000  # that were used lately
_LONGEST: Final = 4096  # characters of a cookie
_AHEAD_S: Final = 5.0  # by which another process's clock may be ahead

T = TypeVar("T")


class LoginRefusedError(QtForgeError):
    """A token or a code that opens no login."""

    code = "http.unauthorized"
    http_status = 401


class _Login(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    until: float


class Sessions:
    """Opens and reads logins.

    Args:
        folder: Holds the key; it is made where there is none.
        tokens: The tokens that logins belong to.
        now: The time, in UTC.
        since: When the process began; codes from before may have been used.

    Raises:
        StateDirectoryError: The key can't be read or written.
    """

    def __init__(
        self,
        folder: ServeFolder,
        tokens: TokenChecker,
        now: Callable[[], datetime.datetime],
        since: datetime.datetime,
    ) -> None:
        self._key = folder.session_key()
        self._tokens = tokens
        self._now = now
        self._since_s = since.timestamp()
        self._used: dict[str, float] = {}
        # A browser sends a cookie to all ports of a host: two state directories need two names.
        self.cookie: Final = f"qtforge-{signature(self._key, b'name', b'').hex()[:8]}"

    def open_with_code(self, code: str) -> str:
        """Return a cookie's value for a code.

        Raises:
            LoginRefusedError: It was used already, is too old, or is none.
        """
        now_s = self._now().timestamp()
        made_s = code_time_s(self._key, code.strip()) or 0.0
        # What was used before this process began is not known any more.
        is_fresh = max(now_s - CODE_S, self._since_s) <= made_s <= now_s + _AHEAD_S
        first = self._tokens.named(FIRST)
        if not is_fresh or code.strip() in self._used or first is None:
            fix = "'qtforge-host ui' makes another one; it is good for five minutes, and once"
            raise LoginRefusedError("the link is used up, or too old", "", fix)
        self._used = {each: at_s for each, at_s in self._used.items() if at_s > now_s - CODE_S}
        if len(self._used) >= _MOST_CODES:
            raise LoginRefusedError("there were too many logins", "", "try again in five minutes")
        self._used[code.strip()] = now_s
        return self._opened(first)

    def open_with_token(self, text: str) -> str:
        """Return a cookie's value for a token.

        Raises:
            LoginRefusedError: It is not valid.
        """
        found = self._tokens.token_of(text.strip().encode("utf-8", "surrogateescape"))
        if found is None:
            fix = "'qtforge-host tokens create' makes one, and 'qtforge-host ui' needs none"
            raise LoginRefusedError("the token is wrong, was revoked, or has expired", "", fix)
        return self._opened(found)

    def person(self, cookie: str) -> Person | None:
        """Return who has logged in; None where the login is over, or there was none."""
        login = self._read(cookie, b"login", _Login)
        if login is None or login.until <= self._now().timestamp():
            return None
        token = self._tokens.with_hash(login.token)
        if token is None:
            return None
        name = _user() if token.id == FIRST else token.name or token.id
        return Person(name=name, scope=token.scope, token=token.sha256)

    def signed_notice(self, notice: Notice) -> str:
        """Return a notice for the next page, as a cookie's value."""
        return self._signed(b"notice", notice)

    def notice(self, cookie: str) -> Notice | None:
        """Return the notice of a cookie; None where this did not make it."""
        return self._read(cookie, b"notice", Notice)

    def _opened(self, token: Token) -> str:
        until = self._now().timestamp() + LIFETIME_S
        return self._signed(b"login", _Login(token=token.sha256, until=until))

    def _signed(self, purpose: bytes, content: msgspec.Struct) -> str:
        encoded = msgspec.json.encode(content)
        return f"{as_text(encoded)}.{as_text(signature(self._key, purpose, encoded))}"

    def _read(self, cookie: str, purpose: bytes, target: type[T]) -> T | None:
        content, _, signed = cookie[:_LONGEST].partition(".")
        encoded = as_bytes(content)
        if not hmac.compare_digest(as_bytes(signed), signature(self._key, purpose, encoded)):
            return None
        try:
            return msgspec.json.decode(encoded, type=target)
        except msgspec.MsgspecError:  # an earlier version's
            return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process without a name, as in some containers
        return "the first token"
