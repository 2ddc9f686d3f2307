"""Random machines and events, beside a machine that is written as the recommendation has it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as some
from tests.property.plain_machine import Broken, Endless, PlainMachine, Untold

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    Action,
    ForeachAction,
    IfAction,
    MessageAction,
    PluginCallAction,
    RaiseAction,
    ScriptAction,
    SetAction,
)
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ReactiveDefinition,
    State,
    TransitionDefinition,
)
from qtforge_builtin_plugins.orchestrators.reactive.machine import Machine
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Event, Snapshot, Trace
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.prepared import PreparedNames
from qtforge_sdk.errors import ExpressionError

TRIGGERS = (*("a", "b", "b.c", "d") * 6, "*", "*", "", "", "error", "done.state")
EVENTS = ("a", "b", "b.c", "bc", "d")
NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class Evaluator:
    """The host's expressions, as a run gives them to a machine."""

    def __init__(self) -> None:
        self._expressions = Expressions()

    def prepare(self, names: Mapping[str, Any]) -> PreparedNames:
        return PreparedNames(self._expressions, names, {})

    def render(self, template: object, names: Mapping[str, Any]) -> Any:
        return self._expressions.template(template).render(names)


EVALUATOR = Evaluator()


def answer_known(it: PlainMachine) -> bool:
    if "answer" not in it.data:
        raise Untold
    return bool(it.data["answer"] > 2)


CONDITIONS: dict[str, Callable[[PlainMachine], bool]] = {
    "data.n > 1": lambda it: it.data["n"] > 1,
    "data.n % 2 == 0": lambda it: it.data["n"] % 2 == 0,
    "event.name == 'a'": lambda it: it.event == "a",
    "instance.states.size() > 1": lambda it: len(it.active) > 1,
    "data.answer > 2": answer_known,
}
CALL: dict[str, Any] = {"operation": "o", "message": {"n": "${data.n}"}}
ACTIONS: dict[str, Action] = {
    "add": SetAction(values={"n": "${(data.n + 1) % 5}"}),
    "zero": SetAction(values={"n": 0}),
    "square": ScriptAction(expression="{'n': data.n * data.n % 7}"),
    "tell": MessageAction(topic="t", message={"n": "${data.n}"}),
    "call": PluginCallAction(result="answer", **CALL),
    "fail": PluginCallAction(result="never", **CALL),
    "try": PluginCallAction(required=False, result="never", **CALL),
    "stumble": SetAction(values={"n": "${data.nothing}"}),
    "raise_a": RaiseAction(event="a"),
    "raise_bc": RaiseAction(event="b.c"),
    "choose": IfAction(condition="data.n > 1", then=("tell", "each_one"), otherwise=("add",)),
    "each": ForeachAction(items="${[data.n, 3]}", item="n", actions=("call", "choose")),
    "each_one": ForeachAction(items="${[data.n]}", item="n", actions=("try", "fail_at_3")),
    "fail_at_3": IfAction(condition="data.n == 3", then=("fail",)),
}


def _set(change: Callable[[int], int]) -> Callable[[PlainMachine], None]:
    def act(it: PlainMachine) -> None:
        it.data = {**it.data, "n": change(it.data["n"])}

    return act


def _ask(name: str) -> Callable[[PlainMachine], None]:
    def act(it: PlainMachine) -> None:
        it.log.append((name, it.data["n"]))
        if name == "fail":
            raise Broken
        if name == "call":
            it.data = {**it.data, "answer": it.data["n"] + 1}

    return act


def _choose(it: PlainMachine) -> None:
    it.do_nested(("tell", "each_one") if it.data["n"] > 1 else ("add",))


def _each(items: Callable[[int], list[int]], *names: str) -> Callable[[PlainMachine], None]:
    def act(it: PlainMachine) -> None:
        for item in items(it.data["n"]):
            it.data = {**it.data, "n": item}
            it.do_nested(names)

    return act


def _stumble(it: PlainMachine) -> None:
    raise Broken


DOINGS: dict[str, Callable[[PlainMachine], None]] = {
    "add": _set(lambda n: (n + 1) % 5),
    "zero": _set(lambda n: 0),
    "square": _set(lambda n: n * n % 7),
    "stumble": _stumble,
    "raise_a": lambda it: it.queue.append("a"),
    "raise_bc": lambda it: it.queue.append("b.c"),
    "choose": _choose,
    "each": _each(lambda n: [n, 3], "call", "choose"),
    "each_one": _each(lambda n: [n], "try", "fail_at_3"),
    "fail_at_3": lambda it: it.do_nested(("fail",) if it.data["n"] == 3 else ()),
    **{name: _ask(name) for name in ("tell", "call", "fail", "try")},
}
OFTEN = ("add", "square", "tell", "call", "try") * 12
RARELY = ("raise_a", "raise_bc", "fail", "stumble", "choose", "each", "each_one")
BLOCKS = some.lists(some.sampled_from((*OFTEN, *RARELY)), max_size=2).map(tuple)


