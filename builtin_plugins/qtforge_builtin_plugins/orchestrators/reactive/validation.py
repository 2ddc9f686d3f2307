"""Check a machine's structure: unknown names and impossible states.

`reachability` checks its transitions afterwards, when the structure is sound.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    CancelAction,
    ForeachAction,
    PluginCallAction,
    SendAction,
    SetAction,
    WorkflowAction,
    is_template,
    nested_actions,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart, names_of
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ANY,
    ReactiveDefinition,
    State,
)
from qtforge_builtin_plugins.orchestrators.reactive.paths import is_path
from qtforge_builtin_plugins.orchestrators.reactive.reachability import check_reachability
from qtforge_sdk import DefinitionChecker
from qtforge_sdk.validation import did_you_mean

__all__ = ["check_structure", "every_state", "is_event_name"]

_TARGETS: Final = ("self", "parent", "internal")
_EVENT: Final = re.compile(r"[^\s.*]+(?:\.[^\s.*]+)*")


def check_structure(definition: ReactiveDefinition, checker: DefinitionChecker) -> bool:
    """Check names and reachability; return whether the machine can be built at all."""
    states, names = {}, []
    for path, name, state in every_state(definition.states):
        names.append(name)
        if name in states:
            checker.problem(path, f"there are two states '{name}'", "rename one")
        if not name.replace("-", "_").isidentifier():
            checker.problem(path, f"'{name}' is not a name", "use letters, digits, - and _")
        states[name] = (path, state)
    if not states:
        checker.problem("states", "a machine has at least one state")
        return False
    sound = len(set(names)) == len(names)
    for initial in names_of(definition.initial):
        sound &= _known(initial, states, "initial", "state", checker)
    if definition.initial == ():
        checker.problem("initial", "it names no state", "leave it out, or name one")
        sound = False
    if not any(state.history is None for state in definition.states.values()):
        checker.problem("states", "it has only history states, which are never active")
        sound = False
    for name, (path, state) in states.items():
        sound &= _check_actions(state, path, definition, checker)
        sound &= _check_kind(name, state, path, checker)
        _check_end(name, state, path, definition, checker)
        if state.history is not None:
            sound &= _check_history(name, state, path, definition, checker)
    sound &= _check_transitions(definition, states, checker)
    sound &= _check_nested(definition, checker)
    _check_named(definition, checker)
    if sound:
        chart = Chart(definition)
        _check_targets(definition, chart, checker)
        _check_initials(definition, states, chart, checker)
        check_reachability(
            definition, chart, {name: path for name, (path, _) in states.items()}, checker
        )
    return sound


def _check_end(
    name: str,
    state: State,
    path: str,
    definition: ReactiveDefinition,
    checker: DefinitionChecker,
) -> None:
    """Check what only final states have."""
    if state.result is not None and not state.final:
        fix = "make it final, or set the data with an action"
        checker.problem(f"{path}.result", "only a final state has a result", fix)
    if state.fail is None:
        return
    if not (state.final and name in definition.states):
        fix = "put it into a final state that is not within another one"
        checker.problem(f"{path}.fail", "only a state that ends the machine can fail the run", fix)
    elif state.result is not None:
        what = "the run fails in this state, so it has no result"
        checker.problem(f"{path}.result", what, "remove it, or 'fail'")


def _check_nested(definition: ReactiveDefinition, checker: DefinitionChecker) -> bool:
    """Check the actions of the types ``if`` and ``foreach``; none may lead to itself."""
    sound = True
    uses: dict[str, list[str]] = {}
    for name, action in definition.actions.items():
        nested = nested_actions(action)
        uses[name] = [each for inner in nested.values() for each in inner]
        for key, inner in nested.items():
            for each in inner:
                path = f"actions.{name}.{key}"
                sound &= _known(each, definition.actions, path, "action", checker)
        if nested and not uses[name] and not isinstance(action, ForeachAction):
            checker.problem(f"actions.{name}", "it does nothing", "give 'then' or 'else'")
    for name in uses:
        if _leads_to(name, name, uses):
            what = f"'{name}' leads to itself, so it would never end"
            checker.problem(f"actions.{name}", what, "repeat with transitions instead")
            sound = False
    return sound


def _leads_to(name: str, target: str, uses: Mapping[str, list[str]]) -> bool:
    todo, seen = list(uses[name]), set()
    while todo:
        each = todo.pop()
        if each == target:
            return True
        if each not in seen:
            seen.add(each)
            todo += uses.get(each, ())
    return False


def _check_named(definition: ReactiveDefinition, checker: DefinitionChecker) -> None:
    """Check the actions and the paths in the data that actions name."""
    starting = [
        name for name, each in definition.actions.items() if isinstance(each, WorkflowAction)
    ]
    what = "action of the type 'workflow' named"
    for name, action in definition.actions.items():
        path = f"actions.{name}"
        if isinstance(action, CancelAction):
            _known(action.action, starting, f"{path}.action", what, checker)
        elif isinstance(action, SendAction):
            word = action.target.removeprefix("#")
            if not word:
                checker.problem(f"{path}.target", "it names no run", "such as '${data.order_run}'")
            if not is_template(word) and word != action.target and word not in _TARGETS:
                _known(word, starting, f"{path}.target", what, checker)
        elif isinstance(action, SetAction):
            for key in action.values:
                if not is_template(key):
                    _check_path(f"{path}.values.{key}", key, checker)
        elif isinstance(action, PluginCallAction | WorkflowAction):
            _check_path(f"{path}.result", action.result, checker)
        elif isinstance(action, ForeachAction):
            _check_path(f"{path}.item", action.item, checker)
            _check_path(f"{path}.index", action.index, checker)


def _check_path(path: str, given: str | None, checker: DefinitionChecker) -> None:
    if given is not None and not is_path(given):
        fix = "write a name, or names and places joined: order.items[0].count"
        checker.problem(path, f"{given!r:.100} is not a path in the data", fix)


def _check_initials(
    definition: ReactiveDefinition,
    states: Mapping[str, tuple[str, State]],
    chart: Chart,
    checker: DefinitionChecker,
) -> None:
    """Check that all first states can be active together."""
    given = [("initial", definition.initial)]
    given += [(f"{path}.initial", state.initial) for path, state in states.values()]
    for path, names in given:
        _check_together(path, names_of(names), chart, checker)


def is_event_name(text: str) -> bool:
    """Whether a text is words joined by dots."""
    return _EVENT.fullmatch(text) is not None


def _check_trigger(path: str, trigger: str, checker: DefinitionChecker) -> None:
    if trigger in ("", ANY) or _EVENT.fullmatch(trigger):
        return
    first = trigger.removesuffix(".*")
    fix = "write one transition for each event"
    if _EVENT.fullmatch(first):
        fix = f"write '{first}': it matches every event that begins with it"
    checker.problem(path, f"'{trigger}' is not the name of an event", fix)


def _check_targets(
    definition: ReactiveDefinition, chart: Chart, checker: DefinitionChecker
) -> None:
    """Check that all targets of a transition can be active together."""
    for position, transition in enumerate(definition.transitions):
        _check_together(f"transitions[{position}].to", names_of(transition.to), chart, checker)


def _check_together(
    path: str, names: Iterable[str], chart: Chart, checker: DefinitionChecker
) -> None:
    for one, other in itertools.combinations([chart.nodes[name] for name in names], 2):
        if not one.is_beside(other):
            what = f"'{one.name}' and '{other.name}' are never active together"
            fix = "name one state in each of several regions of a parallel state"
            checker.problem(path, what, fix)


def every_state(
    states: Mapping[str, State], path: str = "states"
) -> Iterator[tuple[str, str, State]]:
    """Yield every state with its path and its name, in document order."""
    for name, state in states.items():
        here = f"{path}.{name}"
        yield here, name, state
        yield from every_state(state.states, f"{here}.states")


def _check_actions(
    state: State, path: str, definition: ReactiveDefinition, checker: DefinitionChecker
) -> bool:
    sound = True
    for key, actions in (("entry", state.entry), ("exit", state.exit)):
        for action in actions:
            sound &= _known(action, definition.actions, f"{path}.{key}", "action", checker)
    return sound


def _check_kind(name: str, state: State, path: str, checker: DefinitionChecker) -> bool:
    sound = True
    if state.parallel and state.initial is not None:
        checker.problem(f"{path}.initial", "a parallel state enters all of its states")
    elif state.initial is not None and state.history is None:
        within = [each for _, each, _ in every_state(state.states)]
        for initial in names_of(state.initial):
            sound &= _known(initial, within, f"{path}.initial", "state within", checker)
    if state.initial == ():
        checker.problem(f"{path}.initial", "it names no state", "leave it out, or name one")
        sound = False
    real = [each for each in state.states.values() if each.history is None]
    if state.states and not real:
        checker.problem(f"{path}.states", "it has only history states, which are never active")
        sound = False
    if state.parallel and len(real) < 2:
        checker.problem(f"{path}.parallel", f"'{name}' has fewer than two regions")
        sound = False
    for region, inner in state.states.items() if state.parallel else ():
        if inner.final:
            fix = "put it inside a region, or remove 'final'"
            checker.problem(f"{path}.states.{region}", "a region can't be final itself", fix)
            sound = False
    if state.final and (state.states or state.parallel):
        checker.problem(f"{path}.final", "a final state has no nested states")
        sound = False
    if state.final and state.exit:
        checker.problem(f"{path}.exit", "a final state is never left")
    return sound


def _check_history(
    name: str,
    state: State,
    path: str,
    definition: ReactiveDefinition,
    checker: DefinitionChecker,
) -> bool:
    sound = True
    own = (state.states, state.final, state.parallel, state.entry, state.exit, state.timeout)
    if any(own):
        checker.problem(f"{path}.history", "a history state has no properties but 'initial'")
        sound = False
    beside = _beside(name, definition.states)
    if name in definition.states:
        fix = "put it into the state that it restores"
        checker.problem(f"{path}.history", "the state that contains it is never left", fix)
        sound = False
    elif state.initial is not None:
        inner = every_state(beside) if state.history == "deep" else _children(beside)
        real = [each for _, each, found in inner if found.history is None]
        what = "state beside it" if state.history == "shallow" else "state beside or below it"
        for initial in names_of(state.initial):
            sound &= _known(initial, real, f"{path}.initial", what, checker)
    return sound


def _beside(name: str, states: Mapping[str, State]) -> Mapping[str, State]:
    if name in states:
        return states
    return next((found for each in states.values() if (found := _beside(name, each.states))), {})


def _children(states: Mapping[str, State]) -> Iterator[tuple[str, str, State]]:
    return ((name, name, state) for name, state in states.items())


def _check_transitions(
    definition: ReactiveDefinition,
    states: Mapping[str, tuple[str, State]],
    checker: DefinitionChecker,
) -> bool:
    sound, seen = True, set()
    for position, transition in enumerate(definition.transitions):
        path = f"transitions[{position}]"
        if transition.name in seen:
            checker.problem(f"{path}.name", f"there are two transitions '{transition.name}'")
        seen.add(transition.name)
        for name in names_of(transition.source):
            if name == ANY:
                continue
            if not _known(name, states, f"{path}.from", "state", checker):
                sound = False
            elif states[name][1].final:
                checker.problem(f"{path}.from", f"'{name}' is final: it is never left")
            elif states[name][1].history:
                checker.problem(f"{path}.from", f"'{name}' is a history state: it is never active")
                sound = False
        for name in names_of(transition.to):
            sound &= _known(name, states, f"{path}.to", "state", checker)
        for action in transition.actions:
            sound &= _known(action, definition.actions, f"{path}.actions", "action", checker)
        if not (transition.trigger or transition.condition or transition.to):
            what = "it has no trigger, no condition and no target, so it would repeat forever"
            checker.problem(path, what)
        _check_trigger(f"{path}.trigger", transition.trigger, checker)
    return sound


def _known(
    name: str, known: Iterable[str], path: str, what: str, checker: DefinitionChecker
) -> bool:
    names = list(known)
    if name in names:
        return True
    checker.problem(path, f"there is no {what} '{name}'", did_you_mean(name, names))
    return False
