"""Runs as a terminal and a file list them, and what `runs show` tells of a run's data."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.host.cli.terminals import in_terminal

from qtforge_host.api.documents import RunRow
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.cli.runs.rows import brief_time, folded, short_ids, tree
from qtforge_host.cli.runs.show import details
from qtforge_host.cli.runs.values import value_lines
from qtforge_host.runs.state import RunState
from qtforge_sdk import ErrorInfo
from qtforge_sdk.records import CompensationStarted, Record, RunStarted, StepFailed, StepStarted

AT = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
IDS = st.builds("20261130-20174{}-{:010x}".format, st.integers(0, 1), st.integers(0, 16**10 - 1))
PARENT = """
name = "parent"
kind = "sequential"
[[stages]]
name = "child"
workflow = "child"
"""
CHILD = """
name = "child"
kind = "sequential"
[[stages]]
name = "nothing"
operation = "audit.list"
when = "false"
"""


def row(run_id: str, parent: str | None = None) -> RunRow:
    empty = (
        "finished_at", "duration_s", "schedule", "concurrency_key", "state", "waiting_since",
        "started_by", "error_code", "error_plugin",
    )  # fmt: skip
    nothing = dict.fromkeys(empty)
    return msgspec.convert(
        {
            **nothing, "run_id": run_id, "workflow": "w", "kind": "sequential", "title": "",
            "tags": {}, "status": "succeeded", "started_at": AT, "owners": 1, "parent": parent,
            "pool": "default", "priority": 0, "held_by": [], "accepts": [],
        },
        RunRow,
    )  # fmt: skip


@given(st.lists(IDS, unique=True, min_size=1, max_size=30))
def test_a_short_id_is_the_beginning_of_one_id_alone(ids: list[str]) -> None:
    found = short_ids(ids)
    for run_id, short in found.items():
        assert [each for each in ids if each.startswith(short)] == [run_id]
        assert len(short) >= len("20261130-201745-0000")


def test_an_id_that_a_user_gave_is_not_shortened() -> None:
    assert short_ids(["invoice-2026", "invoice-2027"])["invoice-2026"] == "invoice-2026"


@pytest.mark.parametrize(
    ("ago", "shape"),
    [(0, "%H:%M:%S"), (3 * 86_400, "%m-%d %H:%M"), (400 * 86_400, "%Y-%m-%d")],
)
def test_a_time_is_as_long_as_it_must_be(ago: float, shape: str) -> None:
    at = AT - datetime.timedelta(seconds=ago)
    assert brief_time(at, AT) == f"{at.astimezone():{shape}}"


def test_a_run_whose_parent_is_in_the_list_is_folded_beneath_it_or_shown_there() -> None:
    rows = [row("d", "b"), row("c", "elsewhere"), row("b", "a"), row("a2"), row("a")]
    assert [(each.run_id, count) for each, count in folded(rows)] == [("c", 0), ("a2", 0), ("a", 2)]
    assert [(each.run_id, depth) for each, depth in tree(rows)] == [
        ("c", 0), ("a2", 0), ("a", 0), ("b", 1), ("d", 2)
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12))
def test_no_run_is_lost_or_shown_twice_whatever_the_parents(pairs: list[tuple[int, int]]) -> None:
    # A parent is older than its child, so it comes after it in the list.
    rows = [row(f"{one:02}", f"{one - other:02}" if other else None) for one, other in pairs]
    rows = sorted({each.run_id: each for each in rows}.values(), key=lambda each: each.run_id)[::-1]
    assert sorted(each.run_id for each, _ in tree(rows)) == sorted(each.run_id for each in rows)
    assert sum(1 + count for _, count in folded(rows)) == len(rows)


def test_a_terminal_folds_children_and_a_file_has_every_run(
    cli: Any, home: Path, environment: dict[str, str]
) -> None:
    folder = home / ".config" / "qtforge" / "workflows"
    folder.mkdir(parents=True)
    (folder / "parent.toml").write_text(PARENT)
    (folder / "child.toml").write_text(CHILD)
    said = cli("run", "parent")
    assert said.code == 0, said.err

    code, shown = in_terminal(environment, "runs", "list")
    assert code == 0
    lines = shown.splitlines()
    assert lines[1].split()[3:5] == ["parent", "+1"]
    assert lines[2:] == ["+N: so many runs that it has started; --all shows them"]
    short = lines[1].split()[2]
    assert cli("runs", "show", short, "--json").json["workflow"] == "parent"

    _, shown = in_terminal(environment, "runs", "list", "--all")
    assert [line.split()[3:5] for line in shown.splitlines()[2:]] == [["└", "child"]]

    rows = cli("runs", "list").out.splitlines()
    ids = [each["run_id"] for each in cli("runs", "list", "--json").json["runs"]]
    assert [line.split()[2] for line in rows[1:]] == ids
    assert len(ids) == 2

    _, shown = in_terminal(environment, "runs", "list", "--workflow", "child")
    assert shown.splitlines()[1].split()[3] == "child"


def test_a_value_is_a_line_for_each_key_or_whole() -> None:
    value = {"name": "Ada", "text": "x" * 500, "list": [1, 2]}
    brief = list(value_lines("input", value, full=False))
    assert brief[:2] == ["input", '  name  "Ada"']
    assert all(len(line) <= 100 for line in brief)
    assert brief[2].endswith("…")
    title, *lines = value_lines("input", value, full=True)
    assert title == "input"
    assert json.loads("\n".join(lines)) == value
    many = list(value_lines("result", dict.fromkeys(map(str, range(40)), 1), full=False))
    assert many[-1] == "  and 28 more; see --full"
    assert list(value_lines("result", [1, 2], full=False)) == ["result  [1,2]"]
    assert list(value_lines("result", None, full=True)) == []


def test_a_run_is_shown_with_its_input_and_result_and_whole_with_full(cli: Any) -> None:
    run_id = cli("run", "document-processing", "--json", "--set", "document.content=QUJD",
                 "--set", 'document.name="a.txt"').lines[0]["run_id"]  # fmt: skip
    shown = cli("runs", "show", run_id).out
    assert re.search(r'^input\n(  .*\n)*  document +\{.*"a\.txt"', shown, re.M), shown
    assert "result of document_parsing" not in shown
    whole = cli("runs", "show", run_id, "--full").out
    assert '\n    "document": {\n' in whole
    assert '\n      "name": "a.txt",\n' in whole
    assert "\nresult of document_parsing\n  {\n" in whole
    document = cli("runs", "show", run_id, "--json").json
    assert document["input"]["document"]["name"] == "a.txt"


def test_each_attempt_is_shown_with_its_message_and_its_traceback_safe_for_a_terminal() -> None:
    about: dict[str, Any] = {"run_id": "r", "at": AT}
    error = ErrorInfo(code="x", message="y", traceback="Traceback\n  File a\nOops: \x1b[31m")
    begun = StepStarted(**about, step="s", topic="t", message={"item": "tea"})
    again = StepStarted(**about, step="s", topic="t", attempt=2, message_note="it has 9 MB")
    failed = StepFailed(**about, step="s", error=error, required=True, duration_s=1.0)
    first = RunStarted(**about, workflow="w", kind="k", workflow_version="", input={}, plugins={})
    undone = CompensationStarted(**about, step="s", topic="u", message_note="it has 10 MB")
    records: list[Record] = [first, begun, failed, again, undone]
    state = RunState.from_records("r", records)
    seen = RunSnapshot(state=state, status="running", owners=1, records=records)
    assert list(details(seen, full=False)) == []
    assert [line for line in details(seen, full=True) if line] == [
        "message of s",
        "  {",
        '    "item": "tea"',
        "  }",
        "traceback of s, attempt 1",
        "  Traceback",
        "    File a",
        r"  Oops: \x1b[31m",
        "message of s: it has 9 MB",
        "message of the compensation of s: it has 10 MB",
    ]
