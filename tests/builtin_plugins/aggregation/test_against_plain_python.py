"""Every method gives what a few lines of plain Python give, for rows of every shape."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtforge_builtin_plugins.aggregation.computing import Computation
from qtforge_builtin_plugins.aggregation.messages import Aggregated, SourceRows
from qtforge_builtin_plugins.aggregation.options import read_aggregation

Rows = list[dict[str, Any]]

NAMES = ["id", "ID", "select", 'a"b', "it's", "größe/~1", "", "c0", "ord", "$1", "a.b", "x]", "src"]
INTEGERS = st.one_of(st.integers(0, 3), st.sampled_from([-(2**63), 2**63 - 1, 2**64 - 1]))
NUMBERS = st.one_of(st.integers(-2, 2), st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300, 1e-7]))
TEXTS = st.one_of(st.sampled_from(["a", "A", "ä", "1", "1.0", "", "'", '"', "\n", "null"]))
NESTED = st.sampled_from([[], [1], [1.5, "x"], {"a": 1}, {"a": {"b": None}}, {}])
KINDS = [INTEGERS, NUMBERS, TEXTS, st.booleans(), NESTED, st.none()]
MIXED = st.one_of(NUMBERS, TEXTS, st.booleans(), NESTED, st.none())


@st.composite
def all_sources(draw: st.DrawFn) -> list[Rows]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    kinds = {name: draw(st.sampled_from([*KINDS, MIXED])) for name in names}
    row = st.fixed_dictionaries({}, optional={n: st.one_of(k, st.none()) for n, k in kinds.items()})
    return draw(st.lists(st.lists(row, max_size=5), min_size=1, max_size=3))


def compute(sources: Sequence[Rows], how: Mapping[str, Any]) -> Aggregated:
    with tempfile.TemporaryDirectory() as folder:
        named = [SourceRows(name=f"s{n}", rows=rows) for n, rows in enumerate(sources)]
        computation = Computation(Path(folder), None, "result", 256, 1)
        return computation.run(named, read_aggregation(how))


def columns_of(sources: Sequence[Rows]) -> list[str]:
    return list(dict.fromkeys(name for rows in sources for row in rows for name in row))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(value: Any) -> Any:
    """What tells whether two values are the same."""
    if is_number(value):
        return ("number", value + 0.0 if isinstance(value, float) else value)
    return json.dumps(value)


def number_columns(sources: Sequence[Rows]) -> set[str]:
    """Columns where integers become numbers, since there are others."""
    found = set()
    for name in columns_of(sources):
        values = [row.get(name) for rows in sources for row in rows]
        if any(isinstance(value, float) for value in values):
            found.add(name)
    return found


def full(row: Mapping[str, Any], sources: Sequence[Rows]) -> dict[str, Any]:
    floats = number_columns(sources)
    return {
        name: float(row[name])
        if name in floats and is_number(row.get(name)) and not is_mixed(name, sources)
        else row.get(name)
        for name in columns_of(sources)
    }


def is_mixed(name: str, sources: Sequence[Rows]) -> bool:
    values = [row.get(name) for rows in sources for row in rows]
    kinds = {"number" if is_number(each) else type(each) for each in values if each is not None}
    return len(kinds) > 1 or bool(kinds & {list, dict})


def whole(row: Mapping[str, Any], sources: Sequence[Rows]) -> Any:
    return tuple(same(value) for value in full(row, sources).values())


def key_of(row: Mapping[str, Any], key: str, sources: Sequence[Rows]) -> Any:
    value = full(row, sources)[key]
    return None if value is None else same(value)


# Integers above 2 ** 53 beside other numbers are as exact as numbers are: compare them so.
def alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if is_number(one) and is_number(other):
        return math.isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


checked = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@checked
@given(all_sources(), st.booleans())
def test_union(sources: list[Rows], distinct: bool) -> None:
    expected, seen = [], set()
    for rows in sources:
        for row in rows:
            if not distinct or whole(row, sources) not in seen:
                seen.add(whole(row, sources))
                expected.append(full(row, sources))
    found = compute(sources, {"method": "union", "distinct": distinct})
    assert alike(found.rows, expected if columns_of(sources) else [])
    assert found.count == len(found.rows)


@checked
@given(all_sources(), st.data())
def test_union_by_key(sources: list[Rows], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(columns_of(sources) or [""]))
    if not columns_of(sources):
        return
    expected, seen = [], set()
    for rows in sources:
        for row in rows:
            value = key_of(row, key, sources)
            if value is None or value not in seen:
                seen.add(value)
                expected.append(full(row, sources))
    found = compute(sources, {"method": "union", "distinct": True, "key": key})
    assert alike(found.rows, expected)


@checked
@given(all_sources(), st.data())
def test_intersect(sources: list[Rows], data: st.DataObject) -> None:
    columns = columns_of(sources)
    if not columns:
        return
    key = data.draw(st.sampled_from([None, *columns]))

    def identity(row: Mapping[str, Any]) -> Any:
        return whole(row, sources) if key is None else key_of(row, key, sources)

    found = compute(sources, {"method": "intersect", **({} if key is None else {"key": key})})
    everywhere = set.intersection(*({identity(row) for row in rows} for rows in sources))
    expected = []
    for row in sources[0]:
        if identity(row) in everywhere - {None}:
            everywhere.discard(identity(row))
            expected.append(full(row, sources))
    assert alike(found.rows, expected)


@checked
@given(all_sources(), st.data(), st.sampled_from(["first", "last", "list"]))
def test_merge_by_key(sources: list[Rows], data: st.DataObject, conflict: str) -> None:
    columns = columns_of(sources)
    if not columns:
        return
    key = data.draw(st.sampled_from(columns))
    groups: dict[Any, Rows] = {}
    for place, row in enumerate(row for rows in sources for row in rows):
        value = key_of(row, key, sources)
        groups.setdefault(("alone", place) if value is None else value, []).append(
            full(row, sources)
        )
    expected = []
    for rows in groups.values():
        made: dict[str, Any] = {}
        for name in columns:
            values = [row[name] for row in rows if row[name] is not None]
            if conflict == "list" and name != key:
                made[name] = list({json.dumps(value): value for value in values}.values())
            else:
                last = conflict == "last" and name != key
                made[name] = (values[-1] if last else values[0]) if values else None
        expected.append(made)
    found = compute(sources, {"method": "merge", "key": key, "conflict": conflict})
    if conflict == "list" and any(is_mixed(name, sources) for name in columns):
        assert [list(row) for row in found.rows] == [list(row) for row in expected]
    else:
        assert alike(found.rows, expected)


@checked
@given(all_sources(), st.data(), st.sampled_from(["sample", "population"]))
def test_statistical(sources: list[Rows], data: st.DataObject, deviation: str) -> None:
    columns = columns_of(sources)
    rows = [full(row, sources) for each in sources for row in each]
    named = [name for name in columns if any(is_number(row[name]) for row in rows)]
    if not named or any(abs(v) > 1e100 for r in rows for v in r.values() if is_number(v)):
        return
    field = data.draw(st.sampled_from(named))
    by = data.draw(st.sampled_from([None, *columns]))
    how = {"method": "statistical", "fields": [field], "deviation": deviation, "quantiles": [0.25]}
    found = compute(sources, how if by is None else {**how, "group_by": by})
    groups: dict[Any, Rows] = {}
    for row in rows:
        groups.setdefault(None if by is None else same(row[by]), []).append(row)
    assert len(found.rows) == len(groups)
    for result, group in zip(found.rows, groups.values(), strict=True):
        values = [row[field] for row in group if row[field] is not None]
        numbers = [float(each) for each in values if is_number(each)]
        assert result["field"] == field
        assert list(result["group"]) == ([] if by is None else [by])
        assert (result["rows"], result["count"]) == (len(group), len(numbers))
        assert result["nulls"] == len(group) - len(values)
        assert result["not_numbers"] == len(values) - len(numbers)
        check_figures(result, numbers, deviation)


def check_figures(result: Mapping[str, Any], numbers: list[float], deviation: str) -> None:
    names = ["sum", "mean", "median", "min", "max"]
    if not numbers:
        assert [result[name] for name in [*names, "standard_deviation"]] == [None] * 6
        assert result["quantiles"] == {"0.25": None}
        return
    size = max(map(abs, numbers))
    functions: list[Any] = [math.fsum, statistics.fmean, statistics.median, min, max]
    for name, function in zip(names, functions, strict=True):
        assert result[name] == pytest.approx(function(numbers), rel=1e-9, abs=size * 1e-9)
    if deviation == "sample" and len(numbers) == 1:
        assert result["standard_deviation"] is None
    else:
        compute = statistics.stdev if deviation == "sample" else statistics.pstdev
        expected = compute(numbers)
        assert result["standard_deviation"] == pytest.approx(expected, rel=1e-6, abs=size * 1e-6)
    place = 0.25 * (len(numbers) - 1)
    below, above = sorted(numbers)[math.floor(place)], sorted(numbers)[math.ceil(place)]
    expected = below + (above - below) * (place % 1)
    assert result["quantiles"]["0.25"] == pytest.approx(expected, rel=1e-9, abs=size * 1e-9)
