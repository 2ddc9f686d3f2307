"""Union, intersect and merge as SQL over staged tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import msgspec

from qtforge_builtin_plugins.aggregation.columns import TableColumn
from qtforge_builtin_plugins.aggregation.messages import (
    Column,
    Intersect,
    Merge,
    Union,
)
from qtforge_builtin_plugins.aggregation.options import names_of
from qtforge_builtin_plugins.aggregation.staging import Staged
from qtforge_sdk.errors import OperationError
from qtforge_sdk.validation import did_you_mean

__all__ = ["Query", "column_named", "intersect", "merge", "union", "without_key"]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The query for a result.

    Attributes:
        values: The name and the SQL of each column.
        rest: The SQL from ``FROM`` to the end.
        columns: The columns in the result's description.
    """

    values: tuple[tuple[str, str], ...]
    rest: str
    columns: tuple[Column, ...]


def union(staged: Staged, how: Union) -> Query:
    """Return the rows of all sources, or only the first of equal rows."""
    values = [(column.name, column.sql) for column in staged.columns]
    described = [column.described for column in staged.columns]
    if how.source_column is not None:
        if how.source_column in dict(values):
            what = f"the rows have a column '{how.source_column}' already"
            fix = "choose another name for source_column"
            raise OperationError("aggregation.column_taken", what, "", fix, retryable=False)
        values.insert(0, (how.source_column, "getvariable('sources')[src + 1]"))
        described.insert(0, Column(how.source_column, "text"))
    rest = f"FROM {staged.rows()}"
    if how.distinct:
        keys, alone = _keys(staged, how.key)
        groups = ", ".join([*keys, alone]) or "1"
        places = f"SELECT min(ord) FROM {staged.rows()} GROUP BY {groups}"
        rest += f" WHERE ord IN ({places}) ORDER BY ord"
    # Without a condition the rows come in order: UNION ALL and COPY keep it.
    return Query(values=tuple(values), rest=rest, columns=tuple(described))


def intersect(staged: Staged, how: Intersect) -> Query:
    """Return the first source's rows that every other has too."""
    keys, alone = _keys(staged, how.key)
    groups = ", ".join(keys)
    each = (
        f"SELECT {_aliased(keys)}src, min(ord) AS ord FROM {staged.rows()} "
        f"WHERE {alone} IS NULL GROUP BY {', '.join([*keys, 'src'])}"
    )
    by_key = f"GROUP BY {', '.join(f'k{place}' for place in range(len(keys)))}" if groups else ""
    places = f"SELECT min(ord) FROM ({each}) {by_key} HAVING count(*) = {len(staged.names)}"
    return Query(
        values=tuple((column.name, column.sql) for column in staged.columns),
        rest=f"FROM {staged.rows()} WHERE ord IN ({places}) ORDER BY ord",
        columns=tuple(column.described for column in staged.columns),
    )


def merge(
    staged: Staged, how: Merge, connection: duckdb.DuckDBPyConnection
) -> tuple[Query, dict[str, int]]:
    """Return one row for each key, and for how many keys a column's values did not agree.

    Raises:
        OperationError: ``aggregation.conflict``, where that is how to take it.
    """
    unknown = [name for name in how.prefer if name not in staged.names]
    if unknown:
        fix = did_you_mean(unknown[0], staged.names)
        what = f"prefer names '{unknown[0]}', which is no source"
        raise OperationError("aggregation.invalid", what, "", fix, retryable=False)
    rank = {name: place for place, name in enumerate(how.prefer)}
    order = sorted(range(len(staged.names)), key=lambda one: rank.get(staged.names[one], len(rank)))
    keys, alone = _keys(staged, how.key)
    rest = f"FROM {staged.rows(order)} GROUP BY {', '.join([*keys, alone])}"
    names = names_of(how.key)
    others = [column for column in staged.columns if column.name not in names]
    conflicts = _conflicts(connection, rest, staged, others, how)
    value = _picker(how)
    values = tuple(
        (column.name, f"arg_min({column.sql}, ord)" if column.name in names else value(column))
        for column in staged.columns
    )
    described = [
        Column(column.name, "mixed")
        if how.conflict == "list" and column.name not in names
        else column.described
        for column in staged.columns
    ]
    query = Query(values=values, rest=f"{rest} ORDER BY min(ord)", columns=tuple(described))
    return query, conflicts


