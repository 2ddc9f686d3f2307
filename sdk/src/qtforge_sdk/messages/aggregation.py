"""Making one result of the rows of many sources; the topic is ``rows.aggregate``.

The methods are the original's (QtForge's DataAggregationOrchestrator): merge, union,
intersect, statistical.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from qtforge_sdk.messages.collection import Dataset

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
        dataset: The file that they are in, or None.
        count: How many.
    """

    name: str
    rows: list[dict[str, Any]] | None = None
    dataset: Dataset | None = None
    count: int = 0


class Merge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each source's rows under its name; or, with a key, one row for each key.

    Attributes:
        key: The column, or the columns, that say which rows belong together.
        conflict: What a column holds where rows of one key have different values, null not
            counted: the ``first``'s, the ``last``'s, a ``list`` of them (for every column, in
            order, each value once), or it is an ``error``.
        prefer: Sources that come before all others, by name.
        format: What a large result is written as.
    """

    method: ClassVar[str] = "merge"
    key: Names = ()
    conflict: Literal["first", "last", "list", "error"] = "first"
    prefer: tuple[str, ...] = ()
    format: Literal["jsonl", "parquet"] = "jsonl"


class Union(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of all sources, in order.

    Attributes:
        distinct: Only the first of several rows that are the same.
        key: Rows with the same values here are the same; without it, those that are equal
            in every column. A row with null in its key is the same as no other.
        source_column: A column of this name says where each row is from.
        format: What a large result is written as.
    """

    method: ClassVar[str] = "union"
    distinct: bool = False
    key: Names = ()
    source_column: str | None = None
    format: Literal["jsonl", "parquet"] = "jsonl"


class Intersect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows that are in all sources: each once, as the first source has it.

    Attributes:
        key: Rows with the same values here are the same; without it, those that are equal
            in every column. A row with null in its key is in no other source.
        format: What a large result is written as.
    """

    method: ClassVar[str] = "intersect"
    key: Names = ()
    format: Literal["jsonl", "parquet"] = "jsonl"


class Statistical(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of numeric columns, over all rows of all sources.

    Attributes:
        fields: The columns; none means every column whose values are all numbers.
        group_by: Figures for each of the values here; null is a value.
        quantiles: Shares from 0 to 1, interpolated between neighbours.
        deviation: Whether the standard deviation is a ``sample``'s (divided by n - 1; null
            for a single number) or a ``population``'s (by n).
    """

    method: ClassVar[str] = "statistical"
    fields: Names = ()
    group_by: Names = ()
    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    deviation: Literal["sample", "population"] = "sample"


Aggregation = Merge | Union | Intersect | Statistical


class AggregateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Make one result of many sources.

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
        name: As in the rows.
        type: ``number`` where integers and others are mixed; ``mixed`` is anything else that
            is not of one type, lists and mappings among it; ``null`` has no values.
    """

    name: str
    type: Literal["boolean", "integer", "number", "text", "mixed", "null"]


class Aggregated(msgspec.Struct, frozen=True, kw_only=True):
    """The one result.

    Attributes:
        method: Which one made it.
        rows: All rows when there are few, else the first 100. Every row has every column.
            Of ``statistical``: ``field``, ``group`` (a mapping), ``rows``, ``count``,
            ``nulls``, ``not_numbers``, ``sum``, ``mean``, ``median``,
            ``standard_deviation``, ``min``, ``max``, ``quantiles`` (by their share as text).
        complete: Whether these are all rows.
        dataset: The file with all of them, when there are many.
        count: How many there are.
        columns: In the order of the rows; none for ``statistical``.
        by_source: Of ``merge`` without a key: each source's rows, by name; else None.
        sources: How many rows each source had, by name.
        details: ``conflicts``: for how many keys the rows did not agree, by column;
            ``without_key``: how many rows have null in their key.
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
