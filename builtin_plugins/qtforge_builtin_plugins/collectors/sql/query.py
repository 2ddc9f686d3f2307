"""`Query`: a statement that only reads, with its bound values; and the errors about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a database is asked.

    Attributes:
        statement: With its placeholders ``:name``.
        bind: A value for each; a list for ``in :name``.
        limit: How many rows to take at most.
        deadline: When the rows are due, on `time.monotonic`'s scale; None for no deadline.
        deadline_is_own: Whether the statement's own timeout ends there, not the request.
        has_secrets: Whether secrets are among the values, and so may be among the rows.
    """

    statement: TextClause
    bind: dict[str, Any]
    limit: int
    deadline: float | None
    deadline_is_own: bool
    has_secrets: bool


def checked_statement(query: str, bind: Mapping[str, Any]) -> TextClause:
    """Return a statement of which each placeholder has a value, and each value one.

    Raises:
        OperationError: ``database.read_only`` or ``database.invalid_parameters``.
    """
    if not query.strip():
        raise invalid_parameter("database", "query: it is empty", "write a SELECT")
    if not _READS.match(query):
        first = _FIRST_WORD.match(query)
        word = first[1].upper() if first else ""
        raise read_only_error(f"it begins with {word or query.strip()[:1]}")
    statement = text(query)
    wanted = set(statement.compile().params)
    for name in sorted(wanted - set(bind)):
        fix = f"add {name} to bind, or write \\:{name} where no placeholder is meant"
        raise invalid_parameter("database", f"bind: nothing is given for :{name}", fix)
    for name in sorted(set(bind) - wanted):
        fix = f"use it as :{name}, or leave it out"
        raise invalid_parameter("database", f"bind.{name}: the query has no :{name}", fix)
    for name, value in bind.items():
        if isinstance(value, dict):
            fix = "give text, a number, true, false, null, or a list of these"
            raise invalid_parameter("database", f"bind.{name}: it is a table", fix)
    lists = [name for name, value in bind.items() if isinstance(value, list)]
    return statement.bindparams(*(bindparam(name, expanding=True) for name in lists))


def read_only_error(why: str) -> OperationError:
    """Return the error of a statement that is not a query."""
    return OperationError(
        "database.read_only",
        "the query would do more than read",
        why,
        "ask with SELECT, WITH, VALUES or TABLE; sources never write",
        retryable=False,
    )


def several_statements_error() -> OperationError:
    """Return the error of a query that is more than one statement."""
    return OperationError(
        "database.several_statements",
        "the query is more than one statement",
        "",
        "leave one, and make a source of each",
        retryable=False,
    )


def timeout_error(query: Query, why: str) -> OperationError:
    """Return the error of a query whose time was over."""
    fix = "let it read less, or give the source more time"
    if query.deadline_is_own:
        fix = "let it read less, or raise statement_timeout"
    return OperationError("database.timeout", "the query took too long", why, fix)
