"""What the orchestrator tells of a machine that waits: what it accepts, and its picture."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_sdk.records import CheckpointSaved

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
DEFINITION = msgspec.convert(
    {
        "name": "door",
        "kind": "reactive",
        "initial": "closed",
        "states": {"closed": {}, "open": {"timeout": {"after": "1m", "event": "too.long"}}},
        "transitions": [
            {"name": "push", "from": "closed", "to": "open", "trigger": "user.push",
             "condition": "event.data.hard == true"},
            {"name": "pull", "from": "open", "to": "closed", "trigger": "user.pull"},
            {"name": "shut", "from": "open", "to": "closed", "trigger": "too.long"},
            {"name": "give_up", "from": "open", "to": "closed", "trigger": "error.anything"},
        ],
    },
    ReactiveDefinition,
)  # fmt: skip


def kept(
    active: str, transitions: list[str], timers: dict[str, Any] | None = None
) -> CheckpointSaved:
    return CheckpointSaved(
        run_id="r",
        at=NOW,
        state={"active": [active], "timers": timers or {}},
        label=active,
        trace={"transitions": transitions},
    )


def test_it_says_which_events_lead_where_and_under_which_condition() -> None:
    (only,) = ReactiveOrchestrator().accepts(DEFINITION, {"active": ["closed"]})
    assert (only.event, only.transition, only.targets) == ("user.push", "push", ("open",))
    assert (only.condition, only.from_within) == ("event.data.hard == true", False)


def test_timers_and_failures_come_from_within() -> None:
    timer = {"due": NOW.isoformat(), "event": "too.long"}
    state = kept("open", [], {"state:open": timer}).state
    found = ReactiveOrchestrator().accepts(DEFINITION, state)
    assert {each.transition: each.from_within for each in found} == {
        "pull": False, "shut": True, "give_up": True,
    }  # fmt: skip


def test_a_runs_picture_marks_its_state_and_its_path() -> None:
    graph = ReactiveOrchestrator().graph_of_run(DEFINITION, [kept("closed", []),
                                                             kept("open", ["push"])])  # fmt: skip
    marks = {node.label.partition("\n")[0]: node.mark for node in graph.nodes}
    assert (marks["open"], marks["closed"]) == ("current", "visited")
    taken = {edge.label.partition("\n")[0] for edge in graph.edges if edge.mark == "visited"}
    assert "push" in taken
    assert "pull" not in taken


def test_a_run_that_kept_nothing_has_a_picture_without_marks() -> None:
    graph = ReactiveOrchestrator().graph_of_run(DEFINITION, [])
    assert {node.mark for node in graph.nodes} == {""}
