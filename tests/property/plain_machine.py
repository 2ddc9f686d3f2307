"""A machine written straight from SCXML's pseudo code (appendix D): slow, plain, no caches.

The names of its procedures are the recommendation's. Where QtForge Host does otherwise, a
comment says so. Conditions and actions are Python functions here, by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ReactiveDefinition,
    State,
    TransitionDefinition,
)

Data = dict[str, Any]


class Untold(Exception):
    """A condition can't be told."""


class Broken(Exception):
    """An action failed; its name is given where another action did it."""


class Endless(Exception):
    """The machine does not come to rest."""


class S:
    """A state, or with an empty name the machine itself."""

    def __init__(self, name: str, written: State | None, parent: S | None, order: int) -> None:
        self.name, self.parent, self.order = name, parent, order
        self.written = written
        self.all: list[S] = []

    @property
    def children(self) -> list[S]:
        return [each for each in self.all if not each.is_history]

    @property
    def is_history(self) -> bool:
        return self.written is not None and self.written.history is not None

    @property
    def is_parallel(self) -> bool:
        return self.written is not None and self.written.parallel

    @property
    def is_compound(self) -> bool:
        return self.written is None or (bool(self.written.states) and not self.is_parallel)

    @property
    def is_final(self) -> bool:
        return self.written is not None and self.written.final

    @property
    def is_atomic(self) -> bool:
        return not self.all

    def ancestors(self, up_to: S | None = None) -> Iterator[S]:
        """SCXML's getProperAncestors."""
        node = self.parent
        while node is not None and node is not up_to:
            yield node
            node = node.parent

    def is_descendant(self, other: S) -> bool:
        return other in list(self.ancestors())


class T:
    """A transition from one state."""

    def __init__(self, written: TransitionDefinition, source: S, targets: list[S]) -> None:
        self.written, self.source, self.targets = written, source, targets


