"""A statement that only reads, with its bound values, and its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import TextClause, bindparam, text

from qtforge_builtin_plugins.collectors.parameters import invalid_parameter
from qtforge_sdk.errors import OperationError

__all__ = [
    "Query",
    "checked_statement",
    "read_only_error",
    "several_statements_error",
    "timeout_error",
]

_SPACE_AND_COMMENTS: Final = r"(?>\s|--[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/|\()*+"
_READS: Final = re.compile(rf"{_SPACE_AND_COMMENTS}(?:select|with|values|table)\b", re.IGNORECASE)
_FIRST_WORD: Final = re.compile(rf"{_SPACE_AND_COMMENTS}(\w*)")

# `:day::date`: SQLAlchemy takes a name before a colon for no placeholder.
_CAST: Final = re.compile(
    r"""
    ( '(?:[^']|'')*+' | "(?:[^"]|"")*+"                     # texts and names
    | --[^\n]* | /\*(?:[^*]|\*(?!/))*+\*/                   # comments
    | (?P<dollars>\$(?:[^\W\d]\w*)?\$).*?(?P=dollars) )       # texts between $$
    | (?<![:\w\\]) : (?P<name>\w+) (?=::)
    """,
    re.VERBOSE | re.DOTALL,
)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query for a database.

    Attributes:
        statement: The statement with its placeholders ``:name``.
        bind: A value for each placeholder; a list for ``in :name``.
        limit: The most rows to take.
        deadline: When the rows are due, in `time.monotonic` seconds, or None.
        deadline_is_own: Whether the deadline is the statement's own timeout, not the request's.
        has_secrets: Whether secrets are among the values, and so may be in the rows.
    """

    statement: TextClause
    bind: dict[str, Any]
    limit: int
    deadline: float | None
    deadline_is_own: bool
    has_secrets: bool


def checked_statement(query: str, bind: Mapping[str, Any]) -> TextClause:
    """Return a statement in which placeholders and values match one to one.

    Raises:
        OperationError: ``database.read_only`` or ``database.invalid_parameters``.
    """
    if not query.strip():
        raise invalid_parameter("database", "query: it is empty", "write a SELECT")
    if not _READS.match(query):
        first = _FIRST_WORD.match(query)
        word = first[1].upper() if first else ""
        raise read_only_error(f"it begins with {word or query.strip()[:1]}")
    statement = text(_CAST.sub(lambda it: f"(:{it['name']})" if it["name"] else it[0], query))
    wanted = set(statement.compile().params)
    for name in sorted(wanted - set(bind)):
        fix = f"add {name} to bind, or write \\:{name} if it is no placeholder"
        raise invalid_parameter("database", f"bind: there is no value for :{name}", fix)
    for name in sorted(set(bind) - wanted):
        fix = f"use it as :{name}, or remove it"
        raise invalid_parameter("database", f"bind.{name}: the query has no :{name}", fix)
    for name, value in bind.items():
        if isinstance(value, dict):
            fix = "use text, a number, true, false, null, or a list of these"
            raise invalid_parameter("database", f"bind.{name}: it is a table", fix)
    lists = [name for name, value in bind.items() if isinstance(value, list)]
    return statement.bindparams(*(bindparam(name, expanding=True) for name in lists))


def read_only_error(why: str) -> OperationError:
    """Return the error of a statement that does more than read."""
    return OperationError(
        "database.read_only",
        "the query would do more than read",
        why,
        "use SELECT, WITH, VALUES or TABLE; sources never write",
        retryable=False,
    )


def several_statements_error() -> OperationError:
    """Return the error of a query with several statements."""
    return OperationError(
        "database.several_statements",
        "the query has more than one statement",
        "",
        "make a source of each statement",
        retryable=False,
    )


def timeout_error(query: Query, why: str) -> OperationError:
    """Return the error of a query that exceeded its deadline."""
    fix = "read less, or raise the source's timeout"
    if query.deadline_is_own:
        fix = "read less, or raise statement_timeout"
    return OperationError("database.timeout", "the query took too long", why, fix)
