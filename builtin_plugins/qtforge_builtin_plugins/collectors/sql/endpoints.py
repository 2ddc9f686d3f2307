"""Convert the endpoint of a source to SQLAlchemy's URL."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import Secrets

__all__ = ["endpoint_url"]

_WHOLE_SECRET: Final = re.compile(r"\s*\$\{\s*secret\.\w+\s*\}\s*")
_FIX: Final = "write it as postgresql://user@host/database, or as the path of a SQLite file"


def endpoint_url(
    endpoint: str, database: str | None, named: Mapping[str, str], secrets: Secrets
) -> URL:
    """Return the URL of a source's database, with its secrets revealed.

    Args:
        endpoint: A URL, a path of a SQLite file, or "".
        database: The parameter ``database``: if the endpoint is "", a name from the
            configuration, a URL or a path; else the database's name if the endpoint has none.
        named: The configuration's databases by name.
        secrets: Reveals secrets, and encodes them for the URL.

    Raises:
        OperationError: ``database.invalid_endpoint``.
    """
    if not endpoint:
        if not database:
            fix = f"{_FIX}, or name one from the configuration in parameters.database"
            raise _invalid("the source has neither an endpoint nor parameters.database", fix)
        endpoint, database = named.get(database, database), None
    elif endpoint in named:
        endpoint = named[endpoint]
    if _WHOLE_SECRET.fullmatch(endpoint):
        endpoint = secrets.reveal(endpoint)
    if "://" not in endpoint:
        return URL.create("sqlite", database=secrets.reveal(endpoint))
    url = _parsed(secrets.reveal(endpoint, encode=lambda each: urllib.parse.quote(each, safe="")))
    if url.password is not None:
        secrets.hide(str(url.password))
    if database is None or url.database == database:
        return url
    if url.database:
        why = f"the endpoint names '{url.database}' and parameters.database '{database}'"
        raise _invalid(why, "remove one of them")
    return url.set(database=secrets.reveal(database))


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # Not chained: the library's text contains the URL with its password.
        raise _invalid("it is not a database's URL", _FIX) from None


def _invalid(why: str, fix: str) -> OperationError:
    what = "the source's endpoint can't be used"
    return OperationError("database.invalid_endpoint", what, why, fix, retryable=False)
