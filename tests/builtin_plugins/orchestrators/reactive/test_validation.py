"""What is said of machines that are wrong, and that nothing is said of good ones."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builtin_plugins.orchestrators.reactive.machines import (
    APPROVAL,
    END,
    PRODUCTION,
    machine,
    made,
    problems,
)

from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator

ACTION = {"act": {"type": "set", "values": {"x": 1}}}


@pytest.mark.parametrize("text", [APPROVAL, PRODUCTION], ids=["approval", "production"])
def test_a_good_machine_has_no_problem(text: str) -> None:
    assert problems(machine(text)) == {}


def test_names_that_do_not_exist_are_told_with_the_nearest_one() -> None:
    found = problems(
        made(
            {"a": {"entry": ["akt"], "initial": "x"}, **END},
            {"from": "aa", "to": "ende", "trigger": "go", "actions": ["acted"]},
            actions=ACTION,
        )
    )
    assert "did you mean 'act'?" in found["states.a.entry"]
    assert "no state within 'x'" in found["states.a.initial"]
    assert "did you mean 'a'?" in found["transitions[0].from"]
    assert "did you mean 'end'?" in found["transitions[0].to"]
    assert "did you mean 'act'?" in found["transitions[0].actions"]


def test_a_state_that_no_way_leads_to_is_found_also_deep_within() -> None:
    work: Any = {"states": {"first": {}, "second": {}, "third": {}}}
    found = problems(
        made({"a": {}, "work": work, **END}, ("a", "x", "third"), ("work", "y", "end"))
    )
    assert sorted(found) == ["states.work.states.first", "states.work.states.second"]
    assert "'first' is unreachable" in found["states.work.states.first"]


def test_a_state_that_nothing_leaves_is_found() -> None:
    found = problems(made({"a": {}, "stuck": {}, **END}, ("a", "x", "stuck"), ("a", "y", "end")))
    assert list(found) == ["states.stuck"]
    assert "make it final" in found["states.stuck"]


def test_a_state_that_only_leads_to_itself_is_not_left() -> None:
    assert "states.a" in problems(made({"a": {}}, ("a", "x", "a")))


def test_a_region_may_rest_where_another_region_leaves_for_both() -> None:
    both = {"parallel": True, "states": {"one": {"states": {"o1": {}}}, "two": {}}}
    assert problems(made({"a": both, **END}, ("two", "x", "end"))) == {}


def test_what_any_state_takes_leads_out_of_each() -> None:
    assert problems(made({"a": {}, "b": {}, **END}, ("a", "x", "b"), ("*", "stop", "end"))) == {}


@pytest.mark.parametrize(
    ("first", "second"), [("go", "go"), ("user", "user.action"), ("*", "user"), ("", "go")]
)
def test_a_transition_behind_one_that_always_goes_first_is_found(first: str, second: str) -> None:
    found = problems(made({"a": {}, **END}, ("a", first, "end"), ("a", second, "end")))
    assert list(found) == ["transitions[1]"]
    assert "'t1' never fires: 't0'" in found["transitions[1]"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"trigger": "go", "condition": "data.x"}, {"trigger": "go"}),
        ({"trigger": "user.action"}, {"trigger": "user"}),
        ({"trigger": "go"}, {"trigger": "go", "priority": 1, "condition": "data.x"}),
    ],
)
def test_a_transition_that_may_be_taken_is_not_found(first: Any, second: Any) -> None:
    ways = [{"from": "a", "to": "end", **each} for each in (first, second)]
    assert problems(made({"a": {}, **END}, *ways)) == {}


def test_a_transition_of_a_state_around_is_found_when_all_within_take_its_event() -> None:
    work: Any = {"states": {"one": {}, "two": {}}}
    ways = [("one", "go", "two"), ("two", "go", "end"), ("a", "go", "end")]
    assert list(problems(made({"a": work, **END}, *ways))) == ["transitions[2]"]


def test_what_final_and_history_states_can_not_have_is_found() -> None:
    work = {"states": {"w": {}, "h": {"history": "shallow", "entry": ["act"]}}}
    states = {"a": work, "end": {"final": True, "exit": ["act"]}}
    found = problems(made(states, ("w", "x", "end"), ("end", "x", "a"), actions=ACTION))
    assert "a final state is never left" in found["states.end.exit"]
    assert "it is never left" in found["transitions[1].from"]
    assert "no properties but 'initial'" in found["states.a.states.h.history"]


@pytest.mark.parametrize(
    ("history", "initial", "said"),
    [
        ("shallow", "nobody", "no state beside it"),
        ("shallow", "deeper", "no state beside it"),
        ("deep", "out", "no state beside or below it"),
    ],
)
def test_a_history_state_leads_to_what_is_beside_it(history: str, initial: str, said: str) -> None:
    within = {"w": {"states": {"deeper": {}}}, "h": {"history": history, "initial": initial}}
    states = {"a": {"states": within}, "out": {}, **END}
    found = problems(made(states, ("a", "x", "out"), ("out", "y", "h"), ("out", "z", "end")))
    assert said in found["states.a.states.h.initial"]


def test_a_history_state_of_the_whole_machine_is_refused() -> None:
    found = problems(made({"a": {}, "h": {"history": "deep"}, **END}, ("a", "x", "end")))
    assert "the state that contains it is never left" in found["states.h.history"]


def test_regions_are_at_least_two_and_none_is_final() -> None:
    one = {"parallel": True, "states": {"r": {"final": True}}}
    found = problems(made({"a": one, **END}, ("a", "x", "end")))
    assert "fewer than two regions" in found["states.a.parallel"]
    assert "can't be final itself" in found["states.a.states.r"]


def test_targets_that_are_never_active_together_are_found() -> None:
    way = {"from": "a", "to": ["b", "end"], "trigger": "x"}
    found = problems(made({"a": {}, "b": {}, **END}, way, ("b", "y", "end")))
    assert "never active together" in found["transitions[0].to"]


def test_events_that_nobody_takes_and_ends_that_never_come_are_found() -> None:
    actions = {
        "call_in": {"type": "raise", "event": "called"},
        "forget": {"type": "timer", "timer": "alarm", "cancel": True},
    }
    states = {"a": {"timeout": "1h", "entry": list(actions), "states": {"w": {}}}, **END}
    ways = [("a", "done.state.a", "end"), ("a", "done.workflow.call_in", "end")]
    found = problems(made(states, *ways, actions=actions))
    assert "no transition takes 'timer.expired'" in found["states.a.timeout"]
    assert "no transition takes 'called'" in found["actions.call_in.event"]
    assert "no timer 'alarm' to cancel" in found["actions.forget.timer"]
    assert "'a' is never done" in found["transitions[0].trigger"]
    assert "no action 'call_in' starts a workflow" in found["transitions[1].trigger"]


def test_a_trigger_is_the_name_of_an_event_without_a_star_behind() -> None:
    found = problems(made({"a": {}, **END}, ("a", "user.*", "end"), ("a", "x y", "end")))
    assert "write 'user'" in found["transitions[0].trigger"]
    assert "'x y' is not the name of an event" in found["transitions[1].trigger"]


def test_a_transition_without_anything_would_never_end() -> None:
    found = problems(made({"a": {}, **END}, {"from": "a"}, ("a", "x", "end")))
    assert "it would repeat forever" in found["transitions[0]"]


def test_two_states_of_one_name_are_found() -> None:
    work: Any = {"states": {"end": {}}}
    found = problems(made({"a": work, **END}, ("a", "x", "end")))
    assert any("two states 'end'" in each for each in found.values())


def test_an_amendment_may_add_states_and_neither_remove_nor_reshape_any() -> None:
    orchestrator = ReactiveOrchestrator()
    before = made({"a": {}, "b": {}, **END}, ("a", "x", "b"), ("b", "x", "end"))
    more = made({"a": {}, "b": {}, "c": {}, **END})
    assert orchestrator.check_amendment(before, more, {}) == []
    less = made({"a": {"states": {"b": {}}}, **END})
    said = orchestrator.check_amendment(before, less, {})
    assert "'a' can't change its kind" in said[0]
    assert "'b' can't be moved" in said[1]
    assert "'end' can't be removed" in orchestrator.check_amendment(before, made({"a": {}}), {})[1]


def test_only_an_action_that_starts_a_workflow_can_be_cancelled() -> None:
    actions = {
        "begin": {"type": "workflow", "workflow": "other"},
        "stop": {"type": "cancel", "action": "begn"},
        "wrong": {"type": "cancel", "action": "stop"},
    }
    found = problems(
        made(
            {"a": {"entry": ["begin"]}, **END},
            {"from": "a", "to": "end", "trigger": "go", "actions": ["stop", "wrong"]},
            actions=actions,
        )
    )
    assert "did you mean 'begin'?" in found["actions.stop.action"]
    assert "no action of the type 'workflow' named 'stop'" in found["actions.wrong.action"]


def acting(action: dict[str, Any], **others: dict[str, Any]) -> dict[str, str]:
    """Return the problems of a machine with an action."""
    go = {"from": "a", "trigger": "go", "to": "end", "actions": ["it"]}
    return problems(made({"a": {}, **END}, go, actions={"it": action, **others}))


@pytest.mark.parametrize(
    ("action", "path", "said"),
    [
        ({"type": "if", "condition": "data.x", "then": ["itt"]}, "then", "did you mean 'it'?"),
        ({"type": "if", "condition": "data.x", "else": ["no"]}, "else", "no action 'no'"),
        ({"type": "if", "condition": "dat.x > 1", "then": ["act"]}, "condition", "dat"),
        ({"type": "if", "condition": "true"}, "", "does nothing"),
        ({"type": "if", "condition": "true", "then": ["it"]}, "", "leads to itself"),
        ({"type": "foreach", "items": "${data.x}", "actions": ["no"]}, "actions", "no action"),
        ({"type": "foreach", "items": 3, "actions": ["act"]}, "items", "it is no list"),
        ({"type": "foreach", "items": "data.x", "actions": ["act"]}, "items", "it is no list"),
        ({"type": "foreach", "items": "${nothing}", "actions": ["act"]}, "items", "nothing"),
        ({"type": "foreach", "items": [], "item": "a..b"}, "item", "not a path"),
        ({"type": "foreach", "items": [], "index": "[0]"}, "index", "not a path"),
        ({"type": "set", "values": {"a[x]": 1}}, "values.a[x]", "not a path"),
        ({"type": "set", "values": {"a[${no.x}]": 1}}, "values.a[${no.x}]", "no"),
        ({"type": "send", "event": "x y", "target": "r"}, "event", "not the name of an event"),
        ({"type": "send", "event": "", "target": "r"}, "event", "must have a name"),
        ({"type": "send", "event": "${no}", "target": "r"}, "event", "no"),
        ({"type": "send", "event": "x", "target": "#act"}, "target", "no action of the type"),
        ({"type": "send", "event": "x", "target": ""}, "target", "it names no run"),
        ({"type": "send", "event": "x", "target": "${event.by}"}, "target", "by"),
        ({"type": "send", "event": "x"}, "event", "no transition takes 'x'"),
        ({"type": "send", "event": "x", "target": "r", "data": "${no}"}, "data", "no"),
        ({"type": "raise", "event": "x..y"}, "event", "not the name of an event"),
        ({"type": "timer", "after": "1s", "event": "go", "timer": "${no}"}, "timer", "no"),
    ],
)
def test_what_is_wrong_with_an_action_is_told_with_its_path(
    action: dict[str, Any], path: str, said: str
) -> None:
    found = acting(action, **ACTION)
    assert said in found[f"actions.it.{path}".removesuffix(".")]


def test_actions_that_lead_to_each_other_are_found() -> None:
    found = acting(
        {"type": "foreach", "items": [1], "actions": ["other"]},
        other={"type": "if", "condition": "true", "then": ["it"]},
    )
    assert sorted(found) == ["actions.it", "actions.other"]


@pytest.mark.parametrize(
    ("states", "path", "said"),
    [
        ({"a": {"result": 1}}, "states.a.result", "only a final state"),
        ({"a": {"fail": {"code": "x.y", "message": ""}}}, "states.a.fail", "ends the machine"),
        (
            {"a": {"states": {"f": {"final": True, "fail": {"code": "x.y", "message": ""}}}}},
            "states.a.states.f.fail",
            "ends the machine",
        ),
        (
            {"end": {"final": True, "result": 1, "fail": {"code": "x.y", "message": ""}}},
            "states.end.result",
            "so it has no result",
        ),
        (
            {"end": {"final": True, "fail": {"code": "x.y", "message": "${no}"}}},
            "states.end.fail.message",
            "no",
        ),
        ({"end": {"final": True, "result": {"x": "${no}"}}}, "states.end.result.x", "no"),
        ({"a": {"timeout": "${no}"}}, "states.a.timeout", "no"),
        ({"a": {"states": {"x": {}, "y": {}}, "initial": ["x", "y"]}}, "states.a.initial", "never"),
        ({"a": {"states": {"x": {}}, "initial": []}}, "states.a.initial", "names no state"),
        ({"a": {"states": {"x": {}}, "initial": "end"}}, "states.a.initial", "no state within"),
    ],
)
def test_what_is_wrong_with_a_state_is_told_with_its_path(
    states: dict[str, Any], path: str, said: str
) -> None:
    ways = [("a", "go", "end"), ("a", "timer.expired", "end")]
    found = problems(made({"a": {}, **END} | states, *ways))
    assert said in found[path]


def test_a_good_machine_with_all_of_them_has_no_problem() -> None:
    actions = {
        "each": {"type": "foreach", "items": "${data.rows}", "index": "i", "actions": ["look"]},
        "look": {"type": "if", "condition": "data.item.n > 1", "then": ["tell"], "else": ["put"]},
        "tell": {"type": "send", "event": "x.${data.i}", "target": "#child", "data": "${data.i}"},
        "put": {"type": "set", "values": {"rows[${data.i}].n": "${event.sender}"}},
        "child": {"type": "workflow", "workflow": "w", "result": "runs.child"},
    }
    states: dict[str, Any] = {
        "a": {"entry": ["child"], "timeout": "${data.hours}h", "initial": ["r2", "s1"], "states": {
            "p": {"parallel": True, "states": {
                "r": {"states": {"r1": {}, "r2": {}, "r3": {"final": True, "result": 1}}},
                "s": {"states": {"s1": {}, "s2": {"final": True, "result": "${data.i}"}}},
            }}},
        },
        "bad": {"final": True, "fail": {"code": "x.y", "message": "${instance.parent}"}},
        **END,
    }  # fmt: skip
    ways: list[Any] = [
        {"from": "a", "trigger": "go", "actions": ["each"]},
        ("r2", "next", "r3"),
        ("r2", "before", "r1"),
        ("r1", "next", "r2"),
        ("s1", "next", "s2"),
        {"from": "a", "trigger": "done.state.p", "to": "end"},
        {"from": "a", "trigger": "timer.expired", "to": "bad"},
    ]
    assert problems(made(states, *ways, actions=actions), ["w"]) == {}
