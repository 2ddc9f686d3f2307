"""Statistics of numeric columns, as SQL over staged tables: one query for each column.

One column at a time limits the memory: a median needs all numbers of a column.
"""

from __future__ import annotations

from collections.abc import Iterator

from qtforge_builtin_plugins.aggregation.columns import INTEGER, NUMBER, TableColumn
from qtforge_builtin_plugins.aggregation.messages import Statistical
from qtforge_builtin_plugins.aggregation.methods import Query, column_named
from qtforge_builtin_plugins.aggregation.options import names_of
from qtforge_builtin_plugins.aggregation.staging import Staged
from qtforge_builtin_plugins.collectors.files.quoting import literal
from qtforge_sdk.errors import OperationError

__all__ = ["statistics"]

_LARGEST = 1 << 63


def statistics(staged: Staged, how: Statistical) -> Iterator[Query]:
    """Yield the query for each field's statistics, with a row for each group.

    Raises:
        OperationError: ``aggregation.unknown_field`` or ``aggregation.no_numbers``.
    """
    named = names_of(how.group_by)
    groups = [column_named(staged, name, "group_by") for name in named]
    present = [column for column in groups if column is not None]
    fields = names_of(how.fields)
    if fields:
        found = [column_named(staged, name, "fields") for name in fields]
        columns = [column for column in found if column is not None]
    else:
        numeric = (INTEGER, NUMBER, INTEGER | NUMBER)
        columns = [
            column
            for column in staged.columns
            if column.kinds in numeric and column.name not in named
        ]
    if not columns and staged.columns:
        raise OperationError(
            "aggregation.no_numbers",
            "there is nothing to compute",
            "no column has only numbers",
            'name the columns: fields = ["amount"]; other values in them are counted separately',
            retryable=False,
        )
    for column in columns:
        yield _figures(staged, column, present, how)


def _figures(
    staged: Staged, column: TableColumn, groups: list[TableColumn], how: Statistical
) -> Query:
    x = "x"
    number = column.number or "CAST(NULL AS DOUBLE)"
    exact = column.described.type == "integer"
    total = f"sum({x})" if exact else f"fsum({x})"
    mean = f"avg({x})" if exact else f"favg({x})"
    deviation = "stddev_samp" if how.deviation == "sample" else "stddev_pop"
    shares = ", ".join(f"{share!r}" for share in (0.5, *how.quantiles))
    quantiles = "".join(
        f", {literal(f'{share:g}')}, q[{place + 2}]" for place, share in enumerate(how.quantiles)
    )
    by = ", ".join(group.compared for group in groups)
    group = ", ".join(f"{literal(each.name)}, g{place}" for place, each in enumerate(groups))
    # Equal values are the same, except in a column of several types.
    kept = "".join(
        f", {each.sql if each.compared == each.sql else f'arg_min({each.sql}, ord)'} AS g{place}"
        for place, each in enumerate(groups)
    )
    inner = (
        f"SELECT min(ord) AS ord{kept}, count(*) AS n, count({x}) AS numbers,"
        f" count({column.sql}) AS there, {_whole(total) if exact else total} AS total,"
        f" {mean} AS mean, {deviation}({x}) AS deviation, min({x}) AS least, max({x}) AS most,"
        f" quantile_cont(CAST({x} AS DOUBLE), [{shares}]) AS q"
        f" FROM (SELECT *, {number} AS {x} FROM {staged.rows()})"
        + (f" GROUP BY {by}" if by else "")
    )
    values = (
        ("field", literal(column.name)),
        ("group", f"json_object({group})"),
        ("rows", "n"),
        ("count", "numbers"),
        ("nulls", "n - there"),
        ("not_numbers", "there - numbers"),
        ("sum", "total" if exact else _finite("total")),
        ("mean", _finite("mean")),
        ("median", "q[1]"),
        ("standard_deviation", _finite("deviation")),
        ("min", _whole("least") if exact else "least"),
        ("max", _whole("most") if exact else "most"),
        ("quantiles", f"json_object({quantiles.removeprefix(', ')})"),
    )
    return Query(values=values, rest=f"FROM ({inner}) ORDER BY ord", columns=())


def _finite(value: str) -> str:
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def _whole(value: str) -> str:
    """Return a sum as an integer of 64 bits if it fits, or else as a floating point number."""
    fits = f"{value} BETWEEN {-_LARGEST} AND {_LARGEST - 1}"
    return (
        f"CASE WHEN {fits} THEN to_json(CAST({value} AS BIGINT))"
        f" ELSE to_json(CAST({value} AS DOUBLE)) END"
    )
