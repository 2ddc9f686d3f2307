"""The names that a machine's expressions may use, and the checks of the expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    ForeachAction,
    IfAction,
    MessageAction,
    PluginCallAction,
    RaiseAction,
    ScriptAction,
    SendAction,
    SetAction,
    TimerAction,
    WorkflowAction,
    is_template,
)
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    Binding,
    ReactiveDefinition,
    StateTimeout,
)
from qtforge_builtin_plugins.orchestrators.reactive.paths import first_key
from qtforge_builtin_plugins.orchestrators.reactive.validation import every_state, is_event_name
from qtforge_sdk import DefinitionChecker, Duration
from qtforge_sdk.errors import InvalidTopicError
from qtforge_sdk.members import ListOf, Members, members_of
from qtforge_sdk.topics import validate_pattern, validate_topic

__all__ = ["check_expressions", "machine_names"]

_TEXT: Final = members_of([str])
_PUBLISHED: Final[Mapping[str, Members]] = MappingProxyType(
    {
        **dict.fromkeys(("name", "id", "at"), _TEXT),
        "data": None,
        "late_s": members_of([float]),
    }
)
_EVENT: Final[Mapping[str, Members]] = MappingProxyType(
    {**_PUBLISHED, **dict.fromkeys(("type", "sender"), _TEXT)}
)
_INSTANCE: Final[Mapping[str, Members]] = MappingProxyType(
    {
        **dict.fromkeys(("id", "workflow", "started_at", "parent"), _TEXT),
        "states": ListOf(_TEXT),
    }
)
_EVENT_ONLY: Final[Mapping[str, Any]] = MappingProxyType({"event": _PUBLISHED})


def check_expressions(definition: ReactiveDefinition, checker: DefinitionChecker) -> None:
    """Check every topic, duration, condition and template of a machine."""
    names = machine_names(definition, checker)
    checker.template("data", definition.data, ())
    if definition.key is not None:
        checker.template("key", definition.key, ())
    for path, _, state in every_state(definition.states):
        if isinstance(state.timeout, StateTimeout):
            _check_duration(f"{path}.timeout.after", state.timeout.after, names, checker)
        elif state.timeout is not None:
            _check_duration(f"{path}.timeout", state.timeout, names, checker)
        if state.result is not None:
            checker.template(f"{path}.result", state.result, (), names)
        if state.fail is not None:
            checker.template(f"{path}.fail.message", state.fail.message, (), names)
    for position, transition in enumerate(definition.transitions):
        if transition.condition is not None:
            path = f"transitions[{position}].condition"
            checker.condition(path, transition.condition, (), names)
    for name, action in definition.actions.items():
        _check_action(f"actions.{name}", action, names, checker)
    for key, bindings in (("start_on", definition.start_on), ("events", definition.events)):
        for position, binding in enumerate(bindings):
            _check_binding(f"{key}[{position}]", binding, key == "start_on", checker)
    checker.template("result", definition.result, (), names)
    checker.template("summary", definition.summary, (), names)


def machine_names(definition: ReactiveDefinition, checker: DefinitionChecker) -> dict[str, Members]:
    """Return the names that a machine's expressions may use, with what is known of them."""
    return {"event": _EVENT, "data": _data_members(definition, checker), "instance": _INSTANCE}


def _data_members(definition: ReactiveDefinition, checker: DefinitionChecker) -> Members:
    """Return the members that a machine's data may ever have; None where they are not known.

    Of a key's value is known what is the same of everything that sets it: the first value, a
    call's answer, a template.
    """
    if not checker.is_typed or not isinstance(definition.data, Mapping):
        return None
    found: dict[str, list[Members]] = {
        key: [] if value is None else [checker.members(value, {})]
        for key, value in definition.data.items()
    }
    for action in definition.actions.values():
        for path, members in _targets(action, checker):
            if is_template(path):
                return None
            key = first_key(path)
            found.setdefault(key, []).append(members if key == path else None)
    return {
        key: members[0] if members and all(each == members[0] for each in members) else None
        for key, members in found.items()
    }


def _targets(action: object, checker: DefinitionChecker) -> Iterator[tuple[str, Members]]:
    """Yield the paths in the data that an action sets, with what is known of their values."""
    if isinstance(action, SetAction):
        for key, value in action.values.items():
            yield key, checker.members(value, {"event": _EVENT, "instance": _INSTANCE})
    elif isinstance(action, PluginCallAction) and action.result is not None:
        yield action.result, checker.answer(action.operation, action.plugin)
    elif isinstance(action, WorkflowAction) and action.result is not None:
        yield action.result, _TEXT  # the run's id
    elif isinstance(action, ForeachAction):
        yield action.item, None
        if action.index is not None:
            yield action.index, None


