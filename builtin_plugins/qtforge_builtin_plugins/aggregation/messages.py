"""Messages of ``rows.aggregate``, which makes one result of the rows of many sources.

The methods are the original's (QtForge's DataAggregationOrchestrator): merge, union,
intersect, statistical.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from qtforge_sdk.messages import Dataset, SourceWarning

__all__ = [
    "AggregateRequest",
    "Aggregated",
    "Aggregation",
    "Column",
    "Intersect",
    "Merge",
    "SourceRows",
    "Statistical",
    "Union",
]

Names = str | tuple[str, ...]
"""A column, or several."""


class SourceRows(msgspec.Struct, frozen=True, kw_only=True):
    """A source's rows, in one of two forms.

    Attributes:
        name: The source's name, unique in a request.
        rows: The rows themselves, or None.
        dataset: The file with the rows, or None.
        count: The number of rows.
        warnings: What its collector warned of.
    """

    name: str
    rows: list[dict[str, Any]] | None = None
    dataset: Dataset | None = None
    count: int = 0
    warnings: tuple[SourceWarning, ...] = ()


class Merge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each source's rows under its name; or, with a key, one row for each key.

    Attributes:
        key: The column or columns whose values identify the rows that belong together.
        conflict: The value of a column where rows of one key have different values, null not
            counted: the ``first``, the ``last``, a ``list`` of them (for every column, in
            order, each value once), or an ``error``.
        prefer: The names of sources that come before all others.
        format: The format of a large result.
    """

    method: ClassVar[str] = "merge"
    key: Names = ()
    conflict: Literal["first", "last", "list", "error"] = "first"
    prefer: tuple[str, ...] = ()
    format: Literal["jsonl", "parquet"] = "jsonl"


class Union(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of all sources, in order.

    Attributes:
        distinct: Whether to keep only the first of equal rows.
        key: Rows with equal values in these columns are equal; without a key, rows that are
            equal in every column. A row with null in its key equals no other.
        source_column: The name of an added column with each row's source, or None.
        format: The format of a large result.
    """

    method: ClassVar[str] = "union"
    distinct: bool = False
    key: Names = ()
    source_column: str | None = None
    format: Literal["jsonl", "parquet"] = "jsonl"


class Intersect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows that are in all sources, each once and with the first source's values.

    Attributes:
        key: Rows with equal values in these columns are equal; without a key, rows that are
            equal in every column. A row with null in its key is in no other source.
        format: The format of a large result.
    """

    method: ClassVar[str] = "intersect"
    key: Names = ()
    format: Literal["jsonl", "parquet"] = "jsonl"


class Statistical(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of numeric columns, over all rows of all sources.

    Attributes:
        fields: The columns; by default every column whose values are all numbers.
        group_by: The columns by whose values the rows are grouped; null is a value.
        quantiles: Shares from 0 to 1, interpolated between neighbours.
        deviation: Whether the standard deviation is a ``sample``'s (divided by n - 1; null
            for a single number) or a ``population``'s (divided by n).
    """

    method: ClassVar[str] = "statistical"
    fields: Names = ()
    group_by: Names = ()
    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    deviation: Literal["sample", "population"] = "sample"


Aggregation = Merge | Union | Intersect | Statistical


class AggregateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request one result of many sources.

    Attributes:
        sources: With different names, in order.
        aggregation: ``method`` and that method's options, the fields of `Merge`, `Union`,
            `Intersect` or `Statistical`.
    """

    sources: list[SourceRows]
    aggregation: dict[str, Any]


class Column(msgspec.Struct, frozen=True):
    """A column of a result.

    Attributes:
        name: The key in the rows.
        type: ``number`` for integers and other numbers mixed; ``mixed`` for any other mix of
            types, and for lists and mappings; ``null`` for a column without values.
    """

    name: str
    type: Literal["boolean", "integer", "number", "text", "mixed", "null"]


class Aggregated(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an aggregation.

    Attributes:
        method: The method that made it.
        rows: All rows when there are few, else the first 100. Every row has every column.
            The rows of ``statistical`` have ``field``, ``group`` (a mapping), ``rows``,
            ``count``, ``nulls``, ``not_numbers``, ``sum``, ``mean``, ``median``,
            ``standard_deviation``, ``min``, ``max``, ``quantiles`` (by their share as text).
        complete: Whether ``rows`` has all rows.
        dataset: The file with all rows, when there are many.
        count: The number of all rows.
        columns: In the order of the rows; none for ``statistical``.
        by_source: For ``merge`` without a key, each source's rows by name; else None.
        sources: The number of rows of each source, by name.
        details: ``conflicts``: the number of keys whose rows differ, by column;
            ``without_key``: the number of rows with null in their key.
        warnings: The warnings of all sources, each with its source's name.
    """

    method: str
    rows: list[dict[str, Any]] = []
    complete: bool = True
    dataset: Dataset | None = None
    count: int
    columns: list[Column] = []
    by_source: dict[str, SourceRows] | None = None
    sources: dict[str, int] = {}
    details: dict[str, Any] = {}
    warnings: tuple[SourceWarning, ...] = ()
