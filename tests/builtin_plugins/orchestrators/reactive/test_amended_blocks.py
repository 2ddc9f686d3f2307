"""A machine that is amended in the middle of a block of actions ends the block as it began it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import Plugin, operation
from qtforge_sdk.runs import AmendingAnswer, Amendment

ORDER = """
name = "order"
kind = "reactive"
initial = "open"
data = { told = [] }

[states.open]
entry = ["change", "tell", "tell_more"]
[states.shut]
entry = ["tell"]
[states.over]
final = true

[[transitions]]
name = "shut"
from = "open"
to = "shut"
trigger = "shut"
[[transitions]]
name = "end"
from = "shut"
to = "over"

[actions.change]
type = "plugin_call"
operation = "desk.change"
message = { from = "the first" }
[actions.tell]
type = "plugin_call"
operation = "desk.tell"
message = { text = "old" }
[actions.tell_more]
type = "plugin_call"
operation = "desk.tell"
message = { text = "old, too" }
"""
PATCH: list[dict[str, Any]] = [
    {"op": "replace", "path": "/states/open/entry", "value": ["other"]},
    {"op": "replace", "path": "/actions/tell/message/text", "value": "new"},
    {"op": "remove", "path": "/actions/tell_more"},
    {"op": "remove", "path": "/actions/change"},
    {"op": "add", "path": "/actions/other", "value": {"type": "set", "values": {}}},
    {"op": "replace", "path": "/transitions/0/trigger", "value": "close"},
]


class Desk(Plugin):
    """Amends the run that calls it, and remembers what it was told.

    Args:
        told: The texts, in order.
    """

    def __init__(self, told: list[str]) -> None:
        self.told = told

    @operation("desk.change")
    async def change(self, message: Mapping[str, Any]) -> AmendingAnswer:
        return AmendingAnswer(answer=None, amendments=[Amendment(patch=PATCH)])

    @operation("desk.tell")
    async def tell(self, message: Mapping[str, Any]) -> None:
        self.told.append(message["text"])


@pytest.fixture
def told(workflows: WorkflowKit) -> list[str]:
    found: list[str] = []
    workflows.add(ORDER, Desk(found))
    return found


def test_an_amendment_in_a_block_holds_from_the_next_event_on(
    workflows: WorkflowKit, told: list[str]
) -> None:
    run = workflows.run("order")
    assert (told, run.state, list(run.accepts)) == (["old", "old, too"], "open", ["close"])
    run.send("close")
    assert (told, run.status) == (["old", "old, too", "new"], "succeeded")


def test_a_block_in_which_a_run_was_amended_ends_as_it_began_wherever_its_process_dies(
    workflows: WorkflowKit, told: list[str]
) -> None:
    report = workflows.crash_at_every_write(
        "order",
        story=lambda run: run.send("close"),
        effects=lambda: list(dict.fromkeys(told)),
        before_each=told.clear,
    )
    report.check()
    assert report.status == "succeeded"
    assert report.points > 12
