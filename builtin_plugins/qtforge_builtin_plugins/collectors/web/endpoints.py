"""A source's URL: with its secrets for the request, and without them for display."""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

from qtforge_sdk.secrets import Secrets

__all__ = ["label_of", "revealed"]

_PLACEHOLDER: Final = "${"
_TOKEN_LENGTH: Final = 8  # a shorter part of a path is a word such as `v1`, not a token


def label_of(endpoint: str) -> str:
    """Return a source's name in messages: its URL without user, password and query.

    >>> label_of("https://user:${secret.PG}@example.org/rows?token=1")
    'https://example.org/rows'
    """
    place = re.split(r"[?#]", endpoint.strip(), maxsplit=1)[0]
    scheme, separator, rest = place.partition("://")
    if not separator:
        return place
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def revealed(endpoint: str, secrets: Secrets) -> str:
    """Return the URL with its secrets revealed.

    A secret within a URL is percent-encoded, so that a password may contain any character. A
    secret at the start of the URL is a URL itself and is not encoded; its password, its query
    and the long parts of its path are secrets as well.

    Raises:
        OperationError: ``secret.missing``.
    """
    endpoint = endpoint.strip()
    if not endpoint.startswith(_PLACEHOLDER):
        return str(secrets.reveal(endpoint, encode=lambda each: urllib.parse.quote(each, safe="")))
    url = str(secrets.reveal(endpoint)).strip()
    for part in _secret_parts(url):
        secrets.hide(part)
    return url


def _secret_parts(url: str) -> set[str]:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:  # not a URL, which the request will report
        return set()
    user = parts.netloc.rpartition("@")[0]
    found = {user, *user.split(":"), parts.query}
    found |= {value for _, value in urllib.parse.parse_qsl(parts.query)}
    found |= {each for each in parts.path.split("/") if len(each) >= _TOKEN_LENGTH}
    return {form for each in found if each for form in (each, urllib.parse.unquote(each))}