class Drawn:
    """Draws a machine; the names of its states are their order."""

    def __init__(self, draw: some.DrawFn) -> None:
        self.draw = draw
        self.names: list[str] = []
        self.sources: list[str] = []
        self.histories: list[str] = []
        self.regions: list[list[list[str]]] = []  # of each parallel state, the states in each

    def rich(self) -> dict[str, State]:
        """Give a tree with all there is, where chance alone seldom comes."""
        end = State(final=True)
        first = {"x1": self.leaf(), "x2": self.leaf(), "f1": end, "h1": State(history="shallow")}
        nested = {
            "z": State(states={"z1": self.leaf(), "fz": end}),
            "w": State(states={"w1": self.leaf(), "fw": end}, initial="fw"),
        }
        second = {"y1": self.leaf(), "y2": State(parallel=True, states=nested), "f2": end}
        both = {
            "r1": State(states=first, entry=self.draw(BLOCKS)),
            "r2": State(states=second, exit=self.draw(BLOCKS)),
            "r3": State(
                parallel=True,
                states={"v": State(states={"v1": self.leaf(), "fv": end}), "u": self.leaf()},
            ),
        }
        inner = {
            "q": self.leaf(),
            "both": State(parallel=True, states=both),
            "hd": State(history="deep", initial="x2"),
            "hs": State(history="shallow", initial="both"),
        }
        self.sources += [
            "x1",
            "x2",
            "y1",
            "y2",
            "z1",
            "w1",
            "v1",
            "r1",
            "r2",
            "q",
            "both",
            "p",
            "o",
        ]
        self.names += [*self.sources, "f1", "f2", "fz", "fw", "fv"]
        self.histories += ["h1", "hd", "hs"]
        self.regions += [[["x1", "x2", "f1", "h1"], ["y1", "z1", "fz", "f2", "y2"]]]
        self.regions += [[["z1", "fz"], ["w1", "fw"]]]
        return {"p": State(states=inner, initial="both"), "o": self.leaf(), "end": end}

    def leaf(self) -> State:
        return State(entry=self.draw(BLOCKS), exit=self.draw(BLOCKS), timeout="1h")

    def states(self, depth: int, count: int, *, final: bool) -> dict[str, State]:
        found = {}
        for place in range(count):
            name, state = self.state(depth, final=final and place == count - 1)
            found[name] = state
        return found

    def state(self, depth: int, *, final: bool) -> tuple[str, State]:
        name = f"s{len(self.names)}"
        self.names.append(name)
        if final and len(self.names) > 1 and self.draw(some.booleans()):
            return name, State(final=True, entry=self.draw(BLOCKS))
        self.sources.append(name)
        kind = self.draw(some.sampled_from(("atomic", "compound", "parallel"))) if depth else ""
        timeout = self.draw(some.sampled_from((None, None, "1h")))
        entry, leave = self.draw(BLOCKS), self.draw(BLOCKS)
        inner: dict[str, State] = {}
        if kind == "compound":
            inner = self.states(depth - 1, self.draw(some.integers(1, 3)), final=True)
        elif kind == "parallel":
            regions = []
            for _ in range(self.draw(some.integers(2, 3))):
                start = len(self.names)
                region, state = self.state(depth - 1, final=False)
                inner[region] = state
                regions.append(self.names[start:])
            self.regions.append(regions)
        initial: str | None = None
        remembers: bool = self.draw(some.booleans())
        if inner and remembers:
            inner |= self.history(inner)
        if kind == "compound" and self.draw(some.booleans()):
            initial = self.draw(some.sampled_from(sorted(inner)))
        return name, State(
            entry=entry,
            exit=leave,
            timeout=timeout,
            states=inner,
            parallel=kind == "parallel",
            initial=initial,
        )

    def history(self, beside: Mapping[str, State]) -> dict[str, State]:
        name = f"h{len(self.histories)}"
        self.histories.append(name)
        initial = self.draw(some.sampled_from((None, *sorted(beside))))
        kind: Any = self.draw(some.sampled_from(("shallow", "deep")))
        if initial is not None and beside[initial].history is not None:
            initial = None
        return {name: State(history=kind, initial=initial)}

    def transition(self, place: int) -> TransitionDefinition:
        source: Any = self.draw(some.sampled_from((*self.sources, *self.sources, "*")))
        if self.draw(some.integers(0, 5)) == 0:
            source = tuple(self.draw(some.sets(some.sampled_from(self.sources), min_size=1)))
        trigger = self.draw(some.sampled_from(TRIGGERS))
        conditions = (*CONDITIONS, *[None] * 8)
        if trigger == "":
            # What it does makes most of these false again; else few machines come to rest.
            conditions = (*["data.n > 1"] * 9, *CONDITIONS)
        return TransitionDefinition(
            name=f"t{place}",
            source=source,
            to=self.target(),
            trigger=trigger,
            condition=self.draw(some.sampled_from(conditions)),
            priority=self.draw(some.sampled_from((0, 0, 0, 1, -1))),
            internal=self.draw(some.booleans()),
            actions=("zero", *self.draw(BLOCKS)) if trigger == "" else self.draw(BLOCKS),
        )

    def target(self) -> Any:
        kind = self.draw(some.sampled_from(("one", "one", "one", "none", "several", "history")))
        if kind == "none":
            return ()
        if kind == "several" and self.regions:
            regions = self.draw(some.sampled_from(self.regions))
            return tuple(self.draw(some.sampled_from(region)) for region in regions[:2])
        if kind == "history" and self.histories:
            return self.draw(some.sampled_from(self.histories))
        return self.draw(some.sampled_from(self.names))