class PlainMachine:
    """Runs a definition; its log says what happened, in order."""

    def __init__(
        self,
        definition: ReactiveDefinition,
        conditions: Mapping[str, Callable[[PlainMachine], bool]],
        actions: Mapping[str, Callable[[PlainMachine], None]],
        data: Data,
    ) -> None:
        self.conditions, self.actions = conditions, actions
        self.states: dict[str, S] = {}
        self.root = S("", None, None, -1)
        self._grow(self.root, definition.states)
        first = definition.initial or "started"
        assert isinstance(first, str)
        self.initial = self.states[first]
        self.transitions: list[T] = []
        for written in sorted(definition.transitions, key=lambda each: -each.priority):
            for name in [written.source] if isinstance(written.source, str) else written.source:
                to = [written.to] if isinstance(written.to, str) else written.to
                source = self.root if name == "*" else self.states[name]
                self.transitions.append(T(written, source, [self.states[each] for each in to]))
        self.data = data
        self.configuration: set[S] = set()
        self.history: dict[str, list[S]] = {}
        self.queue: list[str] = []
        self.event = "workflow.started"
        self.finished: str | None = None
        self.failed = False
        self.log: list[Any] = []
        self.taken: list[str] = []
        self.exited: list[str] = []
        self.entered: list[str] = []
        self.microsteps = 0

    def _grow(self, parent: S, states: Mapping[str, State]) -> None:
        for name, written in states.items():
            made = self.states[name] = S(name, written, parent, len(self.states))
            parent.all.append(made)
            self._grow(made, written.states)

    @property
    def active(self) -> list[str]:
        return [each.name for each in self.in_order(self.configuration) if each.is_atomic]

    def in_order(self, states: Any) -> list[S]:
        return sorted(states, key=lambda each: each.order)

    def start(self) -> None:
        self.enter_states([], [(self.root, [self.initial])])
        self.main_event_loop()

    def external(self, name: str) -> str:
        """Handle an event; return the outcome."""
        before, self.event = self.event, name
        try:
            enabled = self.select_transitions(name)
        except Untold:
            self.event, enabled, outcome = before, [], "untold"  # ours: as if it had not come
        else:
            outcome = "taken" if enabled else "not taken"
        if enabled:
            self.microstep(enabled)
        self.main_event_loop()
        return outcome

    def main_event_loop(self) -> None:
        self.microsteps = 0
        while self.finished is None and not self.failed:
            try:
                enabled = self.select_transitions("")
                if not enabled:
                    if not self.queue:
                        break
                    self.event = self.queue.pop(0)
                    enabled = self.select_transitions(self.event)
                    if not enabled and self.event.startswith("error."):
                        self.failed = True  # ours: a failure that nothing handles ends it
            except Untold:
                self.failed = True  # ours: SCXML takes it for false
                break
            if enabled:
                self.microstep(enabled)
        if self.finished is not None and any(each.startswith("error.") for each in self.queue):
            self.failed, self.finished = True, None  # ours: the end does not hide a failure

    def select_transitions(self, event: str) -> list[T]:
        enabled: list[T] = []
        for state in self.in_order(each for each in self.configuration if each.is_atomic):
            found = self.first_enabled(state, event)
            if found is not None and found not in enabled:
                enabled.append(found)
        return self.remove_conflicting(enabled)

    def first_enabled(self, state: S, event: str) -> T | None:
        for source in [state, *state.ancestors()]:
            for t in self.transitions:
                if t.source is source and self.name_matches(t.written.trigger, event):
                    condition = t.written.condition
                    if condition is None or self.conditions[condition](self):
                        return t
        return None

    def name_matches(self, trigger: str, event: str) -> bool:
        if event == "" or trigger == "":
            return event == trigger
        words = trigger.split(".")
        return trigger == "*" or event.split(".")[: len(words)] == words

    def remove_conflicting(self, enabled: list[T]) -> list[T]:
        filtered: list[T] = []
        for t1 in enabled:
            preempted, to_remove = False, []
            for t2 in filtered:
                if self.exit_set([t1]) & self.exit_set([t2]):
                    if t1.source.is_descendant(t2.source):
                        to_remove.append(t2)
                    else:
                        preempted = True
                        break
            if not preempted:
                filtered = [each for each in filtered if each not in to_remove]
                filtered.append(t1)
        return filtered

    def exit_set(self, transitions: list[T]) -> set[S]:
        found: set[S] = set()
        for t in transitions:
            if t.targets:
                domain = self.domain(t)
                found |= {each for each in self.configuration if each.is_descendant(domain)}
        return found

    def effective_targets(self, t: T) -> list[S]:
        found: list[S] = []
        for target in t.targets:
            if not target.is_history:
                found.append(target)
            else:
                found += self.history.get(target.name) or [self.history_default(target)]
        return found

    def history_default(self, history: S) -> S:
        assert history.written is not None
        assert history.parent is not None
        parent = history.parent
        named = history.written.initial
        if named is not None:
            assert isinstance(named, str)
            return self.states[named]
        first = self.initial_of(parent) if parent.is_compound else parent.children[0]
        return parent.children[0] if first.is_history else first

    def initial_of(self, state: S) -> S:
        if state is self.root:
            return self.initial
        assert state.written is not None
        named = state.written.initial
        if named is None:
            return state.children[0]
        assert isinstance(named, str)
        return self.states[named]

    def domain(self, t: T) -> S:
        targets = self.effective_targets(t)
        inside = all(each.is_descendant(t.source) for each in targets)
        if inside and (t.source is self.root or (t.written.internal and t.source.is_compound)):
            return t.source  # ours: "*" starts at the machine, which is never left
        for ancestor in t.source.ancestors():
            if ancestor.is_compound and all(each.is_descendant(ancestor) for each in targets):
                return ancestor
        raise AssertionError("the machine is around everything")

    def microstep(self, enabled: list[T]) -> None:
        self.microsteps += 1
        if self.microsteps > 50:
            raise Endless
        self.taken += [t.written.name for t in enabled]
        leaving = self.exit_set(enabled)
        inside = [(self.domain(t), t.targets) for t in enabled if t.targets]
        self.exit_states(leaving)
        for t in enabled:
            self.execute(t.written.actions)
        self.enter_states(enabled, inside)

    def exit_states(self, leaving: set[S]) -> None:
        order = self.in_order(leaving)[::-1]
        for state in order:
            for history in (each for each in state.all if each.is_history):
                assert history.written is not None
                deep = history.written.history == "deep"
                self.history[history.name] = self.in_order(
                    each
                    for each in self.configuration
                    if (each.is_atomic and each.is_descendant(state) if deep
                        else each.parent is state)
                )  # fmt: skip
        for state in order:
            self.exited.append(state.name)
            assert state.written is not None
            self.execute(state.written.exit)
            self.configuration.remove(state)

    def enter_states(self, enabled: list[T], inside: list[tuple[S, list[S]]]) -> None:
        to_enter: set[S] = set()
        for domain, targets in inside:
            for target in targets:
                self.add_descendants(target, to_enter)
            for target in self.effective_targets(T(None, domain, targets)):  # type: ignore[arg-type]
                self.add_ancestors(target, domain, to_enter)
        for state in self.in_order(to_enter):
            self.configuration.add(state)
            self.entered.append(state.name)
            assert state.written is not None
            assert state.parent is not None
            self.execute(state.written.entry)
            if state.is_final and state.parent is self.root:
                self.finished = state.name
            elif state.is_final:
                self.queue.append(f"done.state.{state.parent.name}")
                around = state.parent.parent
                # Ours, by 3.4: a parallel state within a parallel state may be its last region.
                while around is not None and around.is_parallel and self.in_final(around):
                    self.queue.append(f"done.state.{around.name}")
                    around = around.parent

    def in_final(self, state: S) -> bool:
        if state.is_parallel:
            return all(self.in_final(each) for each in state.children)
        return any(each.is_final and each in self.configuration for each in state.children)

    def add_descendants(self, state: S, to_enter: set[S]) -> None:
        if state.is_history:
            assert state.parent is not None
            stands_for = self.history.get(state.name) or [self.history_default(state)]
            for each in stands_for:
                self.add_descendants(each, to_enter)
            for each in stands_for:
                self.add_ancestors(each, state.parent, to_enter)
            return
        to_enter.add(state)
        if state.is_compound:
            self.add_descendants(self.initial_of(state), to_enter)
            self.add_ancestors(self.initial_of(state), state, to_enter)
        elif state.is_parallel:
            self.add_regions(state, to_enter)

    def add_ancestors(self, state: S, up_to: S, to_enter: set[S]) -> None:
        for ancestor in state.ancestors(up_to):
            if ancestor in self.configuration:
                continue  # ours: SCXML enters it again, though it was not left
            to_enter.add(ancestor)
            if ancestor.is_parallel:
                self.add_regions(ancestor, to_enter)

    def add_regions(self, state: S, to_enter: set[S]) -> None:
        for region in state.children:
            if not any(each is region or each.is_descendant(region) for each in to_enter):
                self.add_descendants(region, to_enter)

    def execute(self, block: tuple[str, ...]) -> None:
        for name in block:
            try:
                self.actions[name](self)
            except Broken as broken:
                self.queue.append(f"error.{broken.args[0] if broken.args else name}")
                break

    def do_nested(self, names: Sequence[str]) -> None:
        """Do the actions of another action."""
        for name in names:
            try:
                self.actions[name](self)
            except Broken as broken:
                raise Broken(*(broken.args or (name,))) from None
