"""Events and actions: run to completion, errors, timers, calls."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from tests.builtin_plugins.orchestrators.reactive.driving import NOW, Driven
from tests.builtin_plugins.orchestrators.reactive.machines import APPROVAL, END, machine, made

from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Event, Trace
from qtforge_sdk.errors import ExpressionError, OperationError

ACTIONS: dict[str, Any] = {
    "ask": {"type": "plugin_call", "operation": "o", "result": "got"},
    "try": {"type": "plugin_call", "operation": "o", "required": False},
    "tell": {"type": "message", "topic": "t", "message": {"n": "${data.n}"}},
    "stumble": {"type": "set", "values": {"x": "${data.nothing}"}},
    "add": {"type": "set", "values": {"n": "${data.n + 1}"}},
    "list": {"type": "script", "expression": "[1]"},
    "shout": {"type": "raise", "event": "heard", "data": {"n": "${data.n}"}},
    "wait": {"type": "timer", "after": "${data.wait}", "event": "late", "data": {"n": 1}},
    "hush": {"type": "timer", "timer": "wait", "cancel": True},
    "when": {"type": "timer", "at": "${data.at}", "event": "late"},
}


def doing(*actions: str, **ways: Any) -> Any:
    """Return a machine that does actions on ``go``."""
    go = {"from": "a", "trigger": "go", "actions": list(actions)}
    return made({"a": {}, **END}, go, *ways.get("ways", ()), actions=ACTIONS)


def test_exit_transition_and_entry_actions_come_in_this_order() -> None:
    actions = {
        name: {"type": "message", "topic": "t"} for name in ("leave", "on_the_way", "arrive")
    }
    states = {"a": {"exit": ["leave"]}, "b": {"entry": ["arrive"]}}
    way = {"from": "a", "to": "b", "trigger": "go", "actions": ["on_the_way"]}
    it = Driven(made(states, way, actions=actions))
    it.send("go")
    assert it.called == ["leave", "on_the_way", "arrive"]
    assert [call.step for call in it.calls] == ["1.leave", "2.on_the_way", "3.arrive"]


def test_an_event_of_its_own_is_handled_before_the_next_from_outside() -> None:
    ways = [("a", "heard", "end")]
    it = Driven(doing("shout", ways=ways), n=1)
    it.send("go")
    assert it.snapshot.finished == "end"
    assert it.snapshot.event == Event(name="heard", data={"n": 1}, type="internal")


def test_a_transition_without_trigger_is_taken_as_soon_as_its_condition_holds() -> None:
    way = {"from": "a", "to": "end", "condition": "data.n > 1"}
    it = Driven(doing("add", ways=[way]), n=0)
    it.send("go")
    assert it.active == ("a",)
    it.send("go")
    assert it.snapshot.finished == "end"


def test_a_machine_may_finish_before_any_event() -> None:
    it = Driven(made({"a": {}, **END}, {"from": "a", "to": "end"}))
    assert it.snapshot.finished == "end"
    assert Driven(made({"a": {"final": True}})).snapshot.finished == "a"


def test_the_highest_priority_goes_first_and_of_equal_ones_the_first_written() -> None:
    ways = [("a", "go", "b"), ("a", "go", "c"), {"from": "a", "trigger": "go", "to": "end"}]
    ways[2] |= {"priority": 1, "condition": "data.n > 1"}  # type: ignore[operator]
    definition = made({"a": {}, "b": {}, "c": {}, **END}, *ways)
    low, high = Driven(definition, n=1), Driven(definition, n=2)
    low.send("go")
    high.send("go")
    assert (low.active, high.active) == (("b",), ("end",))


def test_the_first_words_of_an_event_are_enough_for_a_trigger() -> None:
    it = Driven(made({"a": {}, **END}, ("a", "user", "end")))
    assert not it.send("users")
    assert it.send("user.action.late")


def test_an_event_without_a_name_takes_nothing() -> None:
    it = Driven(made({"a": {}, **END}, {"from": "a", "to": "end", "condition": "data.n > 1"}), n=1)
    assert not it.machine.take(it.snapshot, Event(name=""), Trace())


def test_an_action_that_fails_leaves_the_rest_of_its_block_out() -> None:
    states = {"a": {"exit": ["tell"]}, "b": {"entry": ["tell"]}, **END}
    go = {"from": "a", "to": "b", "trigger": "go", "actions": ["ask", "tell"]}
    error = {"from": "b", "to": "end", "trigger": "error.ask"}
    it = Driven(made(states, go, error, actions=ACTIONS), ("ask",), n=1)
    it.send("go")
    assert it.called == ["tell", "ask", "tell"]
    assert it.snapshot.finished == "end"
    assert it.snapshot.event is not None
    assert it.snapshot.event.data == {"code": "x.bad", "message": "it was bad", "action": "ask"}


def test_a_failure_that_no_transition_takes_ends_the_machine() -> None:
    it = Driven(doing("ask"), ("ask",))
    it.send("go")
    assert it.snapshot.failed == "ask failed: it was bad"


def test_a_failure_on_the_way_into_the_last_state_is_not_hidden() -> None:
    states = {"a": {}, "end": {"final": True, "entry": ["ask"]}}
    it = Driven(made(states, ("a", "go", "end"), actions=ACTIONS), ("ask",))
    it.send("go")
    assert (it.snapshot.finished, it.snapshot.failed) == (None, "ask failed: it was bad")


def test_a_call_that_is_not_required_only_warns_and_its_block_goes_on() -> None:
    it = Driven(doing("try", "tell"), ("try",), n=1)
    it.send("go")
    assert it.called == ["try", "tell"]
    assert it.trace.warnings == ["try: it was bad"]
    assert it.snapshot.failed is None


@pytest.mark.parametrize(
    ("action", "said"), [("stumble", "nothing"), ("list", "must return a mapping")]
)
def test_an_expression_that_fails_in_an_action_is_an_error_event(action: str, said: str) -> None:
    it = Driven(doing(action, "tell", ways=[("a", "error", "end")]), n=1)
    it.send("go")
    assert it.snapshot.finished == "end"
    assert it.snapshot.event is not None
    assert said in it.snapshot.event.data["message"]
    assert it.called == []


def test_an_answer_goes_into_the_data_where_the_action_says_so() -> None:
    it = Driven(doing("ask"))
    it.send("go")
    assert it.snapshot.data == {"got": "answer"}


def test_a_condition_that_can_not_be_told_leaves_everything_as_it_was() -> None:
    way = {"from": "a", "to": "end", "trigger": "go", "condition": "data.nothing > 1"}
    it = Driven(made({"a": {}, **END}, way))
    before = it.snapshot.event
    with pytest.raises(ExpressionError, match="nothing"):
        it.send("go")
    assert (it.active, it.snapshot.event) == (("a",), before)


def test_a_condition_that_can_not_be_told_on_its_own_way_ends_the_machine() -> None:
    it = Driven(made({"a": {}, **END}, {"from": "a", "to": "end", "condition": "data.nothing"}))
    assert it.snapshot.failed is not None
    assert "nothing" in it.snapshot.failed


def test_a_machine_that_never_comes_to_rest_is_stopped() -> None:
    ways = [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]
    with pytest.raises(OperationError) as caught:
        Driven(made({"a": {}, "b": {}}, *ways))
    assert caught.value.code == "machine.endless"


def test_a_timeout_runs_while_its_state_is_active() -> None:
    it = Driven(machine(APPROVAL), document="d", round=0)
    assert it.active == ("under_review",)
    assert it.snapshot.timers["state:under_review"].due == NOW + datetime.timedelta(hours=24)
    assert it.snapshot.timers["reminder"].due == NOW + datetime.timedelta(hours=4)
    it.now += datetime.timedelta(hours=1)
    it.send("review.overdue")
    assert it.snapshot.timers["state:under_review"].due == NOW + datetime.timedelta(hours=25)
    it.send("user.action", action="request_changes")
    assert list(it.snapshot.timers) == ["state:changes_requested"]
    assert it.trace.cancelled == ["reminder", "state:under_review"]
    it.send("timer.expired")
    assert (it.snapshot.finished, it.snapshot.timers) == ("rejected", {})


def test_the_approval_goes_through_its_rounds() -> None:
    it = Driven(machine(APPROVAL), document="d", round=0)
    assert not it.send("user.action", action="dance")
    assert it.send("user.action", action="request_changes")
    assert it.send("document.changed")
    assert it.send("user.action", action="approve")
    assert it.snapshot.finished == "approved"
    assert it.snapshot.data["round"] == 1
    assert it.snapshot.data["archived"] == "answer"
    assert it.called == ["notify_reviewers", "notify_reviewers", "archive"]


@pytest.mark.parametrize(
    ("wait", "seconds"), [("1h30m", 5400), (90, 90), (0.5, 0.5)]
)  # fmt: skip
def test_a_timer_is_set_for_a_length_and_cancelled(wait: Any, seconds: float) -> None:
    it = Driven(made({"a": {}, **END}, {"from": "a", "trigger": "go", "actions": ["wait"]},
                     {"from": "a", "trigger": "stop", "actions": ["hush"]},
                     actions=ACTIONS), wait=wait)  # fmt: skip
    it.send("go")
    timer = it.snapshot.timers["wait"]
    assert (timer.due - NOW).total_seconds() == seconds
    assert timer.data == {"n": 1, "timer_id": "wait"}
    it.send("stop")
    assert it.snapshot.timers == {}


@pytest.mark.parametrize(
    ("at", "said"),
    [("soon", "soon"), ("2030-01-01T00:00:00", "no time zone"), (None, "not both"),
     ("0001-01-01T00:00:00+14:00", "range")],
)  # fmt: skip
def test_a_timer_whose_time_can_not_be_read_is_an_error_event(at: Any, said: str) -> None:
    it = Driven(doing("when", ways=[("a", "error.when", "end")]), at=at)
    it.send("go")
    assert it.snapshot.finished == "end"
    assert it.snapshot.event is not None
    assert said in it.snapshot.event.data["message"]


def test_a_timer_may_be_set_for_a_moment_with_its_zone() -> None:
    it = Driven(doing("when"), at="2030-01-01T02:00:00+01:00")
    it.send("go")
    assert it.snapshot.timers["when"].due == NOW + datetime.timedelta(hours=1)


def test_why_an_event_was_not_taken_is_told() -> None:
    way = {"from": "a", "to": "end", "trigger": "go", "condition": "data.n > 1"}
    it = Driven(made({"a": {}, **END}, way), n=1)
    assert "takes 'stop'; it accepts go" in it.machine.explain_rejection(
        it.snapshot, Event(name="stop")
    )
    assert "'t0' requires data.n > 1" in it.machine.explain_rejection(it.snapshot, Event(name="go"))
    assert it.machine.accepts(it.snapshot) == [("go", "t0", "data.n > 1")]


def test_an_action_that_an_amendment_removed_is_an_error_event() -> None:
    definition = doing("tell", ways=[("a", "error", "end")])
    it = Driven(definition, n=1)
    definition.actions.clear()
    it.send("go")
    assert it.snapshot.finished == "end"
