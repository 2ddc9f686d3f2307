"""What a retry does again: what failed and what depends on it, not what came later in time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.graph import GraphDefinition
from qtforge_builtin_plugins.orchestrators.sequential import SequentialDefinition
from qtforge_builtin_plugins.orchestrators.stage_repeats import steps_repeated_with


def definition(kind: str, *stages: dict[str, Any], **blocks: Any) -> Any:
    table = {
        "name": "w",
        "kind": kind,
        "stages": [{"operation": "a.b", **stage} for stage in stages],
        "blocks": {name: {"stages": each} for name, each in blocks.items()},
    }
    return msgspec.convert(table, GraphDefinition if kind == "graph" else SequentialDefinition)


GRAPH = definition(
    "graph",
    {"name": "a"},
    {"name": "b", "needs": ["a"]},
    {"name": "c", "needs": ["a"]},
    {"name": "d", "needs": ["b"]},
    {"name": "e", "needs": ["c", "d"]},
)


@pytest.mark.parametrize(("step", "again"), [("b", "bde"), ("c", "ce"), ("a", "abcde"), ("e", "e")])
def test_in_a_graph_it_is_the_stage_and_what_needs_it(step: str, again: str) -> None:
    assert steps_repeated_with(GRAPH, {step}, list("acbde"), ()) == set(again)


def test_in_a_sequence_it_is_the_stage_and_every_later_one() -> None:
    made = definition("sequential", {"name": "a"}, {"name": "b"}, {"name": "c"})
    assert steps_repeated_with(made, {"b"}, list("abc"), ()) == {"b", "c"}


EACH = definition(
    "graph",
    {"name": "each", "operation": None, "block": "one", "foreach": [1, 2, 3]},
    {"name": "beside"},
    {"name": "after", "needs": ["each"]},
    one=[{"name": "x", "operation": "a.b"}, {"name": "y", "operation": "a.b", "needs": ["x"]}],
)
ENDED = [
    "each[0].x", "each[1].x", "each[0].y", "each[0]", "each[2].x", "each[1].y", "each[1]",
    "beside", "each[2].y", "each[2]", "each",
]  # fmt: skip


@pytest.mark.parametrize("step", ["each", "each[1].y"])
def test_of_items_only_those_that_failed_are_done_again_and_of_these_what_failed(step: str) -> None:
    failed = {"each[1].y", "each[1]", "each"}
    assert steps_repeated_with(EACH, {step}, ENDED, failed) == {"each[1].y", "each[1]", "each"}


def test_without_a_failed_item_all_of_them_are_done_again() -> None:
    again = steps_repeated_with(EACH, {"each"}, [*ENDED, "after"], ())
    assert again == {*ENDED, "after"} - {"beside"}


def test_an_item_is_done_again_as_a_whole_and_the_others_are_kept() -> None:
    again = steps_repeated_with(EACH, {"each[0]"}, [*ENDED, "after"], ())
    assert again == {"each[0].x", "each[0].y", "each[0]", "each", "after"}


def test_what_was_compensated_within_an_item_is_done_again_with_what_followed_it_there() -> None:
    again = steps_repeated_with(EACH, {"each[0].x", "each[2].y"}, ENDED, ())
    assert again == {"each[0].x", "each[0].y", "each[0]", "each[2].y", "each[2]", "each"}