def _check_action(
    path: str, action: object, names: Mapping[str, Any], checker: DefinitionChecker
) -> None:
    if isinstance(action, PluginCallAction):
        checker.topic(f"{path}.operation", action.operation)
        if action.plugin is not None:
            checker.plugin(f"{path}.plugin", action.plugin, action.operation)
        checker.duration(f"{path}.timeout", action.timeout)
        checker.template(f"{path}.message", action.message, (), names)
        checker.message(f"{path}.message", action.operation, action.message, action.plugin)
    elif isinstance(action, MessageAction):
        try:
            validate_topic(action.topic)
        except InvalidTopicError as error:
            checker.problem(f"{path}.topic", f"{error.what}: {error.why}", error.fix)
        checker.template(f"{path}.message", action.message, (), names)
    elif isinstance(action, WorkflowAction):
        checker.workflow(f"{path}.workflow", action.workflow, action.input, f"{path}.input")
        checker.template(f"{path}.input", action.input, (), names)
    elif isinstance(action, TimerAction):
        _check_timer(path, action, names, checker)
    elif isinstance(action, ScriptAction):
        checker.condition(f"{path}.expression", action.expression, (), names)
    elif isinstance(action, SetAction):
        checker.template(f"{path}.values", action.values, (), names)
        for key in filter(is_template, action.values):
            checker.template(f"{path}.values.{key}", key, (), names)
    elif isinstance(action, RaiseAction):
        _check_event(path, action.event, names, checker)
        checker.template(f"{path}.data", action.data, (), names)
    elif isinstance(action, SendAction):
        _check_event(path, action.event, names, checker)
        checker.template(f"{path}.target", action.target, (), names)
        checker.template(f"{path}.data", action.data, (), names)
    elif isinstance(action, IfAction):
        checker.condition(f"{path}.condition", action.condition, (), names)
    elif isinstance(action, ForeachAction):
        checker.template(f"{path}.items", action.items, (), names)
        if not (isinstance(action.items, list) or is_template(action.items)):
            fix = "such as '${data.rows}'"
            checker.problem(f"{path}.items", "it is no list, and no template of one", fix)


def _check_event(
    path: str, event: str, names: Mapping[str, Any], checker: DefinitionChecker
) -> None:
    """Check the name of an event that an action raises, sets a timer for or sends."""
    if is_template(event):
        checker.template(f"{path}.event", event, (), names)
    elif event and not is_event_name(event):
        fix = "a name is words joined by dots, such as order.paid"
        checker.problem(f"{path}.event", f"'{event}' is not the name of an event", fix)


def _check_duration(
    path: str, duration: Duration, names: Mapping[str, Any], checker: DefinitionChecker
) -> None:
    if is_template(duration):
        checker.template(path, duration, (), names)
    else:
        checker.duration(path, duration)


def _check_timer(
    path: str, action: TimerAction, names: Mapping[str, Any], checker: DefinitionChecker
) -> None:
    given = [key for key in ("after", "at") if getattr(action, key) is not None]
    if action.cancel and given:
        checker.problem(f"{path}.{given[0]}", "a timer that is cancelled has no time")
    elif not action.cancel and len(given) != 1:
        checker.problem(path, "a timer has 'after' or 'at', and not both", "give one of them")
    if action.after is not None and not is_template(action.after):
        checker.duration(f"{path}.after", action.after)
    _check_event(path, action.event, names, checker)
    for key in ("timer", "after", "at", "data"):
        checker.template(f"{path}.{key}", getattr(action, key), (), names)


def _check_binding(path: str, binding: Binding, starts: bool, checker: DefinitionChecker) -> None:
    try:
        validate_pattern(binding.topic)
    except InvalidTopicError as error:
        checker.problem(f"{path}.topic", f"{error.what}: {error.why}", error.fix)
    for key in ("where", "instance", "key"):
        expression = getattr(binding, key)
        if expression is not None:
            checker.condition(f"{path}.{key}", expression, (), _EVENT_ONLY)
    checker.template(f"{path}.input", binding.input, (), _EVENT_ONLY)
    if starts and (binding.instance or binding.key):
        checker.problem(path, "a message that starts an instance is not for an existing one")
    if not starts and (binding.instance is None) == (binding.key is None):
        fix = "give 'instance' (the run's id) or 'key' (compared with the machine's key)"
        checker.problem(path, "it does not name the instance that the event is for", fix)
