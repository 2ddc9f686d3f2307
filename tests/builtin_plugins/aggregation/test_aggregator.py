"""The plugin data-aggregator: what it is given, what it gives, and what it refuses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from qtforge_builtin_plugins.aggregation import computing, staging
from qtforge_builtin_plugins.aggregation.aggregator import AggregatorConfig, DataAggregator
from qtforge_builtin_plugins.aggregation.messages import Aggregated, AggregateRequest, SourceRows
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import OperationContext, OperationError, PluginContext
from qtforge_sdk.messages import Dataset


@pytest.fixture
def ask(host: Any, tmp_path: Path) -> Any:
    """A function that asks the aggregator in the name of a run."""
    plugin = host.add(DataAggregator(), config={"memory_mib": 128})
    runs = host.data_dir / "run-files"

    def aggregate(
        how: Mapping[str, Any],
        *,
        run_id: str | None = "run-1",
        step: str = "aggregate",
        **sources: Any,
    ) -> Aggregated:
        context = OperationContext("rows.aggregate", run_id=run_id, step=step)
        named = [
            SourceRows(name=name, **({"rows": it} if isinstance(it, list) else {"dataset": it}))
            for name, it in sources.items()
        ]
        request = AggregateRequest(sources=named, aggregation=dict(how))
        found: Aggregated = host.run(plugin.aggregate(request, context))
        return found

    aggregate.runs = runs  # type: ignore[attr-defined]
    return aggregate


def dataset(folder: Path, name: str, lines: str) -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    path.write_text(lines, encoding="utf-8")
    size = path.stat().st_size
    return Dataset(
        path=str(path), format="jsonl", rows=lines.count("\n"), size_bytes=size, sha256=""
    )


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def test_merge_without_a_key_gives_each_sources_rows_under_its_name(ask: Any) -> None:
    file = dataset(ask.runs / "run-1", "b", '{"x": 1}\n')
    found = ask({"method": "merge"}, a=[{"x": 0}], b=file)
    assert found.by_source is not None
    assert found.by_source["a"].rows == [{"x": 0}]
    assert found.by_source["b"].dataset == file  # not a copy
    assert (found.count, found.sources) == (2, {"a": 1, "b": 1})


def test_a_large_result_is_a_file_of_the_run_with_its_first_rows_in_the_answer(ask: Any) -> None:
    rows = [{"n": number} for number in range(12_000)]
    found = ask({"method": "union"}, a=rows, b=rows)
    assert (found.count, found.complete, len(found.rows)) == (24_000, False, 100)
    path = Path(found.dataset.path)
    assert path.parent == ask.runs / "run-1"
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line)["n"] for line in lines] == [*range(12_000), *range(12_000)]
    assert left_in(path.parent) == ["aggregate.jsonl"]


def test_each_step_has_a_file_of_its_own_in_the_runs_folder(ask: Any) -> None:
    rows = [{"n": number} for number in range(12_000)]
    steps = ["../x", "a/b", "a_b", "a b"]
    found = [ask({"method": "union"}, step=step, a=rows).dataset.path for step in steps]
    assert {Path(path).parent for path in found} == {ask.runs / "run-1"}
    assert len(set(found)) == len(left_in(ask.runs / "run-1")) == len(steps)


def test_parquet_is_written_and_read_again_with_its_types(ask: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"int": 1, "num": 1.5, "text": "ä", "flag": True, "mixed": [1, {"a": None}], "null": None},
        {"int": None, "num": 2, "text": None, "flag": None, "mixed": "x", "null": None},
    ]
    found = ask({"method": "union", "format": "parquet"}, a=rows)
    assert found.dataset.format == "parquet"
    assert found.rows == [rows[0], {**rows[1], "num": 2.0}]
    types = [column.type for column in found.columns]
    assert types == ["integer", "number", "text", "boolean", "mixed", "null"]
    again = ask({"method": "union", "source_column": "from"}, p=found.dataset, q=[{"int": 3}])
    assert again.rows[0] == {"from": "p", **rows[0]}
    assert again.rows[2]["int"] == 3


def test_parquet_of_others_has_dates_decimals_and_structures_as_plain_values(
    ask: Any, tmp_path: Path
) -> None:
    path = ask.runs / "run-1" / "other.parquet"
    path.parent.mkdir(parents=True)
    query = """SELECT DATE '2026-01-31' d, TIMESTAMP '2026-01-31 12:30:00' t, 1.25::DECIMAL(9,2) n,
        {'a': [1]} s, 'NaN'::DOUBLE x, 'ab'::BLOB b, 18446744073709551615::UBIGINT u"""
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    size = path.stat().st_size
    file = Dataset(path=str(path), format="parquet", rows=1, size_bytes=size, sha256="")
    assert ask({"method": "union"}, p=file).rows == [
        {"d": "2026-01-31", "t": "2026-01-31T12:30:00", "n": 1.25, "s": {"a": [1]}, "x": None,
         "b": "6162", "u": 18446744073709551615}
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["id", "File_Row_Number"])
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_rows_of_files_stay_in_order_whatever_their_names_are(
    ask: Any, column: str, format: str
) -> None:
    folder = ask.runs / "run-1"
    folder.mkdir(parents=True)
    files = []
    for source in range(2):
        path = folder / f"a[{source}] it's *.{format}"
        query = f'SELECT {source} * 200000 + i AS "{column}" FROM range(200000) AS t(i)'
        kind = "parquet" if format == "parquet" else "json"
        target = str(path).replace("'", "''")
        duckdb.sql(f"COPY ({query}) TO '{target}' (FORMAT {kind})")
        size = path.stat().st_size
        files.append(
            Dataset(path=str(path), format=format, rows=200_000, size_bytes=size, sha256="")  # type: ignore[arg-type]
        )
    found = ask({"method": "union"}, a=files[0], b=files[1])
    lines = Path(found.dataset.path).read_bytes().splitlines()
    assert [msgspec.json.decode(line)[column] for line in lines] == list(range(400_000))
    found = ask({"method": "intersect", "key": column}, a=files[0], b=files[0])
    assert found.count == 200_000


def test_rows_of_a_conflict_are_named_when_it_is_an_error(ask: Any) -> None:
    a, b = [{"id": 1, "v": "x"}, {"id": 2, "v": "y"}], [{"id": 2, "v": "z"}, {"id": 1, "v": None}]
    with pytest.raises(OperationError, match="1 keys have different values, such as id = 2") as it:
        ask({"method": "merge", "key": "id", "conflict": "error"}, a=a, b=b)
    assert it.value.code == "aggregation.conflict"
    found = ask({"method": "merge", "key": "id", "prefer": ["b"]}, a=a, b=b)
    assert found.rows == [{"id": 2, "v": "z"}, {"id": 1, "v": "x"}]
    assert found.details == {"conflicts": {"v": 1}, "without_key": 0}


def test_several_columns_may_be_the_key_and_null_in_one_is_no_key(ask: Any) -> None:
    a = [{"k": 1, "l": "a"}, {"k": 1, "l": None}]
    b = [{"k": 1, "l": "a", "m": 2}, {"k": 1, "l": None, "m": 3}]
    found = ask({"method": "intersect", "key": ["k", "l"]}, a=a, b=b)
    assert found.rows == [{"k": 1, "l": "a", "m": None}]
    assert found.details == {"without_key": 2}


def test_empty_sources_are_sources(ask: Any) -> None:
    empty = ask({"method": "union"}, a=[], b=[])
    assert (empty.rows, empty.count, empty.columns) == ([], 0, [])
    assert ask({"method": "intersect"}, a=[{"x": 1}], b=[]).rows == []
    assert ask({"method": "statistical", "fields": "x"}, a=[]).rows == []
    assert ask({"method": "merge", "key": "x"}, a=[], b=[{"x": 1}]).rows == [{"x": 1}]


@pytest.mark.parametrize("method", ["union", "intersect", "merge", "statistical"])
def test_names_and_values_are_never_read_as_sql(ask: Any, method: str) -> None:
    worst = """'"); DROP TABLE s0; -- $1 \\ /~ {} %s"""
    rows = [{worst: 1, "id": worst}, {worst: 2, "id": "'; SELECT 1; --"}]
    how: dict[str, Any] = {"method": method}
    if method == "merge":
        how |= {"key": "id", "prefer": [worst]}
    if method == "statistical":
        how |= {"fields": [worst], "group_by": ["id"]}
    found = ask(how, **{worst: rows, "other": rows})
    if method == "statistical":
        assert [(row["field"], row["group"]["id"]) for row in found.rows] == [
            (worst, worst),
            (worst, "'; SELECT 1; --"),
        ]
    else:
        assert found.rows[0] == rows[0]


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ({}, "aggregation.unknown_method", "use one of merge, union, intersect, statistical"),
        ({"method": "join"}, "aggregation.unknown_method", "join"),
        ({"method": "union", "key": "a"}, "aggregation.invalid", "distinct = true"),
        ({"method": "union", "distinct": "yes"}, "aggregation.invalid", "aggregation.distinct"),
        ({"method": "merge", "conflict": "list"}, "aggregation.invalid", "without a key"),
        ({"method": "merge", "key": "ab", "prefer": ["c"]}, "aggregation.invalid", "no source"),
        ({"method": "intersect", "key": "b"}, "aggregation.unknown_field", "did you mean"),
        ({"method": "statistical", "fields": ["x"]}, "aggregation.unknown_field", "fields"),
        ({"method": "statistical"}, "aggregation.no_numbers", "no column has only numbers"),
        ({"method": "statistical", "quantiles": [25]}, "aggregation.invalid", "not a share"),
        ({"method": "union", "source_column": "ab"}, "aggregation.column_taken", "'ab' already"),
        ({"method": "union", "format": "parquet"}, "aggregation.column_taken", "'ab' and 'AB'"),
    ],
)
def test_what_can_not_be_done_is_said(ask: Any, how: Any, code: str, told: str) -> None:
    with pytest.raises(OperationError) as error:
        ask(how, a=[{"ab": "text", "AB": "x"}])
    assert error.value.code == code
    assert told in str(error.value)


