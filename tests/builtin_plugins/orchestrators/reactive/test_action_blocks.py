"""Actions that do others, paths in the data, and how a machine ends by its own decision."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest
from tests.builtin_plugins.orchestrators.reactive.driving import NOW, Driven
from tests.builtin_plugins.orchestrators.reactive.machines import END, made

from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Snapshot
from qtforge_sdk.errors import OperationError

ACTIONS: dict[str, Any] = {
    "each": {"type": "foreach", "items": "${data.rows}", "item": "row", "actions": ["look"]},
    "look": {
        "type": "if",
        "condition": "data.row.n > 1",
        "then": ["book", "sum"],
        "else": ["skip"],
    },
    "book": {"type": "plugin_call", "operation": "o", "message": {"n": "${data.row.n}"}},
    "sum": {"type": "set", "values": {"sum": "${data.sum + data.row.n}"}},
    "skip": {"type": "set", "values": {"skipped": "${data.skipped + [data.row.n]}"}},
    "after": {"type": "message", "topic": "t"},
    "nothing": {"type": "foreach", "items": "${data.sum}", "actions": ["after"]},
    "grow": {"type": "foreach", "items": "${data.list}", "index": "i", "actions": ["append"]},
    "append": {"type": "set", "values": {"list": "${data.list + [data.i]}"}},
}


def rows(*numbers: int) -> dict[str, Any]:
    return {"rows": [{"n": each} for each in numbers], "sum": 0, "skipped": []}


def doing(*actions: str, ways: tuple[Any, ...] = (), **keys: Any) -> Any:
    """Return a machine that does actions on ``go``."""
    go = {"from": "a", "trigger": "go", "actions": list(actions)}
    definition = made({"a": {}, **END}, go, *ways, actions=ACTIONS)
    return msgspec.structs.replace(definition, **keys)


def test_a_loop_does_its_actions_for_each_item_in_order() -> None:
    it = Driven(doing("each", "after"), **rows(3, 1, 2))
    it.send("go")
    assert [call.message for call in it.calls] == [{"n": 3}, {"n": 2}, {}]
    assert (it.snapshot.data["sum"], it.snapshot.data["skipped"]) == (5, [1])
    assert it.snapshot.data["row"] == {"n": 2}
    assert it.snapshot.loops == ()


def test_a_loop_continues_from_a_snapshot_that_was_stored_in_the_middle() -> None:
    from_go = Driven(doing("each", "after"), **rows(2, 3))
    from_go.send("go")
    second = Driven(doing("each", "after"), **rows(2, 3))
    assert second.machine.take(
        second.snapshot, msgspec.structs.replace(_event(second), name="go"), second.trace
    )
    while (call := second.machine.advance(second.snapshot, second.trace)) is not None:
        packed = msgspec.msgpack.encode(second.snapshot)
        second.snapshot = msgspec.msgpack.decode(packed, type=Snapshot)
        assert second.machine.advance(second.snapshot, second.trace) == call
        second.machine.answered(second.snapshot, call, "answer")
        second.calls.append(call)
    assert second.calls == from_go.calls
    assert second.snapshot.data == from_go.snapshot.data


def _event(it: Driven) -> Any:
    assert it.snapshot.event is not None
    return it.snapshot.event


def test_what_a_loop_does_to_its_list_does_not_change_the_loop() -> None:
    it = Driven(doing("grow"), list=["x", "y"])
    it.send("go")
    assert it.snapshot.data["list"] == ["x", "y", 0, 1]


def test_a_failure_leaves_the_rest_of_the_loops_and_of_the_block_out() -> None:
    it = Driven(doing("each", "after", ways=(("a", "error.book", "end"),)), ("book",), **rows(2, 3))
    it.send("go")
    assert it.called == ["book"]
    assert (it.snapshot.finished, it.snapshot.loops) == ("end", ())


@pytest.mark.parametrize(
    ("action", "data", "why"),
    [
        ("nothing", {"sum": 3}, "must have a list"),
        ("each", {"rows": [{"n": 0}] * 1001, "skipped": []}, "at most 1000"),
        ("each", {"rows": [{}]}, "has no 'n'"),
    ],
)
def test_what_can_not_be_looped_over_is_the_failure_of_the_action(
    action: str, data: dict[str, Any], why: str
) -> None:
    it = Driven(doing(action), **data)
    it.send("go")
    assert it.snapshot.failed is not None
    assert why in it.snapshot.failed


def test_loops_within_loops_are_bounded() -> None:
    actions = {
        "outer": {"type": "foreach", "items": "${data.rows}", "item": "x", "actions": ["inner"]},
        "inner": {"type": "foreach", "items": "${data.rows}", "item": "y", "actions": ["note"]},
        "note": {"type": "set", "values": {"z": 1}},
    }
    go = {"from": "a", "trigger": "go", "actions": ["outer"]}
    it = Driven(made({"a": {}, **END}, go, actions=actions), rows=list(range(200)))
    with pytest.raises(OperationError, match="repeated actions 10000 times") as caught:
        it.send("go")
    assert caught.value.code == "machine.endless"


def setting(values: dict[str, Any], **data: Any) -> Driven:
    go = {"from": "a", "trigger": "go", "actions": ["put"]}
    it = Driven(
        made({"a": {}, **END}, go, actions={"put": {"type": "set", "values": values}}), **data
    )
    it.send("go")
    return it


def test_values_below_the_first_level_are_set_and_the_others_stay() -> None:
    order = {"items": [{"n": 1, "of": "x"}, {"n": 2}], "by": "Ada"}
    values = {"order.items[${data.i}].n": "${data.order.items[0].n + 6}", "order.note.at": 1}
    it = setting({"order.note": {}, **values}, order=order, i=0)
    assert it.snapshot.data["order"] == {
        "items": [{"n": 7, "of": "x"}, {"n": 2}], "by": "Ada", "note": {"at": 1},
    }  # fmt: skip
    assert order == {"items": [{"n": 1, "of": "x"}, {"n": 2}], "by": "Ada"}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("order.lines.n", "there is no 'lines'"),
        ("order.items[2]", "no place [2] in a list of 1"),
        ("order.items.n", "is a list"),
        ("order.by[0]", "is a str"),
        ("nothing.x", "there is no 'nothing'"),
        ("order..x", "not a path"),
        ("order.items[x]", "not a path"),
        ("a" + ".b" * 40, "not a path"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_failure_with_the_reason(path: str, why: str) -> None:
    it = setting({path: 1}, order={"items": [1], "by": "Ada"})
    assert it.snapshot.failed is not None
    assert why in it.snapshot.failed
    assert it.snapshot.data == {"order": {"items": [1], "by": "Ada"}}


def test_an_answer_without_a_place_in_the_data_is_a_failure_of_its_call() -> None:
    actions = {"ask": {"type": "plugin_call", "operation": "o", "result": "order.answer"}}
    go = {"from": "a", "trigger": "go", "actions": ["ask"]}
    it = Driven(made({"a": {}, **END}, go, actions=actions), order={})
    it.send("go")
    assert it.snapshot.data == {"order": {"answer": "answer"}}
    it.snapshot.data = {}
    taken = it.machine.take(it.snapshot, msgspec.structs.replace(_event(it), name="go"), it.trace)
    call = it.machine.advance(it.snapshot, it.trace)
    assert taken
    assert call is not None
    with pytest.raises(OperationError, match="there is no 'order'"):
        it.machine.answered(it.snapshot, call, 1)


def test_a_final_state_may_fail_the_run_with_its_code() -> None:
    bad = {"final": True, "fail": {"code": "order.refused", "message": "${data.n} is too much"}}
    it = Driven(made({"a": {}, "bad": bad}, ("a", "go", "bad")), n=7)
    it.send("go")
    assert (it.snapshot.failed, it.snapshot.code) == ("7 is too much", "order.refused")
    assert it.snapshot.finished is None


def nested_end(result: Any) -> Driven:
    inner = {"x": {}, "f": {"final": True, "result": result}}
    states = {"a": {"states": inner}, "b": {}, **END}
    ways = [
        ("x", "go", "f"),
        {"from": "a", "trigger": "error.f", "to": "b"},
        {"from": "a", "trigger": "done.state.a", "to": "end", "condition": "event.data.n == 3"},
        {"from": "b", "trigger": "done.state.a", "to": "end", "condition": "event.data == null"},
    ]
    it = Driven(made(states, *ways), n=3)
    it.send("go")
    return it


def test_the_result_of_a_final_state_is_the_data_of_the_end_of_the_one_around_it() -> None:
    it = nested_end({"n": "${data.n}"})
    assert it.snapshot.finished == "end"
    assert _event(it).type == "platform"


def test_a_result_that_can_not_be_evaluated_raises_an_error_and_the_end_has_no_data() -> None:
    it = nested_end({"n": "${data.nothing}"})
    assert (it.snapshot.finished, it.trace.exited[-1]) == ("end", "b")


def test_a_timeout_may_be_computed() -> None:
    states: Any = {"a": {"timeout": {"after": "${data.days * 24}h", "event": "late"}}, **END}
    it = Driven(made(states, ("a", "late", "end")), days=2)
    assert it.snapshot.timers["state:a"].due == NOW + datetime.timedelta(days=2)


def test_a_timeout_that_is_no_time_raises_an_error_of_its_state() -> None:
    states: Any = {"a": {"timeout": "${data.days}", "entry": ["put"]}, **END}
    actions = {"put": {"type": "set", "values": {"x": 1}}}
    it = Driven(made(states, ("a", "error.a", "end"), actions=actions), days="soon")
    assert it.snapshot.finished == "end"
    assert it.snapshot.data == {"days": "soon"}


def test_names_of_events_and_timers_may_be_computed() -> None:
    actions = {
        "shout": {"type": "raise", "event": "${data.what}", "data": "${[1]}"},
        "wait": {"type": "timer", "timer": "${data.which}", "after": "1h", "event": "${data.what}"},
    }
    go = {"from": "a", "trigger": "go", "actions": ["wait", "shout"]}
    it = Driven(made({"a": {}, "b": {}, **END}, go, ("a", "heard", "b"), actions=actions),
                what="heard", which="w")  # fmt: skip
    it.send("go")
    assert it.active == ("b",)
    assert (_event(it).data, _event(it).type) == ([1], "internal")
    assert it.snapshot.timers["w"].event == "heard"


@pytest.mark.parametrize("what", ["", 7, "x" * 1001])
def test_what_is_no_name_of_an_event_is_a_failure(what: Any) -> None:
    actions = {"shout": {"type": "raise", "event": "${data.what}"}}
    go = {"from": "a", "trigger": "go", "actions": ["shout"]}
    it = Driven(made({"a": {}, **END}, go, actions=actions), what=what)
    it.send("go")
    assert it.snapshot.failed is not None
    assert "is not the name of an event" in it.snapshot.failed


def test_a_failure_that_nobody_takes_can_be_a_warning() -> None:
    it = Driven(doing("each", on_failure="continue"), ("book",), **rows(2, 3))
    it.send("go")
    assert it.snapshot.failed is None
    assert it.trace.warnings == ["book: it was bad"]


def test_a_condition_that_can_not_be_evaluated_can_be_false_and_an_error() -> None:
    ways = (
        {"name": "odd", "from": "a", "trigger": "x", "to": "end", "condition": "data.no.thing"},
        {"name": "told", "from": "a", "trigger": "error.odd", "actions": ["after"]},
    )
    it = Driven(doing(ways=ways, on_failure="continue"))
    assert not it.send("x")
    assert it.called == ["after"]
    assert it.active == ("a",)


def test_a_condition_that_always_fails_does_not_keep_the_machine_busy() -> None:
    ways = ({"name": "odd", "from": "a", "to": "end", "condition": "data.no.thing"},)
    it = Driven(doing(ways=ways, on_failure="continue"))
    assert it.active == ("a",)
    assert len(it.trace.warnings) == 1


def test_several_states_may_be_entered_first() -> None:
    regions = {"p": {"parallel": True, "states": {
        "r": {"states": {"r1": {}, "r2": {}}}, "s": {"states": {"s1": {}, "s2": {}}},
    }}}  # fmt: skip
    it = Driven(made({"a": {"states": regions, "initial": ["r2", "s2"]}, **END}, ("a", "x", "end")))
    assert it.active == ("r2", "s2")


def test_a_loop_whose_action_was_amended_to_another_fails() -> None:
    it = Driven(doing("each"), **rows(2, 3))
    it.machine.take(it.snapshot, msgspec.structs.replace(_event(it), name="go"), it.trace)
    call = it.machine.advance(it.snapshot, it.trace)
    assert call is not None
    it.machine.answered(it.snapshot, call, "answer")
    changed = {**ACTIONS, "each": {"type": "set", "values": {"x": 1}}}
    amended = Driven(made({"a": {}, **END}, ("a", "go", "end"), actions=changed))
    assert amended.machine.advance(it.snapshot, it.trace) is None
    assert it.snapshot.failed == "each failed: 'each' is no longer a foreach"
    assert it.snapshot.loops == ()
