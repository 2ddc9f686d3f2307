"""What is left and entered, in which order: SCXML's rules one by one."""

from __future__ import annotations

from typing import Any

from tests.builtin_plugins.orchestrators.reactive.driving import Driven
from tests.builtin_plugins.orchestrators.reactive.machines import END, PRODUCTION, machine, made

REGIONS: dict[str, Any] = {
    "both": {
        "parallel": True,
        "states": {
            "left": {"states": {"l1": {}, "l2": {}, "le": {"final": True}}},
            "right": {"states": {"r1": {}, "r2": {}, "re": {"final": True}}},
        },
    }
}


def test_states_are_entered_from_outside_in_and_left_from_inside_out() -> None:
    it = Driven(made({"a": {"states": {"b": {"states": {"c": {}}}}}, **END}, ("a", "go", "end")))
    assert it.trace.entered == ["a", "b", "c"]
    it.send("go")
    assert it.trace.exited == ["c", "b", "a"]
    assert it.snapshot.finished == "end"


def test_a_transition_without_target_leaves_nothing() -> None:
    it = Driven(made({"a": {}}, {"from": "a", "trigger": "go"}))
    assert it.send("go")
    assert (it.trace.exited, it.trace.entered) == ([], [])


def test_a_state_is_left_on_the_way_into_it_unless_the_transition_is_internal() -> None:
    states: Any = {"a": {"states": {"b": {}, "c": {}}}}
    way = {"from": "a", "to": "c"}
    ways = [{**way, "trigger": "out"}, {**way, "trigger": "in", "internal": True}]
    it = Driven(made(states, *ways))
    it.send("in")
    assert (it.trace.exited, it.trace.entered) == (["b"], ["c"])
    it.send("out")
    assert (it.trace.exited, it.trace.entered) == (["c", "a"], ["a", "c"])


def test_an_inner_transition_goes_before_an_outer_one() -> None:
    states: Any = {"a": {"states": {"b": {}, "c": {}}}, "out": {}}
    it = Driven(made(states, ("a", "go", "out"), ("b", "go", "c")))
    it.send("go")
    assert it.active == ("c",)
    it.send("go")
    assert it.active == ("out",)


def test_each_region_takes_the_same_event() -> None:
    it = Driven(made(REGIONS, ("l1", "go", "l2"), ("r1", "go", "r2"), initial="both"))
    it.send("go")
    assert it.active == ("l2", "r2")
    assert it.trace.transitions == ["t0", "t1"]


def test_of_two_that_leave_the_same_states_the_first_region_s_goes() -> None:
    states = {**REGIONS, "x": {}, "y": {}}
    it = Driven(made(states, ("r1", "go", "x"), ("l1", "go", "y"), initial="both"))
    it.send("go")
    assert it.active == ("y",)
    assert it.trace.transitions == ["t1"]


def test_a_parallel_state_is_done_once_when_its_last_regions_end_together() -> None:
    ways = [("l1", "go", "le"), ("r1", "go", "re"), {"from": "both", "trigger": "done.state.both"}]
    it = Driven(made(REGIONS, *ways, initial="both"))
    it.send("go")
    assert it.trace.transitions == ["t0", "t1", "t2"]
    assert it.trace.ignored == ["done.state.left", "done.state.right"]


def test_a_region_that_is_parallel_itself_ends_what_is_around_it() -> None:
    inner = REGIONS["both"]
    idle = {"states": {"i": {"final": True}}}
    states = {"outer": {"parallel": True, "states": {"both": inner, "idle": idle}}, **END}
    way = {"from": "outer", "to": "end", "trigger": "done.state.outer"}
    it = Driven(made(states, ("l1", "go", "le"), ("r1", "go", "re"), way, initial="outer"))
    it.send("go")
    assert it.snapshot.finished == "end"


def test_a_shallow_history_state_brings_back_the_child_and_a_deep_one_all_below() -> None:
    def back(kind: str) -> tuple[str, ...]:
        inner = {"b": {"states": {"c": {}, "d": {}}}, "h": {"history": kind}}
        states = {"a": {"states": {"x": {}, **inner}}, "out": {}}
        ways = [("x", "go", "d"), ("a", "leave", "out"), ("out", "back", "h")]
        it = Driven(made(states, *ways))
        for event in ("go", "leave", "back"):
            assert it.send(event)
        return it.active

    assert back("shallow") == ("c",)
    assert back("deep") == ("d",)


def test_a_state_may_begin_with_its_own_history() -> None:
    states = {
        "a": {"initial": "h", "states": {"b": {}, "c": {}, "h": {"history": "shallow"}}},
        "out": {},
    }
    it = Driven(made(states, ("b", "go", "c"), ("a", "leave", "out"), ("out", "back", "a")))
    assert it.active == ("b",)
    for _ in range(2):
        it.send("go")
        it.send("leave")
        it.send("back")
        assert it.active == ("c",)


def test_a_way_to_the_history_of_the_state_around_leaves_alone_what_it_does_not_leave() -> None:
    both = {"both": REGIONS["both"], "h": {"history": "deep", "initial": "l2"}}
    it = Driven(made({"a": {"states": both}}, ("l1", "go", "h"), ("r1", "turn", "r2")))
    it.send("turn")
    it.send("go")
    assert it.active == ("l2", "r2")
    assert it.trace.entered == ["l2"]


def test_one_transition_may_lead_into_several_regions() -> None:
    it = Driven(machine(PRODUCTION), pieces=0)
    for event in ("shift.begins", "press.hot", "belt", "press.closed", "skip"):
        assert it.send(event), event
    assert it.active == ("hot", "loading")


def test_what_was_active_in_all_regions_comes_back() -> None:
    it = Driven(machine(PRODUCTION), pieces=0)
    for event in ("shift.begins", "press.hot", "belt", "pause", "resume"):
        assert it.send(event), event
    assert it.active == ("hot", "loaded")
