"""Events from run to run: between machines, to a parent, to children, and to a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit, WorkflowRun
from qtforge_sdk import Run
from qtforge_sdk.workflows import workflow

PARENT = """
name = "order"
kind = "reactive"
data = { answers = [], child = "" }
result = { answers = "${data.answers}" }

[states.asking]
entry = ["begin"]
[states.paid]
entry = ["thank"]
[states.done]
final = true

[[transitions]]
name = "wanted"
from = "asking"
to = "paid"
trigger = "money.wanted"
condition = "event.sender == data.child && event.type == 'external'"
actions = ["note"]

[[transitions]]
name = "thanked"
from = "paid"
trigger = "thanks.received"
actions = ["note"]

[[transitions]]
name = "over"
from = "paid"
to = "done"
trigger = "done.workflow.begin"

[actions.begin]
type = "workflow"
workflow = "payment"
result = "child"
keep = true                          # the state that starts it is left

[actions.note]
type = "set"
values = { answers = "${data.answers + [event.data]}" }

[actions.thank]
type = "foreach"
items = [1, 2, 3]
item = "nth"
actions = ["say"]

[actions.say]
type = "send"
event = "thanks.${string(data.nth)}"
target = "#begin"
data = "${data.nth}"
"""

CHILD = """
name = "payment"
kind = "reactive"
data = { heard = 0 }

[states.wanting]
entry = ["ask"]
[states.over]
final = true

[[transitions]]
name = "hear"
from = "wanting"
trigger = "thanks"
actions = ["count", "answer"]

[[transitions]]
name = "enough"
from = "wanting"
to = "over"
condition = "data.heard == 3"

[actions.ask]
type = "send"
event = "money.wanted"
target = "#parent"
data = { amount = 3 }

[actions.count]
type = "set"
values = { heard = "${data.heard + 1}" }

[actions.answer]
type = "send"
event = "thanks.received"
target = "${event.sender}"
data = "${event.data}"
"""

ANSWERS = [{"amount": 3}, 1, 2, 3]


def sender(target: str, *, then: str = "sent", data: str = "{ n = 1 }") -> str:
    return f"""
