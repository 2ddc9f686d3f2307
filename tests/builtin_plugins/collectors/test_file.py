"""file-collector on real files of every format."""

from __future__ import annotations

import asyncio
import csv
import datetime
import gzip
import hashlib
import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("duckdb", reason="the extra 'files' is not installed")
pytest.importorskip("python_calamine", reason="the extra 'files' is not installed")

import duckdb
from tests.builtin_plugins.collectors.requests import Asker

from qtforge_builtin_plugins.aggregation.computing import Computation
from qtforge_builtin_plugins.aggregation.messages import SourceRows
from qtforge_builtin_plugins.aggregation.options import read_aggregation
from qtforge_builtin_plugins.collectors.file import FileCollector
from qtforge_builtin_plugins.collectors.files import csv_tables, parquet_tables, reader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data [1]"  # its name has the signs of a pattern
    made.mkdir()
    return made


def asker(folder: Path, **config: Any) -> Asker:
    config.setdefault("roots", [str(folder)])
    return Asker(FileCollector(), "file.read", folder.parent, {}, **config)


@pytest.fixture
def ask(folder: Path) -> Asker:
    return asker(folder)


def dataset_rows(path: str) -> list[dict[str, Any]]:
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(f"select * from read_parquet('{path.replace('[', '[[]')}')")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


# CSV


