"""Events of state machines, in memory, beside transitions and python-statemachine."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from statemachine import State, StateChart
from transitions.extensions.asyncio import AsyncMachine, HierarchicalAsyncMachine

from benchmarks.measuring import Candidate, Figure, Goal, measure
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.machine import Machine
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Event, Trace
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.prepared import PreparedNames

__all__ = ["measure_machines"]

_GOAL = Goal(per_s=100_000)
_PEER_GOAL = Goal(least_ratio=3)
_NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
_ROUND = 3  # events until a machine is where it was
_CONDITION = "event.data.amount > data.limit"
_AMOUNT = {"amount": 7}

Once = Callable[[], Awaitable[None]]


async def measure_machines(rounds: int) -> list[Figure]:
    """Time events.

    Raises:
        RuntimeError: A machine did not come round, so something else was timed.
    """
    found: list[Figure] = []
    groups = {
        "an event: one of 3 states follows the other": (
            _reactive(_flat(None), ("next",) * 3),
            _transitions_flat({}),
            _statemachine(_StatemachineFlat(), ("next",) * 3),
        ),
        "an event: the same, with a condition over the event and the data": (
            _reactive(_flat(_CONDITION), ("next",) * 3),
            _transitions_flat({"conditions": ["enough"]}),
            _statemachine(_StatemachineGuarded(), ("next",) * 3),
        ),
        "an event: a nested state is entered, moved in and left": (
            _reactive(_nested(), ("begin", "next", "end")),
            _transitions_nested(),
            _statemachine(_StatemachineNested(), ("begin", "next", "end")),
        ),
    }
    for group, (reactive, transitions, statemachine) in groups.items():
        candidates = [
            Candidate(f"reactive, {_words(group)}", reactive, _GOAL, _ROUND),
            Candidate("transitions: AsyncMachine", transitions, _PEER_GOAL, _ROUND),
            Candidate("python-statemachine: StateChart", statemachine, None, _ROUND),
        ]
        await reactive(_ROUND)  # the first condition imports the CEL library
        found += await measure(group, candidates, rounds)
    return found


def _words(group: str) -> str:
    return "the condition in CEL" if "condition" in group else "without the journal"


class _Evaluator:
    """The host's expressions, as a run gives them to a machine."""

    def __init__(self) -> None:
        self._expressions = Expressions()

    def prepare(self, names: Mapping[str, Any]) -> PreparedNames:
        return PreparedNames(self._expressions, names, {})

    def render(self, template: object, names: Mapping[str, Any]) -> Any:
        return self._expressions.template(template).render(names)


def _flat(condition: str | None) -> ReactiveDefinition:
    states = ("a", "b", "c")
    ways = zip(states, ("b", "c", "a"), strict=True)
    return _definition(
        {name: {} for name in states},
        [
            {"name": f"from_{one}", "from": one, "to": other, "trigger": "next",
             "condition": condition}
            for one, other in ways
        ],
    )  # fmt: skip


def _nested() -> ReactiveDefinition:
    return _definition(
        {"a": {}, "work": {"states": {"one": {}, "two": {}}}},
        [
            {"name": "begin", "from": "a", "to": "work", "trigger": "begin"},
            {"name": "next", "from": "one", "to": "two", "trigger": "next"},
            {"name": "end", "from": "work", "to": "a", "trigger": "end"},
        ],
    )


def _definition(states: Any, transitions: Any) -> ReactiveDefinition:
    given = {"name": "m", "kind": "reactive", "initial": "a"}
    return msgspec.convert(
        {**given, "states": states, "transitions": transitions}, ReactiveDefinition
    )


def _reactive(
    definition: ReactiveDefinition, names: tuple[str, ...]
) -> Callable[[int], Awaitable[None]]:
    """Do what the orchestrator does with an event: all but the run's journal."""
    machine = Machine(definition, _Evaluator(), {"id": "r"}, lambda: _NOW)
    trace = Trace()
    snapshot = machine.start({"limit": 3}, trace)
    machine.advance(snapshot, trace)

    async def call(times: int) -> None:
        for _ in range(times // _ROUND):
            for name in names:
                trace = Trace()
                taken = machine.take(snapshot, Event(name=name, data=_AMOUNT), trace)
                if not taken or machine.advance(snapshot, trace) is not None:
                    raise RuntimeError(f"'{name}' was not taken in {snapshot.active}")
        if snapshot.active != ("a",):
            raise RuntimeError(f"the machine is in {snapshot.active}")

    return call


class _Guarded:
    """A model whose condition looks at the event and at its own data."""

    limit = 3
    state: str

    def enough(self, event: Any) -> bool:
        return bool(event.kwargs["amount"] > self.limit)


def _transitions_flat(options: dict[str, Any]) -> Callable[[int], Awaitable[None]]:
    model = _Guarded()
    machine = AsyncMachine(
        model, states=["a", "b", "c"], initial="a", send_event=True, auto_transitions=False
    )
    for one, other in zip("abc", "bca", strict=True):
        machine.add_transition("next", one, other, **options)
    return _triggering(model, ("next",) * 3)


def _transitions_nested() -> Callable[[int], Awaitable[None]]:
    model = _Guarded()
    work = {"name": "work", "initial": "one", "children": ["one", "two"]}
    machine = HierarchicalAsyncMachine(
        model, states=["a", work], initial="a", send_event=True, auto_transitions=False
    )
    machine.add_transition("begin", "a", "work")
    machine.add_transition("next", "work_one", "work_two")
    machine.add_transition("end", "work", "a")
    return _triggering(model, ("begin", "next", "end"))


def _triggering(model: Any, names: tuple[str, ...]) -> Callable[[int], Awaitable[None]]:
    async def call(times: int) -> None:
        for _ in range(times // _ROUND):
            for name in names:
                if not await model.trigger(name, **_AMOUNT):
                    raise RuntimeError(f"'{name}' was not taken in {model.state}")
        if model.state != "a":
            raise RuntimeError(f"transitions is in {model.state}")

    return call


class _StatemachineFlat(StateChart[Any]):
    a = State(initial=True)
    b = State()
    c = State()
    next = a.to(b) | b.to(c) | c.to(a)


class _StatemachineGuarded(StateChart[Any]):
    a = State(initial=True)
    b = State()
    c = State()
    next = a.to(b, cond="enough") | b.to(c, cond="enough") | c.to(a, cond="enough")
    limit = 3

    def enough(self, amount: int) -> bool:
        return amount > self.limit


class _StatemachineNested(StateChart[Any]):
    a = State(initial=True)

    class work(State.Compound):
        one = State(initial=True)
        two = State()
        next = one.to(two)

    begin = a.to(work)
    end = work.to(a)


def _statemachine(machine: Any, names: tuple[str, ...]) -> Callable[[int], Awaitable[None]]:
    """Without a coroutine among its callbacks it works synchronously, which is its faster way."""

    async def call(times: int) -> None:
        for _ in range(times // _ROUND):
            for name in names:
                machine.send(name, **_AMOUNT)
        if {each.id for each in machine.configuration} != {"a"}:
            raise RuntimeError(f"python-statemachine is in {machine.configuration}")

    return call