def test_a_file_that_is_gone_or_changed_names_the_step_to_do_again(ask: Any) -> None:
    file = dataset(ask.runs / "run-1", "sales", '{"x": 1}\n')
    Path(file.path).write_text("")
    for gone in ("has changed", "is missing"):
        with pytest.raises(OperationError, match=gone) as error:
            ask({"method": "union"}, sales=file)
        assert error.value.code == "rows.dataset_missing"
        assert "qtforge-host runs retry run-1 --from sales" in error.value.fix
        Path(file.path).unlink(missing_ok=True)


def test_a_file_that_is_no_runs_is_not_read(ask: Any, tmp_path: Path) -> None:
    outside = dataset(tmp_path / "elsewhere", "secret", '{"x": 1}\n')
    link = ask.runs / "run-1" / "link.jsonl"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside.path)
    for path in (outside.path, str(link)):
        file = msgspec.structs.replace(outside, path=path)
        with pytest.raises(OperationError) as error:
            ask({"method": "union"}, a=file)
        assert error.value.code == "rows.dataset_outside"


@pytest.mark.parametrize("lines", ["[1, 2]\n", '{"a": 1}\n"text"\n', "not json\n"])
def test_lines_that_are_no_objects_are_refused(ask: Any, lines: str) -> None:
    with pytest.raises(OperationError) as error:
        ask({"method": "union"}, a=dataset(ask.runs / "run-1", "a", lines))
    assert error.value.code in ("rows.not_plain", "aggregation.failed")
    assert left_in(ask.runs / "run-1") == ["a.jsonl"]