def test_columns_of_nothing_but_numbers_become_numbers(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text(
        "whole,number,zip,day,mixed,long,none,Quoted Name\n"
        '1,1.5,01234,2026-01-01,1,12345678901234567890,,"a, ""b""\nc"\n'
        "-20,2,50667,2026-01-02,x,1,,\n"
        ",1e3,99999,,2,2,,d\n"
    )
    assert ask.rows("a.csv") == [
        {"whole": 1, "number": 1.5, "zip": "01234", "day": "2026-01-01", "mixed": "1",
         "long": "12345678901234567890", "none": None, "Quoted Name": 'a, "b"\nc'},
        {"whole": -20, "number": 2.0, "zip": "50667", "day": "2026-01-02", "mixed": "x",
         "long": "1", "none": None, "Quoted Name": None},
        {"whole": None, "number": 1000.0, "zip": "99999", "day": None, "mixed": "2",
         "long": "2", "none": None, "Quoted Name": "d"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["007", "+1", " 1", "1 ", "1_000", "1,5", "nan", "inf", "0x1", "-0"]
)
def test_what_is_not_plainly_a_number_stays_text(ask: Asker, folder: Path, text: str) -> None:
    (folder / "a.csv").write_text(f'a,b\n"{text}",1\n')
    assert ask.rows("a.csv") == [{"a": text, "b": 1}]


def test_types_can_be_left_alone(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("a\n1\n")
    assert ask.rows("a.csv", types="text") == [{"a": "1"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(ask: Asker, folder: Path, delimiter: str) -> None:
    lines = (("name", "amount"), ("a", "1"), ("b", "2"))
    (folder / "a.csv").write_text("".join(delimiter.join(line) + "\r\n" for line in lines))
    assert ask.rows("a.csv") == [{"name": "a", "amount": 1}, {"name": "b", "amount": 2}]


def test_the_delimiter_may_be_given_or_the_suffix_says_it(ask: Asker, folder: Path) -> None:
    (folder / "a.txt").write_text("a:b\n1:2\n")
    assert ask.rows("a.txt", format="csv", delimiter=":") == [{"a": 1, "b": 2}]
    (folder / "a.tsv").write_text("a,b\nx,2\n")
    assert ask.rows("a.tsv") == [{"a,b": "x,2"}]


def test_a_file_without_a_header_has_numbered_columns(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("x,1\ny,2\n")
    rows = ask.rows("a.csv", header=False)
    assert rows == [{"column1": "x", "column2": 1}, {"column1": "y", "column2": 2}]


def test_odd_names_of_columns_are_kept_apart(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text('\nid,ID,id,,select,"a""b\'c",é\n1,2,3,4,5,6,7\n')
    assert ask.rows("a.csv") == [
        {"id": 1, "ID": 2, "id_2": 3, "column4": 4, "select": 5, "a\"b'c": 6, "é": 7}
    ]


@pytest.mark.parametrize("content", ["", "\n", "a,b\n"])
def test_a_file_without_rows_gives_none(ask: Asker, folder: Path, content: str) -> None:
    (folder / "a.csv").write_text(content)
    assert ask.rows("a.csv") == []


def test_an_encoding_is_given_or_utf_8(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_bytes("\ufeffgröße,b\nü,1\n".encode())
    assert ask.rows("a.csv") == [{"größe": "ü", "b": 1}]
    for encoding in ("cp1252", "utf-16"):
        (folder / "a.csv").write_bytes("größe,b\nü,1\n".encode(encoding))
        assert ask.rows("a.csv", encoding=encoding) == [{"größe": "ü", "b": 1}]
    refused = ask.refusal("a.csv", encoding="utf-9")
    assert refused.code == "file.invalid_parameters"


def test_a_packed_file_is_unpacked(ask: Asker, folder: Path) -> None:
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert ask.rows("a.csv.gz") == [{"a": 1, "b": 2}]
    assert ask.rows("a.jsonl.gz") == [{"a": 1}]
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    assert ask.refusal("b.csv.gz").code == "file.invalid"
    (folder / "c.csv.gz").write_bytes(b"a,b\n")
    assert ask.refusal("c.csv.gz").code == "file.invalid"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_that_is_nested_too_deeply_is_refused_like_any_that_is_wrong(
    ask: Asker, folder: Path, name: str
) -> None:
    (folder / name).write_text('{"a":' * 20_000)
    refused = ask.refusal(name)
    assert refused.code == "file.invalid"
    assert "nested too deeply" in str(refused)


def test_what_unpacks_to_more_than_allowed_is_refused(folder: Path) -> None:
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 500_000))
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 500_000))
    (folder / "a.json").write_bytes(b"[" + b" " * 20_000 + b"]")
    limited = asker(folder, max_bytes=100_000, max_whole_bytes=10_000)
    for name, key in (("a.csv.gz", "max_bytes"), ("a.jsonl.gz", "max_bytes"),
                      ("a.json", "max_whole_bytes")):  # fmt: skip
        refused = limited.refusal(name)
        assert refused.code == "file.too_large"
        assert key in refused.fix


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        (b"a,b\n1,2\n3\n", "a.csv, line 3", "it has 1 value, and the first row has 2"),
        (b"a,b\n1,2,3\n", "a.csv, line 2", "it has 3 values or more, and the first row has 2"),
        (b'a,b\n1,"x\n', "a.csv, line 2", "Value with unterminated quote found."),
        (b"a,b\n1,\xff\n", "a.csv", "it is not in utf-8"),
        (b"a,b\n1,2\r\n3,4\n", "a.csv", "its line endings differ"),
    ],
)
def test_a_broken_csv_is_told_with_file_and_line(
    ask: Asker, folder: Path, content: bytes, where: str, why: str
) -> None:
    (folder / "a.csv").write_bytes(content)
    refused = ask.refusal("a.csv", delimiter=",")
    assert (refused.code, refused.retryable) == ("file.invalid", False)
    assert refused.what.startswith(where)
    assert refused.why.startswith(why)


@pytest.mark.parametrize(
    ("content", "dialect", "first"),
    [
        # The delimiter that splits the first row, and most rows into as many values.
        ("id,name,city\n3,Carl,Ulm\n", (",", '"', True, "."), (3, "Carl", "Ulm")),
        ("price;tax\n1,5;2,5\n", (";", '"', True, ","), (1.5, 2.5)),
        ("1,5;2,5\n3,5;4,5\n", (";", '"', False, ","), (1.5, 2.5)),
        ("price\n1,5\n2,5\n", (";", '"', True, ","), (1.5,)),
        ("name, first;amount\nSmith, J;1\n", (";", '"', True, "."), ("Smith, J", 1)),
        ("id\tnote, long\n1\ta;b\n", ("\t", '"', True, "."), (1, "a;b")),
        ("a|b\n1,5|x\n", ("|", '"', True, ","), (1.5, "x")),
        ("name\nAnna\nBert\n", (",", '"', True, "."), ("Anna",)),
        # Single quotes, where they fit all of the text.
        ("id,text\n1,'a, b'\n2,'c''s, d'\n", (",", "'", True, "."), (1, "a, b")),
        ("id,name\n1,'t Hoofd\n2,O'Brien\n", (",", '"', True, "."), (1, "'t Hoofd")),
        ('id,text\n1,"a\nb;c"\n2,d\n', (",", '"', True, "."), (1, "a\nb;c")),
        # The first row has names, unless it looks like data.
        ("x,1\ny,2\n", (",", '"', False, "."), ("x", 1)),
        ("2026-01-01;x\n2026-01-02;y\n", (";", '"', False, "."), ("2026-01-01", "x")),
        ("10:30;x\n11:30;y\n", (";", '"', False, "."), ("10:30", "x")),
        ("id,2019,2020\n7,1,2\n", (",", '"', True, "."), (7, 1, 2)),
        ("name,name\na,b\n", (",", '"', True, "."), ("a", "b")),
    ],
)
def test_the_dialect_follows_the_rule_of_the_docs(
    ask: Asker, folder: Path, content: str, dialect: tuple[object, ...], first: tuple[object, ...]
) -> None:
    (folder / "a.csv").write_text(content)
    collected = ask("a.csv")
    assert tuple(collected.details["dialect"].values()) == dialect
    assert collected.rows is not None
    assert tuple(collected.rows[0].values()) == first
    warned = [each.code for each in collected.warnings]
    assert warned == ([] if dialect[2] else ["csv.no_header"])


def test_each_part_of_the_dialect_may_be_given(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("x:~1,5~\ny:2\n")
    given: dict[str, Any] = {"delimiter": ":", "quote": "~", "decimal": ",", "header": False}
    collected = ask("a.csv", **given)
    assert collected.rows == [{"column1": "x", "column2": 1.5}, {"column1": "y", "column2": 2.0}]
    assert collected.details["dialect"] == given
    assert collected.warnings == ()
    (folder / "b.csv").write_text('a;b\n"x;1\n')
    assert ask.rows("b.csv", quote="") == [{"a": '"x', "b": 1}]


def test_files_that_are_written_differently_are_told(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("a,b\nx,1\n")
    (folder / "b.csv").write_text("a;b\ny;2\n")
    collected = ask("*.csv")
    assert collected.rows == [{"a": "x", "b": 1}, {"a": "y", "b": 2}]
    assert collected.details["dialect"]["delimiter"] == ","
    assert collected.details["dialects"]["b.csv"]["delimiter"] == ";"


def test_files_with_and_without_names_are_not_mixed(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("country,2019\nDE,x\n")
    (folder / "b.csv").write_text("country,2019\nDE,1\n")
    assert ask("*.csv").details["dialect"]["header"] is False
    (folder / "c.csv").write_text("country,value\nDE,1\n")
    refused = ask.refusal("*.csv")
    assert (refused.code, refused.what[:13]) == ("file.invalid", "a.csv, line 1")
    assert ask("*.csv", header=True).count == 3


@pytest.mark.parametrize(
    ("content", "given", "rows", "warned"),
    [
        ("a;b\n1,234;x\n", {}, [("1,234", "x")], 1),  # perhaps thousands
        ("a;b\n1,234;x\n", {"decimal": ","}, [(1.234, "x")], 0),
        ("a;b\n1,234;7,5\n", {}, [(1.234, 7.5)], 0),
        ("a;b\n1.234;7,5\n", {}, [("1.234", 7.5)], 1),  # two marks in one source
        ("a;b\n1,234;x\n", {"decimal": "."}, [("1,234", "x")], 0),
        ('a,b\n"1,5",x\n', {}, [("1,5", "x")], 0),
        ('a,b\n"1,5",x\n', {"decimal": ","}, [(1.5, "x")], 0),
        ("a;b\n1.234,5;x\n", {}, [("1.234,5", "x")], 0),
    ],
)
def test_decimal_commas_are_numbers_where_they_can_be_nothing_else(
    ask: Asker, folder: Path, content: str, given: dict[str, Any],
    rows: list[tuple[object, ...]], warned: int,
) -> None:  # fmt: skip
    (folder / "a.csv").write_text(content)
    collected = ask("a.csv", **given)
    assert [tuple(row.values()) for row in collected.rows or ()] == rows
    assert [each.code for each in collected.warnings] == ["csv.decimal_mark"] * warned


_RAGGED = 'id,name,city\n3,Carl,Ulm\n4,Dora\n5,Emil,Jena,x,y\n6,"a\nb",Z\n7\n'


def test_a_ragged_row_is_an_error_with_its_line(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("id,name,city\n3,Carl,Ulm\n4,Dora\n5,Emil,Jena\n")
    refused = ask.refusal("a.csv")
    assert refused.what == "a.csv, line 3: it is no valid csv"
    assert refused.why == "it has 2 values, and the first row has 3"
    assert 'ragged = "pad"' in refused.fix


def test_ragged_rows_are_completed_without_loss(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text(_RAGGED)
    collected = ask("a.csv", ragged="pad")
    assert [tuple(row.values()) for row in collected.rows or ()] == [
        (3, "Carl", "Ulm", None, None), (4, "Dora", None, None, None),
        (5, "Emil", "Jena", "x", "y"), (6, "a\nb", "Z", None, None), (7, None, None, None, None),
    ]  # fmt: skip
    assert list((collected.rows or [{}])[0]) == ["id", "name", "city", "column4", "column5"]
    (warning,) = collected.warnings
    assert (warning.code, warning.count) == ("csv.ragged_rows", 3)
    assert warning.message.startswith("a.csv, line 3:")


def test_ragged_rows_are_left_out_with_a_warning(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text(_RAGGED)
    collected = ask("a.csv", ragged="skip")
    assert [row["id"] for row in collected.rows or ()] == [3, 6]
    assert [(each.code, each.count) for each in collected.warnings] == [("csv.ragged_rows", 3)]


@pytest.mark.parametrize("ragged", ["pad", "skip"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'a,b\n1,"x"y\n2\n', "Value with unterminated quote found."),
        (b"a,b\n1,\xff\n2\n", "it is not in utf-8"),
    ],
)
def test_only_ragged_rows_are_completed_or_left_out(
    ask: Asker, folder: Path, ragged: str, content: bytes, why: str
) -> None:
    (folder / "a.csv").write_bytes(content)
    assert ask.refusal("a.csv", ragged=ragged).why == why


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a,b\n1," + b"x" * 20_000_000 + b"\n2,y\n", 2),
        (b"x" * 20_000_000, 1),
        (b"a,b\n" + b"1,2\n" * 300_000 + b"1," + b"x" * 20_000_000, 300_002),
        (b'a,b\n1,"' + b"xxxx\n" * 4_000_000 + b'"\n', 2),
        (b'"' + b"xxxx\n" * 4_000_000 + b'",b\n', 1),
    ],
)
def test_a_line_without_end_is_refused_before_it_is_parsed(
    ask: Asker, folder: Path, name: str, content: bytes, line: int
) -> None:
    packed = gzip.compress(content, 1) if name.endswith(".gz") else content
    (folder / name).write_bytes(packed)
    refused = ask.refusal(name)
    assert (refused.code, refused.what) == (
        "file.invalid", f"{name}, line {line}: it is no valid csv"
    )  # fmt: skip
    assert "bytes" in refused.why


def test_a_long_line_within_the_bound_is_read(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"a,b\n1," + b"x" * 15_000_000 + b"\n2,y\n")
    assert ask("a.csv").count == 2
    for before in (1, 20_000):  # a row of many lines
        rows = b"1,x\n" * before + b'1,"' + b"xxxx\n" * 2_000_000 + b'"\n2,y\n'
        (folder / "a.csv").write_bytes(b"a,b\n" + rows)
        assert ask("a.csv").count == before + 2
        assert ask("a.csv", ragged="skip").count == before + 2


def test_many_rows_of_csv_go_to_a_parquet_file(ask: Asker, folder: Path) -> None:
    lines = "".join(f"{number},name {number},{number / 2},\n" for number in range(50_000))
    (folder / "a.csv").write_text("id,name,half,none\n" + lines)
    collected = ask("a.csv")
    dataset = collected.dataset
    assert dataset is not None
    assert dataset.format == "parquet"
    assert Path(dataset.path).parent == ask.run_files / "run-1"
    content = Path(dataset.path).read_bytes()
    assert (dataset.sha256, dataset.size_bytes) == (
        hashlib.sha256(content).hexdigest(), len(content)
    )  # fmt: skip
    rows = dataset_rows(dataset.path)
    assert len(rows) == collected.count == dataset.rows == 50_000
    assert [row["id"] for row in rows] == list(range(50_000))
    assert rows[3] == {"id": 3, "name": "name 3", "half": 1.5, "none": None}
    assert not list(ask.run_files.rglob("*.partial"))


@pytest.mark.parametrize(
    ("late", "types"),
    [
        ("7,8,9,x,", ["BIGINT", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR"]),
        ("1.5,8,9,x,", ["DOUBLE", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR"]),
        ("007,8,9,x,", ["VARCHAR", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR"]),
        ("7,-0,1e5,x,", ["BIGINT", "VARCHAR", "DOUBLE", "VARCHAR", "VARCHAR"]),
        ("7,1000000000000000000,x,x,", ["BIGINT", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR"]),
        ("7,8,,x,5", ["BIGINT", "BIGINT", "DOUBLE", "VARCHAR", "BIGINT"]),
        ("7,8,,x,y", ["BIGINT", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR"]),
    ],
)
def test_a_late_row_still_decides_the_types(
    ask: Asker, folder: Path, late: str, types: list[str]
) -> None:
    lines = "".join(f"{number},-{number + 1},{number}.5,t{number},\n" for number in range(20_000))
    (folder / "a.csv").write_text(f"a,b,c,d,e\n{lines}{late}\n")
    dataset = ask("a.csv").dataset
    assert dataset is not None
    assert dataset.rows == 20_001
    rows = dataset_rows(dataset.path)
    with duckdb.connect() as connection:
        found = connection.execute("describe from read_parquet($1)", [dataset.path]).fetchall()
    assert [kind for _, kind, *_ in found] == types
    shown = [("" if value is None else str(value)) for value in rows[-1].values()]
    assert [text.removesuffix(".0") for text in shown] == [
        "100000" if text == "1e5" else text for text in late.split(",")
    ]
    assert not list(ask.run_files.rglob("*.partial"))


@pytest.mark.parametrize(
    ("late", "what"), [("1,2", "line 20002"), ('1,"2,3', "line 20002"), ("1,\xff,2", "")]
)
def test_a_broken_row_far_down_is_told_with_its_line(
    ask: Asker, folder: Path, late: str, what: str
) -> None:
    content = "a,b,c\n" + "1,2,3\n" * 20_000 + late + "\n"
    (folder / "a.csv").write_bytes(content.encode("latin-1"))
    refused = ask.refusal("a.csv")
    assert refused.code == "file.invalid"
    assert what in refused.what


def test_a_parquet_file_that_changes_while_it_is_copied_is_told(
    ask: Asker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet("select r from range(20000) as t(r)", folder / "a.parquet")
    look = parquet_tables.parquet_table

    def look_then_change(*given: Any) -> Any:
        table = look(*given)
        (folder / "a.parquet").write_bytes(b"other")
        return table

    monkeypatch.setattr(reader, "parquet_table", look_then_change)
    assert ask.refusal("a.parquet").code == "file.failed"
    assert not list(ask.run_files.rglob("*.p*"))


def test_numbers_of_parquet_that_json_does_not_have_are_told(ask: Asker, folder: Path) -> None:
    for rows in (3, 20_000):
        query = f"select 'nan'::float as a, 1.5::double as b from range({rows})"
        write_parquet(query, folder / "a.parquet")
        found = ask("a.parquet").warnings
        assert [(each.code, each.count) for each in found] == [("rows.not_finite", rows)]


def test_a_limit_cuts_off_few_and_many(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(30_000)))
    few = ask("a.csv", limit=3)
    assert (few.rows, few.truncated) == ([{"id": 0}, {"id": 1}, {"id": 2}], True)
    many = ask("a.csv", limit="20000")
    assert (many.count, many.truncated) == (20_000, True)
    assert many.dataset is not None
    assert len(dataset_rows(many.dataset.path)) == 20_000


def test_outside_a_run_many_rows_are_cut_off(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("id\n" + "1\n" * 30_000)
    collected = ask("a.csv", run_id=None)
    assert (collected.dataset, collected.truncated, collected.count) == (None, True, 10_000)


def test_a_file_that_changes_while_it_is_read_is_told(
    ask: Asker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.csv").write_text("a\n1\n")
    detect = csv_tables._typed

    def detect_then_change(*given: Any) -> Any:
        table = detect(*given)
        (folder / "a.csv").write_text("a\nx\n")
        return table

    monkeypatch.setattr(csv_tables, "_typed", detect_then_change)
    refused = ask.refusal("a.csv")
    assert refused.code == "file.failed"
    assert "Conversion Error" in refused.why


_CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8
) | st.sampled_from(["0", "12", "-3", "007", "1.5", "1e5", "", "x"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6))
def test_what_python_writes_as_csv_is_read_back(
    tmp_path: Path, table: list[tuple[str, str]]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    target = io.StringIO()
    writer = csv.writer(target, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *table])
    (folder / "a.csv").write_bytes(target.getvalue().encode())
    rows = asker(folder).rows("a.csv", delimiter=",", types="text")
    assert rows == [{"a": one or None, "b": two or None} for one, two in table]


# Several files


def test_files_of_a_pattern_come_in_order_with_their_names(ask: Asker, folder: Path) -> None:
    (folder / "b.csv").write_text("id,b\n2,x\n")
    (folder / "a [x].csv").write_text("id,a\n1,1\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "c.csv").write_text("id\n03\n")
    collected = ask("**/*.csv", source_file=True)
    assert collected.rows == [
        {"id": "1", "a": 1, "b": None, "source_file": "a [x].csv"},
        {"id": "2", "a": None, "b": "x", "source_file": "b.csv"},
        {"id": "03", "a": None, "b": None, "source_file": "sub/c.csv"},
    ]
    assert (collected.details["files"], collected.details["format"]) == (3, "csv")
    assert ask.rows("a [x].csv") == [{"id": 1, "a": 1}]
    assert len(ask.rows(str(folder / "b*"))) == 1


def test_files_of_different_formats_are_not_mixed(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("a\n1\n")
    (folder / "a.json").write_text("[]")
    refused = ask.refusal("a.*")
    assert refused.code == "file.unknown_format"
    assert "csv and json" in refused.why


def test_too_many_files_are_refused(folder: Path) -> None:
    for number in range(4):
        (folder / f"{number}.csv").write_text("a\n")
    assert asker(folder, max_files=3).refusal("*.csv").code == "file.too_many"


# Where files may be


def test_nothing_outside_the_roots_is_read(ask: Asker, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    (folder / "link.csv").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    for endpoint in (
        str(secret), "../secret.csv", "link.csv", "up/secret.csv", "*.csv", "up/*.csv", "../*.csv",
        "/proc/self/environ", "/etc/*.conf", f"file://{secret}", "/no/such/file.csv",
    ):  # fmt: skip
        refused = ask.refusal(endpoint, format="csv")
        assert refused.code == "file.outside_roots", endpoint
        assert str(folder) in refused.why
        assert "[plugins.file-collector.config]" in refused.fix


def test_a_link_within_the_roots_is_followed(ask: Asker, folder: Path) -> None:
    (folder / "a.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to("a.csv")
    assert ask.rows("link.csv", source_file=True) == [{"a": 1, "source_file": "link.csv"}]
    (folder / "circle.csv").symlink_to("circle.csv")
    assert ask.refusal("circle.csv").code in ("file.unreadable", "file.not_found")


def test_the_system_is_not_read_even_below_a_root(folder: Path) -> None:
    everything = asker(folder, roots=["/"])
    assert everything.refusal("/proc/self/environ", format="csv").code == "file.outside_roots"


def test_only_regular_files_are_read(ask: Asker, folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    assert ask.refusal("pipe.csv").why == "it is a pipe"
    assert ask.refusal("folder.csv").why == "it is a folder"
    device = asker(folder, roots=["/dev"]).refusal("/dev/zero", format="csv")
    assert (device.code, device.why) == ("file.not_regular", "it is a device")


@pytest.mark.parametrize("endpoint", ["none.csv", "", "a\0b.csv", "*.none", "http://host/a.csv"])
def test_what_is_not_there_is_told(ask: Asker, endpoint: str) -> None:
    assert ask.refusal(endpoint).code == "file.not_found"


def test_a_format_that_is_not_known_is_told_with_the_known_ones(ask: Asker, folder: Path) -> None:
    (folder / "a.doc").write_text("a")
    refused = ask.refusal("a.doc")
    assert refused.code == "file.unknown_format"
    assert ".parquet" in refused.fix
    refused = ask.refusal("a.doc", format="cvs")
    assert refused.code == "file.invalid_parameters"
    assert ask.refusal("a.doc", fromat="csv").fix == "did you mean 'format'?"


# JSON, JSON Lines, TOML


def test_json_is_a_list_an_object_or_a_list_at_a_path(ask: Asker, folder: Path) -> None:
    rows = [{"a": 1, "b": [1, {"c": None}]}, {"a": 1.5}]
    (folder / "list.json").write_text(msgspec.json.encode(rows).decode())
    assert ask.rows("list.json") == rows
    (folder / "deep.json").write_text(msgspec.json.encode({"x": {"y": rows}}).decode())
    assert ask.rows("deep.json", path="x.y") == rows
    assert ask.rows("deep.json") == [{"x": {"y": rows}}]
    assert ask.rows("list.json", source_file=True)[1] == {"a": 1.5, "source_file": "list.json"}


@pytest.mark.parametrize(
    ("name", "content", "given", "what", "why"),
    [
        ("a.json", '[\n{"a": 1},\n{]', {}, "a.json, line 3", "JSON is malformed"),
        ("a.json", "[1]", {}, "a.json", "item 0 at the top level is not an object"),
        ("a.json", "3", {}, "a.json", "the top level is neither"),
        ("a.json", '{"a": 1}', {"path": "b.c"}, "a.json", "there is nothing at b"),
        ("a.jsonl", '{"a": 1}\n\n{"a"\n', {}, "a.jsonl, line 3", "Input data was truncated"),
        ("a.jsonl", "[1]\n", {}, "a.jsonl, line 1", "Expected object, got array"),
        ("a.toml", "a = 1\nb = \n", {}, "a.toml, line 2", "Invalid value"),
    ],
)
def test_a_broken_text_is_told_with_file_and_line(
    ask: Asker, folder: Path, name: str, content: str, given: dict[str, Any], what: str, why: str
) -> None:
    (folder / name).write_text(content)
    refused = ask.refusal(name, **given)
    assert (refused.code, refused.retryable) == ("file.invalid", False)
    assert refused.what.startswith(f"{what}:")
    assert refused.why.startswith(why)


def test_json_lines_are_read_one_by_one(ask: Asker, folder: Path) -> None:
    lines = "".join(f'{{"id": {number}}}\n' for number in range(15_000))
    (folder / "a.jsonl").write_text("\ufeff" + lines)
    rows = ask.rows("a.jsonl")
    assert [row["id"] for row in rows] == list(range(15_000))
    (folder / "b.ndjson").write_bytes('{"a": "ü"}'.encode("cp1252"))
    assert ask.rows("b.ndjson", encoding="cp1252") == [{"a": "ü"}]
    assert ask.refusal("b.ndjson").code == "file.invalid"


def test_toml_is_a_table_or_an_array_of_tables(ask: Asker, folder: Path) -> None:
    (folder / "a.toml").write_text("[[rows]]\nday = 2026-01-01\n[[rows]]\nb = true\n")
    assert ask.rows("a.toml", path="rows") == [{"day": "2026-01-01"}, {"b": True}]
    assert ask.rows("a.toml") == [{"rows": [{"day": "2026-01-01"}, {"b": True}]}]


# Parquet


def write_parquet(query: str, path: Path) -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'Europe/Berlin'")
        connection.execute(f"copy ({query}) to '{path}' (format parquet)")


VALUES = """
    1::int as i, 1.25::decimal(9,2) as d, 7::decimal(9,0) as w, 'nan'::double as n,
    0.5::float as f, date '2026-01-02' as day, timestamp '2026-01-02 03:04:05' as at,
    timestamp '2026-01-02 03:04:05.25' as precise,
    timestamptz '2026-01-02 03:04:05+02' as zoned, true as yes, null::int as none,
    'x' as "odd ""name", uuid '00000000-0000-0000-0000-000000000001' as id
"""
EXPECTED = {
    "i": 1, "d": 1.25, "w": 7, "n": None, "f": 0.5, "day": "2026-01-02",
    "at": "2026-01-02T03:04:05", "precise": "2026-01-02T03:04:05.250000",
    "zoned": "2026-01-02T01:04:05+00:00", "yes": True, "none": None, 'odd "name': "x",
    "id": "00000000-0000-0000-0000-000000000001",
}  # fmt: skip


def test_values_of_parquet_become_plain(ask: Asker, folder: Path, tmp_path: Path) -> None:
    write_parquet(f"select {VALUES}, [1, 2] as list, {{'k': date '2026-01-01'}} as map",
                  tmp_path / "a.parquet")  # fmt: skip
    (tmp_path / "a.parquet").rename(folder / "a.parquet")
    (row,) = ask.rows("a.parquet")
    assert row == {**EXPECTED, "list": [1, 2], "map": {"k": "2026-01-01"}}


def test_many_rows_of_parquet_are_as_plain_as_few(ask: Asker, folder: Path, tmp_path: Path) -> None:
    # A nested value is made plain by Python, and goes to JSON Lines; the rest to Parquet.
    write_parquet(f"select {VALUES}, [r] as r from range(20000) as t(r)", tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(folder / "a.parquet")
    rows = ask.rows("a.parquet")
    assert (len(rows), rows[-1]) == (20_000, {**EXPECTED, "r": [19_999]})
    write_parquet(f"select {VALUES}, r from range(20000) as t(r)", tmp_path / "b.parquet")
    (tmp_path / "b.parquet").rename(folder / "b.parquet")
    dataset = ask("b.parquet").dataset
    assert dataset is not None
    assert dataset.format == "parquet"
    content = (folder / "b.parquet").read_bytes()
    assert Path(dataset.path).read_bytes() == content  # the aggregation makes its values plain
    assert dataset.sha256 == hashlib.sha256(content).hexdigest()
    (tmp_path / "place").mkdir()
    computation = Computation(tmp_path / "place", tmp_path, "all", 256, 2)
    source = SourceRows(name="b", dataset=dataset)
    result = computation.run([source], read_aggregation({"method": "union"})).dataset
    assert result is not None
    last = msgspec.json.decode(Path(result.path).read_bytes().splitlines()[-1])
    assert last == {**EXPECTED, "r": 19_999}


def test_parquet_files_with_different_columns_are_one_table(
    ask: Asker, folder: Path, tmp_path: Path
) -> None:
    write_parquet("select 1 as a", tmp_path / "1.parquet")
    write_parquet("select 2 as a, 'x' as b", tmp_path / "2.parquet")
    for name in ("1.parquet", "2.parquet"):
        (tmp_path / name).rename(folder / name)
    assert ask.rows("*.parquet", source_file=True) == [
        {"a": 1, "b": None, "source_file": "1.parquet"},
        {"a": 2, "b": "x", "source_file": "2.parquet"},
    ]


def test_a_broken_parquet_file_is_told(ask: Asker, folder: Path) -> None:
    (folder / "a.parquet").write_bytes(b"PAR1 but no more")
    refused = ask.refusal("a.parquet")
    assert refused.code == "file.invalid"
    assert refused.what.startswith("a.parquet")
    assert "/tmp/" not in str(refused)


# Excel


def write_excel(path: Path, sheets: dict[str, list[list[Any]]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)


def test_a_sheet_has_rows_with_plain_values(ask: Asker, folder: Path) -> None:
    head = ["id", "amount", "day", "text", None]
    row = [1, 9.5, datetime.date(2026, 1, 2), "0012", True]
    write_excel(folder / "a.xlsx", {"First": [head, row, [], [2, None, None, None, False]]})
    assert ask.rows("a.xlsx") == [
        {"id": 1, "amount": 9.5, "day": "2026-01-02", "text": "0012", "column5": True},
        {"id": 2, "amount": None, "day": None, "text": None, "column5": False},
    ]


def test_a_moment_at_midnight_keeps_its_time(ask: Asker, folder: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    day, midnight = datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2)
    formats = [
        "yyyy-mm-dd hh:mm",
        "m/d/yy h:mm",
        '"h:s" yyyy-mm-dd',
        "[$-409]d/m/yyyy\\s",
        "dd.mm.",
    ]
    workbook.active.append([])
    workbook.active.append([None, "day", "moment", *map(str, range(len(formats)))])
    workbook.active.append([None, day, midnight, *[midnight] * len(formats)])
    workbook.active.append([None, day, midnight.replace(hour=10), *[midnight] * len(formats)])
    for row in (3, 4):
        for column, format in enumerate(formats, 4):
            workbook.active.cell(row, column).number_format = format
    workbook.save(folder / "a.xlsx")
    moment = "2026-01-02T00:00:00"
    first, second = ask.rows("a.xlsx")
    assert list(first.values()) == [
        "2026-01-02", moment, moment, moment, "2026-01-02", "2026-01-02", "2026-01-02"
    ]  # fmt: skip
    assert second["moment"] == "2026-01-02T10:00:00"


def test_an_error_in_a_cell_is_null_with_a_warning(ask: Asker, folder: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    for row in (["id", "rate"], [1, "#N/A"], ["#DIV/0!", "#N/A"], [3, 1.5]):
        workbook.active.append(row)
    for cell in ("B2", "A3", "B3"):
        workbook.active[cell].data_type = "e"
    workbook.save(folder / "a.xlsx")
    collected = ask("a.xlsx")
    nothing = {"id": None, "rate": None}
    assert collected.rows == [{"id": 1, "rate": None}, nothing, {"id": 3, "rate": 1.5}]
    assert [(each.code, each.count, each.message[:22]) for each in collected.warnings] == [
        ("excel.error_value", 2, "row 1, rate: '#N/A': a"),
        ("excel.error_value", 1, "row 2, id: '#DIV/0!': "),
    ]


def test_a_sheet_is_named_and_a_misspelt_one_is_told_the_right_one(
    ask: Asker, folder: Path
) -> None:
    write_excel(folder / "a.xlsx", {"First": [["a"], [1]], "Second": [["b"], [2]]})
    assert ask.rows("a.xlsx", sheet="Second") == [{"b": 2}]
    assert ask.rows("a.xlsx", sheet="Second", header=False) == [{"column1": "b"}, {"column1": 2}]
    assert ask.refusal("a.xlsx", sheet="Secnd").fix == "did you mean 'Second'?"


def test_a_broken_workbook_is_told(ask: Asker, folder: Path) -> None:
    (folder / "a.xlsx").write_bytes(b"PK no workbook")
    (folder / "b.xls").write_bytes(b"no workbook")
    assert ask.refusal("a.xlsx").code == "file.invalid"
    assert ask.refusal("b.xls").code == "file.invalid"


# Ending


def test_reading_that_nobody_waits_for_ends(ask: Asker, folder: Path) -> None:
    with gzip.open(folder / "a.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(40):
            file.write(b"a,b\n" * 1_000_000)

    async def cancelled() -> None:
        await ask.start()
        task = asyncio.create_task(ask.ask("a.csv.gz", {}, None))
        async with asyncio.timeout(60):
            while not _threads():  # noqa: ASYNC110 - a thread begins without an event
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ask.plugin.stop()

    asyncio.run(cancelled())
    deadline = time.monotonic() + 60
    while _threads():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _threads() -> list[str]:
    return [each.name for each in threading.enumerate() if "file-collector" in each.name]