@some.composite
def definitions(draw: some.DrawFn) -> ReactiveDefinition:
    drawn = Drawn(draw)
    rich = draw(some.booleans())
    states = drawn.rich() if rich else drawn.states(3, draw(some.integers(1, 4)), final=True)
    count = draw(some.integers(6 if rich else 1, 14))
    transitions = [drawn.transition(place) for place in range(count)]
    if draw(some.booleans()):  # else many end with their first failure
        transitions.append(TransitionDefinition(name="mend", source="*", trigger="error"))
    return ReactiveDefinition(
        name="random",
        kind="reactive",
        initial=next(iter(states)),
        states=states,
        transitions=tuple(transitions),
        actions=ACTIONS,
    )


class Beside:
    """The real machine; it may be kept and read again wherever it stops."""

    def __init__(self, definition: ReactiveDefinition, *, kept: bool) -> None:
        self.definition, self.kept = definition, kept
        self.trace = Trace()
        self.log: list[Any] = []
        self.machine = self.make()
        self.snapshot = self.machine.start({"n": 0}, self.trace)
        self.settle()

    def make(self) -> Machine:
        return Machine(self.definition, EVALUATOR, {"id": "r"}, lambda: NOW)

    def keep(self) -> None:
        if self.kept:
            packed = msgspec.msgpack.encode(self.snapshot)
            self.snapshot = msgspec.msgpack.decode(packed, type=Snapshot)
            self.machine = self.make()

    def external(self, name: str) -> str:
        self.keep()
        try:
            taken = self.machine.take(self.snapshot, Event(name=name), self.trace)
            outcome = "taken" if taken else "not taken"
        except ExpressionError:
            outcome = "untold"
        self.keep()
        self.settle()
        return outcome

    def settle(self) -> None:
        while (call := self.machine.advance(self.snapshot, self.trace)) is not None:
            if self.kept:
                self.keep()
                assert self.machine.advance(self.snapshot, self.trace) == call
            self.log.append((call.name, call.message["n"]))
            if call.name in ("fail", "try"):
                self.machine.failed(self.snapshot, call, {"message": "no"}, self.trace)
            else:
                self.machine.answered(self.snapshot, call, call.message["n"] + 1)
            self.keep()


def compare(real: Beside, plain: PlainMachine) -> None:
    snapshot = real.snapshot
    assert (snapshot.finished, snapshot.failed is not None) == (plain.finished, plain.failed)
    assert real.trace.transitions == plain.taken
    assert real.trace.exited == plain.exited
    assert real.trace.entered == plain.entered
    assert list(snapshot.active) == plain.active
    assert real.log == plain.log
    assert snapshot.data == plain.data
    timed = {f"state:{each.name}" for each in plain.configuration if each.written.timeout}  # type: ignore[union-attr]
    assert set(snapshot.timers) == (set() if plain.finished or plain.failed else timed)


@given(
    definition=definitions(),
    events=some.lists(some.sampled_from(EVENTS), min_size=2, max_size=10),
    kept=some.booleans(),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_machine_does_what_the_recommendation_says_kept_between_its_steps_or_not(
    definition: ReactiveDefinition, events: list[str], kept: bool
) -> None:
    plain = PlainMachine(definition, CONDITIONS, DOINGS, {"n": 0})
    real: Beside | None = None
    try:
        plain.start()
        real = Beside(definition, kept=kept)
        compare(real, plain)
        for name in events:
            if plain.finished or plain.failed:
                event("ended")
                return
            expected = plain.external(name)  # first: it sees sooner that there is no end
            event(expected)
            assert real.external(name) == expected
            compare(real, plain)
    except Endless:
        event("endless")


def test_the_model_takes_back_what_the_real_machine_would_do_wrong() -> None:
    """A model that agrees with everything would test nothing."""
    states = {"started": State(exit=("tell",)), "other": State(entry=("add",))}
    way = TransitionDefinition(name="go", source="started", to="other", trigger="a")
    definition = ReactiveDefinition(
        name="m", kind="reactive", states=states, transitions=(way,), actions=ACTIONS
    )
    plain = PlainMachine(definition, CONDITIONS, DOINGS, {"n": 0})
    plain.start()
    real = Beside(definition, kept=False)
    assert (plain.external("a"), real.external("a")) == ("taken", "taken")
    compare(real, plain)
    real.snapshot.data = {"n": 4}
    with pytest.raises(AssertionError):
        compare(real, plain)