def test_outside_a_run_only_what_fits_in_an_answer_is_possible(ask: Any) -> None:
    rows = [{"n": number} for number in range(6_000)]
    assert ask({"method": "union"}, run_id=None, a=rows).count == 6_000
    with pytest.raises(OperationError) as error:
        ask({"method": "union"}, run_id=None, a=rows, b=rows)
    assert error.value.code == "aggregation.too_large"


def test_figures_that_are_too_large_for_a_number_are_refused_or_rounded(ask: Any) -> None:
    rows = [{"x": 1e308}, {"x": 1.5e308}]
    with pytest.raises(OperationError) as error:
        ask({"method": "statistical"}, a=rows)
    assert error.value.code == "aggregation.out_of_range"
    whole = ask({"method": "statistical"}, a=[{"x": 2**63 - 1}] * 3).rows[0]
    assert whole["sum"] == pytest.approx(3 * 2.0**63)
    assert (whole["min"], whole["max"]) == (2**63 - 1, 2**63 - 1)


def test_whoever_stops_waiting_interrupts_the_computation(
    host: PluginTestHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    stage = staging.stage

    def endless(connection: Any, sources: Any, folder: Path) -> Any:
        staged = stage(connection, sources, folder)
        begun.set()
        query = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(10000000) b"
        connection.execute(query).fetchall()
        return staged

    monkeypatch.setattr(computing, "stage", endless)

    async def main() -> None:
        plugin = DataAggregator()
        plugin.config = AggregatorConfig(memory_mib=256)
        context = PluginContext(
            name="data-aggregator",
            version="1.0.0",
            bus=host.bus,
            data_dir=tmp_path,
            host_version="1.0.0",
            runs_dir=tmp_path / "runs",
        )
        await plugin.start(context)
        request = AggregateRequest(
            sources=[SourceRows(name="a", rows=[{"x": 1}])], aggregation={"method": "union"}
        )
        call = OperationContext("rows.aggregate", run_id="r", step="aggregate")
        asking = asyncio.ensure_future(plugin.aggregate(request, call))
        await asyncio.to_thread(begun.wait, 20)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asking, 60)

    asyncio.run(main())
    assert left_in(tmp_path / "runs" / "r") == []


def test_more_than_the_memory_goes_to_the_disk(ask: Any) -> None:
    path = ask.runs / "run-1" / "many.jsonl"
    path.parent.mkdir(parents=True)
    line = '{{"id": {0}, "text": "' + "x" * 200 + '{0}"}}\n'
    with path.open("w") as file:
        for number in range(200_000):
            file.write(line.format(number))
    size = path.stat().st_size
    many = Dataset(path=str(path), format="jsonl", rows=200_000, size_bytes=size, sha256="")
    found = ask({"method": "union", "distinct": True}, a=many, b=many)
    assert found.count == 200_000
    assert found.dataset.size_bytes > 40_000_000
