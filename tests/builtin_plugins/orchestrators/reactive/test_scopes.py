"""What the expressions of a machine may name."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builtin_plugins.orchestrators.reactive.machines import END, made, problems


def with_action(action: dict[str, Any]) -> dict[str, str]:
    states = {"a": {"entry": ["act"]}, **END}
    return problems(made(states, ("a", "timer", "end"), actions={"act": action}), ["other"])


@pytest.mark.parametrize(
    ("action", "path", "said"),
    [
        ({"type": "message", "topic": "a b"}, "topic", "a b"),
        ({"type": "message", "topic": "a", "message": {"x": "${evnt.name}"}}, "message.x", "event"),
        ({"type": "plugin_call", "operation": "document.arch"}, "operation", "document.archive"),
        ({"type": "plugin_call", "operation": "document.archive", "plugin": "x"}, "plugin", "x"),
        ({"type": "plugin_call", "operation": "document.archive", "timeout": "1x"}, "timeout", ""),
        ({"type": "workflow", "workflow": "othr"}, "workflow", "did you mean 'other'?"),
        ({"type": "script", "expression": "event.nme"}, "expression", "did you mean 'name'?"),
        ({"type": "script", "expression": "{'x': "}, "expression", "column"),
        ({"type": "set", "values": {"x": "${instance.stats}"}}, "values.x", "states"),
        ({"type": "timer", "after": "1h", "at": "2030-01-01T00:00:00Z"}, "", "not both"),
        ({"type": "timer"}, "", "not both"),
        ({"type": "timer", "after": "soon"}, "after", ""),
        ({"type": "timer", "cancel": True, "after": "1h"}, "after", "has no time"),
    ],
)
def test_what_is_wrong_in_an_action_is_told_where_it_stands(
    action: dict[str, Any], path: str, said: str
) -> None:
    found = with_action(action)
    where = ".".join(filter(None, ("actions.act", path)))
    assert said in found[where]


def test_a_template_may_give_the_length_of_a_timer() -> None:
    assert with_action({"type": "timer", "after": "${data.hours}", "event": "timer"}) == {}


def test_conditions_know_event_data_and_instance() -> None:
    fine = "event.data.x == data.y && instance.states.contains('a') && event.late_s < 3.0"
    way = {"from": "a", "to": "end", "trigger": "go"}
    assert problems(made({"a": {}, **END}, {**way, "condition": fine})) == {}
    wrong = problems(made({"a": {}, **END}, {**way, "condition": "evnt.name == 'x'"}))
    assert "did you mean 'event'?" in wrong["transitions[0].condition"]
