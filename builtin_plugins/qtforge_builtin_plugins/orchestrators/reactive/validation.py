"""What is wrong with a machine: names, ways that lead nowhere, states that nobody reaches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ANY,
    ReactiveDefinition,
    State,
)
from qtforge_sdk import DefinitionChecker

__all__ = ["check_structure", "every_state"]


def check_structure(definition: ReactiveDefinition, checker: DefinitionChecker) -> bool:
    """Check names and ways; return whether the machine can be built at all."""
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
    sound &= _known(definition.initial, states, "initial", "state", checker)
    if sound and definition.initial not in definition.states:
        checker.problem("initial", f"'{definition.initial}' lies within another state")
        sound = False
    for name, (path, state) in states.items():
        sound &= _check_state(name, state, path, definition, checker)
    sound &= _check_transitions(definition, states, checker)
    if sound:
        _check_reach(definition, states, checker)
    return sound


def every_state(
    states: Mapping[str, State], path: str = "states"
) -> Iterator[tuple[str, str, State]]:
    """Give every state with its path and its name, in document order."""
    for name, state in states.items():
        here = f"{path}.{name}"
        yield here, name, state
        yield from every_state(state.states, f"{here}.states")


def _check_state(
    name: str,
    state: State,
    path: str,
    definition: ReactiveDefinition,
    checker: DefinitionChecker,
) -> bool:
    sound = True
    for key, actions in (("entry", state.entry), ("exit", state.exit)):
        for action in actions:
            sound &= _known(action, definition.actions, f"{path}.{key}", "action", checker)
    if state.initial is not None and state.history is None:
        sound &= _known(state.initial, state.states, f"{path}.initial", "state within", checker)
    real = [each for each in state.states.values() if each.history is None]
    if state.states and not real:
        checker.problem(f"{path}.states", "history states alone are nothing to be in")
        sound = False
    if state.parallel and len(real) < 2:
        checker.problem(f"{path}.parallel", f"'{name}' has fewer than two regions")
    if state.final and (state.states or state.parallel):
        checker.problem(f"{path}.final", "a final state has no states within")
        sound = False
    if state.final and state.exit:
        checker.problem(f"{path}.exit", "a final state is never left")
    if state.history is not None and (state.states or state.final or state.entry or state.exit):
        checker.problem(f"{path}.history", "a history state only stands for others")
        sound = False
    return sound


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
        for name in _names(transition.source):
            if name == ANY:
                continue
            if not _known(name, states, f"{path}.from", "state", checker):
                sound = False
            elif states[name][1].final:
                checker.problem(f"{path}.from", f"'{name}' is final: it is never left")
            elif states[name][1].history:
                checker.problem(f"{path}.from", f"'{name}' is a history state: nothing is in it")
                sound = False
        for name in _names(transition.to):
            sound &= _known(name, states, f"{path}.to", "state", checker)
        for action in transition.actions:
            sound &= _known(action, definition.actions, f"{path}.actions", "action", checker)
        if not (transition.trigger or transition.condition or transition.to):
            checker.problem(path, "it has no trigger, no condition and no target: it never ends")
    return sound


def _check_reach(
    definition: ReactiveDefinition,
    states: Mapping[str, tuple[str, State]],
    checker: DefinitionChecker,
) -> None:
    parents = dict(_parents(definition.states, None))
    reached = _reached(definition, parents)
    everywhere = any(ANY in _names(each.source) for each in definition.transitions)
    for name, (path, state) in states.items():
        if name not in reached:
            if state.history is None:
                checker.problem(path, f"no way leads to '{name}'", "add a transition, or remove it")
            continue
        outside = [name, *_around(name, parents)]
        leaves = any(
            each.to and set(_names(each.source)) & set(outside) for each in definition.transitions
        )
        waits = not state.states and not state.final and not state.history
        if waits and not leaves and not everywhere:
            fix = "make it final, or add a transition from it"
            checker.problem(path, f"nothing ever leaves '{name}', and it is not final", fix)
    _check_shadowed(definition, reached, checker)


def _check_shadowed(
    definition: ReactiveDefinition, reached: set[str], checker: DefinitionChecker
) -> None:
    for position, transition in enumerate(definition.transitions):
        sources = [name for name in _names(transition.source) if name == ANY or name in reached]
        rivals = [
            other
            for place, other in enumerate(definition.transitions)
            if other.condition is None
            and other.trigger == transition.trigger
            and (-other.priority, place) < (-transition.priority, position)
        ]
        hidden = [name for name in sources if any(name in _names(other.source) for other in rivals)]
        if not sources:
            checker.problem(f"transitions[{position}].from", "no way leads to where it starts")
        elif len(hidden) == len(sources):
            rival = next(each for each in rivals if hidden[0] in _names(each.source))
            what = f"'{transition.name}' can never be taken: '{rival.name}' always goes first"
            checker.problem(f"transitions[{position}]", what, "give it the higher priority")


def _reached(definition: ReactiveDefinition, parents: Mapping[str, str | None]) -> set[str]:
    states = {name: state for _, name, state in every_state(definition.states)}
    found: set[str] = set()
    todo = [definition.initial]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        todo += _entered_with(states[name])
        around = _around(name, parents)
        todo += around
        todo += [
            each for parent in around if states[parent].parallel for each in states[parent].states
        ]
        if states[name].history and parents[name] is not None:
            todo += list(states[parents[name] or name].states)
        for transition in definition.transitions:
            sources = set(_names(transition.source))
            if ANY in sources or name in sources:
                todo += _names(transition.to)
    return found


def _entered_with(state: State) -> list[str]:
    if state.parallel:
        return [name for name, each in state.states.items() if each.history is None]
    if state.initial is not None:
        return [state.initial]
    return [name for name, each in state.states.items() if each.history is None][:1]


def _parents(states: Mapping[str, State], parent: str | None) -> Iterator[tuple[str, str | None]]:
    for name, state in states.items():
        yield name, parent
        yield from _parents(state.states, name)


def _around(name: str, parents: Mapping[str, str | None]) -> list[str]:
    found = []
    parent = parents[name]
    while parent is not None:
        found.append(parent)
        parent = parents[parent]
    return found


def _known(
    name: str, known: Iterable[str], path: str, what: str, checker: DefinitionChecker
) -> bool:
    names = list(known)
    if name in names:
        return True
    near = difflib.get_close_matches(name, names, n=1)
    fix = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names) or 'none'}"
    checker.problem(path, f"there is no {what} '{name}'", fix)
    return False


def _names(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given