def without_key(
    staged: Staged, key: str | tuple[str, ...], connection: duckdb.DuckDBPyConnection
) -> int:
    """Return how many rows have null in their key."""
    if not staged.columns:
        return 0
    _, alone = _keys(staged, key)
    query = f"SELECT count({alone}) FROM {staged.rows()}"
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def column_named(staged: Staged, name: str, option: str) -> TableColumn | None:
    """Return a column; None when there are no rows that could have it.

    Raises:
        OperationError: ``aggregation.unknown_field``.
    """
    for column in staged.columns:
        if column.name == name:
            return column
    if not staged.columns:
        return None
    raise OperationError(
        "aggregation.unknown_field",
        f"{option}: no row has a column '{name}'",
        "",
        did_you_mean(name, [column.name for column in staged.columns]),
        retryable=False,
    )


def _keys(staged: Staged, key: str | tuple[str, ...]) -> tuple[list[str], str]:
    """Return the SQL of each part of a key, and of a value that is unique for a row without key."""
    names = names_of(key)
    if not names:
        return [column.compared for column in staged.columns], "NULL"
    found = [column_named(staged, name, "key") for name in names]
    columns = [column for column in found if column is not None]
    missing = " OR ".join(f"{column.sql} IS NULL" for column in columns) or "true"
    alone = f"CASE WHEN {missing} THEN ord END"
    return [column.compared for column in columns], alone


def _aliased(keys: Sequence[str]) -> str:
    return "".join(f"{key} AS k{place}, " for place, key in enumerate(keys))


def _picker(how: Merge) -> Callable[[TableColumn], str]:
    if how.conflict == "last":
        return lambda column: f"arg_max({column.sql}, ord)"
    if how.conflict == "list":
        return lambda column: (
            f"list_filter(coalesce(list({column.sql} ORDER BY ord)"
            f" FILTER (WHERE {column.sql} IS NOT NULL), []),"
            f" lambda x, i: list_position(coalesce(list({column.sql} ORDER BY ord)"
            f" FILTER (WHERE {column.sql} IS NOT NULL), []), x) = i)"
        )
    return lambda column: f"arg_min({column.sql}, ord)"


def _conflicts(
    connection: duckdb.DuckDBPyConnection,
    rest: str,
    staged: Staged,
    others: Sequence[TableColumn],
    how: Merge,
) -> dict[str, int]:
    """Return the number of keys with different values, by column, without zeros."""
    if not others or how.conflict == "list":
        return {}
    differ = ", ".join(
        f"min({column.compared}) <> max({column.compared}) AS d{column.place}" for column in others
    )
    counts = ", ".join(f"count_if(d{column.place})" for column in others)
    row: Any = connection.execute(f"SELECT {counts} FROM (SELECT {differ} {rest})").fetchone()
    found = {column.name: int(count) for column, count in zip(others, row, strict=True) if count}
    if found and how.conflict == "error":
        column = next(column for column in others if column.name in found)
        keys = [staged_column for staged_column in staged.columns if staged_column not in others]
        shown = ", ".join(f"CAST(arg_min({key.sql}, ord) AS VARCHAR)" for key in keys)
        example: Any = connection.execute(
            f"SELECT {shown} {rest} HAVING min({column.compared}) <> max({column.compared})"
            " ORDER BY min(ord) LIMIT 1"
        ).fetchone()
        where = ", ".join(f"{key.name} = {value}" for key, value in zip(keys, example, strict=True))
        raise OperationError(
            "aggregation.conflict",
            f"the sources have different values of '{column.name}'",
            f"{found[column.name]} keys have different values, such as {where[:200]}",
            'use the first, the last or a list: conflict = "first"',
            retryable=False,
        )
    return found
