"""The machines that the tests of this folder share."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import HandlerInfo

# The original's document_approval, as createDocumentApprovalWorkflow writes it.
APPROVAL = """
name = "document-approval"
kind = "reactive"
initial = "started"
data = { document = "${input.document}", round = 0 }
result = { state = "${instance.states[0]}", round = "${data.round}" }

[states.started]
entry = ["assign"]
[states.under_review]
entry = ["notify_reviewers", "remind_later"]
exit = ["forget_reminder"]
timeout = { after = "24h", event = "review.overdue" }
[states.changes_requested]
timeout = "168h"
[states.approved]
final = true
entry = ["archive"]
[states.rejected]
final = true

[[transitions]]
name = "begin"
from = "started"
to = "under_review"
[[transitions]]
name = "approve"
from = "under_review"
to = "approved"
trigger = "user.action"
condition = "event.data.action == 'approve'"
[[transitions]]
name = "reject"
from = "under_review"
to = "rejected"
trigger = "user.action"
condition = "event.data.action == 'reject'"
[[transitions]]
name = "request_changes"
from = "under_review"
to = "changes_requested"
trigger = "user.action"
condition = "event.data.action == 'request_changes'"
[[transitions]]
name = "resubmit"
from = "changes_requested"
to = "under_review"
trigger = "document.changed"
actions = ["count"]
[[transitions]]
name = "remind"
from = "under_review"
trigger = "review.reminder"
actions = ["notify_reviewers"]
[[transitions]]
name = "escalate"
from = "under_review"
to = "under_review"
trigger = "review.overdue"
actions = ["notify_manager"]
[[transitions]]
name = "give_up"
from = "changes_requested"
to = "rejected"
trigger = "timer.expired"

[actions.assign]
type = "set"
values = { reviewers = ["ada", "bob"] }
[actions.count]
type = "script"
expression = "{'round': data.round + 1}"
[actions.notify_reviewers]
type = "message"
topic = "review.wanted"
message = { to = "${data.reviewers}" }
[actions.notify_manager]
type = "message"
topic = "review.escalated"
[actions.remind_later]
type = "timer"
timer = "reminder"
after = "4h"
event = "review.reminder"
[actions.forget_reminder]
type = "timer"
timer = "reminder"
cancel = true
[actions.archive]
type = "plugin_call"
operation = "document.archive"
message = { document = "${data.document}" }
result = "archived"
"""

# Nested states, regions, both kinds of history, events of its own.
PRODUCTION = """
name = "production"
kind = "reactive"
initial = "idle"
data = { pieces = 0 }

[states.idle]
[states.working]
initial = "past"
timeout = "8h"
[states.working.states.past]
history = "deep"
initial = "making"
[states.working.states.making]
parallel = true
[states.working.states.making.states.press]
initial = "cold"
[states.working.states.making.states.press.states.cold]
timeout = { after = "5m", event = "press.hot" }
[states.working.states.making.states.press.states.hot]
[states.working.states.making.states.press.states.pressed]
final = true
[states.working.states.making.states.belt]
[states.working.states.making.states.belt.states.loading]
[states.working.states.making.states.belt.states.loaded]
final = true
[states.working.states.packing]
[states.paused]
[states.stopped]
final = true

[[transitions]]
name = "begin"
from = "idle"
to = "working"
trigger = "shift.begins"
[[transitions]]
name = "heat"
from = "cold"
to = "hot"
trigger = "press.hot"
[[transitions]]
name = "press"
from = "hot"
to = "pressed"
trigger = "press.closed"
[[transitions]]
name = "load"
from = "loading"
to = "loaded"
trigger = "belt"
[[transitions]]
name = "pack"
from = "making"
to = "packing"
trigger = "done.state.making"
[[transitions]]
name = "next"
from = "packing"
to = "making"
trigger = "packed"
actions = ["count"]
[[transitions]]
name = "restart"
from = "packing"
to = ["hot", "loading"]
trigger = "skip"
[[transitions]]
name = "pause"
from = "working"
to = "paused"
trigger = "pause"
[[transitions]]
name = "resume"
from = "paused"
to = "past"
trigger = "resume"
[[transitions]]
name = "note"
from = "working"
trigger = "note"
actions = ["count"]
[[transitions]]
name = "end"
from = "*"
to = "stopped"
trigger = "timer.expired"
[[transitions]]
name = "emergency"
from = ["working", "paused"]
to = "stopped"
trigger = "stop"

[actions.count]
type = "set"
values = { pieces = "${data.pieces + 1}" }
"""


def machine(text: str) -> ReactiveDefinition:
    """Read a machine."""
    return msgspec.convert(tomllib.loads(text), ReactiveDefinition)


ARCHIVE = HandlerInfo(
    topic="document.archive",
    plugin="archive",
    version="1.0.0",
    execution="async",
    accepts=None,
    wrapper=False,
    message_type="Any",
    response_type="Any",
)


def problems(definition: ReactiveDefinition, workflows: Iterable[str] = ()) -> dict[str, str]:
    """Return what is wrong by its path, as ``workflows validate`` would say it."""
    orchestrator: Any = ReactiveOrchestrator()
    workflow = Workflow(definition=definition, orchestrator=orchestrator, source="t", text="")
    topics = {ARCHIVE.topic: [ARCHIVE]}
    found = check(workflow, Expressions(), topics, list(workflows))
    return {each.path: f"{each.what} ({each.fix})" for each in found}


def made(
    states: Mapping[str, Any],
    *transitions: Any,
    actions: Mapping[str, Any] | None = None,
    initial: str = "a",
) -> ReactiveDefinition:
    """Make a machine; a transition is (from, trigger, to) or in full."""
    ways = [
        {"from": each[0], "trigger": each[1], "to": each[2]} if isinstance(each, tuple) else each
        for each in transitions
    ]
    given = {
        "name": "m",
        "kind": "reactive",
        "initial": initial,
        "states": states,
        "transitions": [{"name": f"t{at}", **way} for at, way in enumerate(ways)],
        "actions": actions or {},
    }
    return msgspec.convert(given, ReactiveDefinition)


END = {"end": {"final": True}}