name = "sender"
kind = "reactive"
data = {{ to = "${{input.to}}" }}
result = {{ state = "${{instance.states[0]}}", event = "${{event.data}}" }}
[states.sending]
entry = ["tell"]
[states.sent]
final = true
[states.refused]
final = true
[[transitions]]
name = "refused"
from = "sending"
to = "refused"
trigger = "error.tell"
[[transitions]]
name = "sent"
from = "sending"
to = "sent"
trigger = "{then}"
[actions.tell]
type = "send"
event = "paid"
target = "{target}"
data = {data}
"""


@workflow("waiter")
async def waiter(run: Run) -> Any:
    return await run.wait_event("paid")


def test_a_child_and_its_parent_talk(workflows: WorkflowKit) -> None:
    workflows.add(PARENT, CHILD)
    run = workflows.run("order")
    assert run.status == "succeeded", run.timeline
    assert run.result["answers"] == ANSWERS


def test_each_event_counts_once_wherever_a_process_died(workflows: WorkflowKit) -> None:
    workflows.add(PARENT, CHILD)
    report = workflows.crash_at_every_write("order")
    report.check()
    assert len(report.died) > 20


def test_a_function_receives_what_a_machine_sends(workflows: WorkflowKit) -> None:
    workflows.add(sender("#${data.to}", then="never"), waiter)
    waiting = workflows.run("waiter")
    workflows.run("sender", {"to": waiting.id})
    assert (waiting.status, waiting.result) == ("succeeded", {"n": 1})


@workflow("teller")
async def teller(run: Run, given: Mapping[str, Any]) -> Any:
    await run.send_event([given["to"]], "paid", {"n": 2}, step="tell")
    return run.parent_id


def test_a_function_sends_too(workflows: WorkflowKit) -> None:
    workflows.add(waiter, teller)
    waiting = workflows.run("waiter")
    run = workflows.run("teller", {"to": waiting.id})
    assert (run.status, run.result) == ("succeeded", None)
    assert waiting.result == {"n": 2}


@pytest.mark.parametrize("to", ["nobody", "#nobody", "", "#"])
def test_an_unknown_run_is_a_failure_of_the_action(workflows: WorkflowKit, to: str) -> None:
    workflows.add(sender("${data.to}", then="never"))
    run = workflows.run("sender", {"to": to})
    assert run.result["state"] == "refused"
    code = "run.not_found" if to.strip("#") else "machine.no_target"
    assert run.result["event"]["code"] == code


def test_a_machine_without_a_parent_has_none_to_send_to(workflows: WorkflowKit) -> None:
    workflows.add(sender("#parent", then="never"))
    assert workflows.run("sender", {"to": ""}).result["state"] == "refused"


def test_what_a_machine_sends_to_itself_comes_after_what_it_raises(
    workflows: WorkflowKit,
) -> None:
    text = sender("#self", then="paid") + '[actions.first]\ntype = "raise"\nevent = "own"\n'
    text = text.replace('entry = ["tell"]', 'entry = ["tell", "first"]')
    text += '[[transitions]]\nname = "own"\nfrom = "sending"\ntrigger = "own"\n'
    workflows.add(text)
    run = workflows.run("sender", {"to": ""})
    assert run.result == {"state": "sent", "event": {"n": 1}}
    taken = [line for line in run.timeline.splitlines() if "own" in line]
    assert taken, run.timeline


def test_an_event_for_a_run_that_has_ended_changes_nothing(workflows: WorkflowKit) -> None:
    workflows.add(sender("${data.to}", then="never"), waiter, teller)
    waiting = workflows.run("waiter")
    workflows.run("teller", {"to": waiting.id})
    again = workflows.run("sender", {"to": waiting.id})
    assert again.status == "waiting"
    assert waiting.result == {"n": 2}


CANCELS = """
name = "stopper"
kind = "reactive"
[states.started]
entry = ["begin"]
[states.stopped]
final = true
[[transitions]]
name = "stop"
from = "started"
to = "stopped"
trigger = "stop"
actions = ["cancel"]
[actions.begin]
type = "workflow"
workflow = "waiter"
keep = true
[actions.cancel]
type = "if"
condition = "true"
then = ["stop_it"]
[actions.stop_it]
type = "cancel"
action = "begin"
"""


def test_a_started_workflow_is_cancelled_once_wherever_a_process_died(
    workflows: WorkflowKit,
) -> None:
    workflows.add(CANCELS, waiter)

    def story(run: WorkflowRun) -> None:
        run.send("stop")

    report = workflows.crash_at_every_write("stopper", story=story)
    report.check()
    assert len(report.died) > 5


FAILS = """
name = "refusing"
kind = "reactive"
data = { n = 7 }
[states.started]
[states.refused]
final = true
fail = { code = "order.refused", message = "${data.n} is too much for ${event.data.by}" }
[[transitions]]
name = "refuse"
from = "started"
to = "refused"
trigger = "refuse"
"""


def test_a_machine_that_fails_by_its_own_decision_has_the_code_wherever_a_process_died(
    workflows: WorkflowKit,
) -> None:
    workflows.add(FAILS)

    def story(run: WorkflowRun) -> None:
        run.send("refuse", by="Ada")

    workflows.crash_at_every_write("refusing", story=story).check()
    run = workflows.run("refusing")
    story(run)
    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("order.refused", "7 is too much for Ada")


def test_the_result_of_the_final_state_goes_before_that_of_the_machine(
    workflows: WorkflowKit,
) -> None:
    text = sender("#self", then="paid").replace(
        "[states.sent]\nfinal = true", '[states.sent]\nfinal = true\nresult = "${event.data.n}"'
    )
    workflows.add(text)
    assert workflows.run("sender", {"to": ""}).result == 1


def test_what_was_sent_before_a_process_was_killed_is_sent_once(workflows: WorkflowKit) -> None:
    workflows.add(sender("#self", then="paid"))
    report = workflows.crash_at_every_write("sender", {"to": ""}, for_real=True)
    report.check()
    assert report.result == {"state": "sent", "event": {"n": 1}}
