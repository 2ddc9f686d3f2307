"""``kind = "reactive"``: state machines that wait for events, timers and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ReactiveDefinition,
    State,
)
from qtforge_builtin_plugins.orchestrators.reactive.graph import draw
from qtforge_builtin_plugins.orchestrators.reactive.instance import Instance
from qtforge_builtin_plugins.orchestrators.reactive.microstep import Planner
from qtforge_builtin_plugins.orchestrators.reactive.scopes import check_expressions, machine_names
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Snapshot
from qtforge_builtin_plugins.orchestrators.reactive.validation import check_structure, every_state
from qtforge_sdk import DefinitionChecker, Orchestrator, Run, StepResult
from qtforge_sdk.checkpoints import AcceptedEvent, EventTrigger
from qtforge_sdk.graphs import Graph
from qtforge_sdk.members import Members, members_of
from qtforge_sdk.records import CheckpointSaved

__all__ = ["ReactiveOrchestrator"]

_FROM_WITHIN: Final = ("error.", "done.", "timer.")


class ReactiveOrchestrator(Orchestrator[ReactiveDefinition]):
    """Run state machines; each event is saved together with its effects."""

    kind: ClassVar[str] = "reactive"
    stateful: ClassVar[bool] = True

    def __init__(self) -> None:
        # By the definition's identity: a definition is made once and lives as long as its run.
        self._planners: dict[int, tuple[ReactiveDefinition, Planner]] = {}

    def check(self, definition: ReactiveDefinition, checker: DefinitionChecker) -> None:
        """Check names, reachability, topics, durations and expressions."""
        check_structure(definition, checker)
        check_expressions(definition, checker)

    async def execute(self, run: Run) -> Any:
        """Handle events until the machine ends; its data is the result."""
        return await Instance(run, self._planner).live()

    def graph(
        self,
        definition: ReactiveDefinition,
        active: Iterable[str] = (),
        taken: Iterable[str] = (),
    ) -> Graph:
        """Return the machine's graph.

        Args:
            definition: The machine.
            active: The names of a run's active atomic states; none without a run.
            taken: The names of the transitions that the run took, in order.
        """
        return draw(definition, active, taken)

    def graph_of_run(
        self, definition: ReactiveDefinition, checkpoints: Sequence[CheckpointSaved]
    ) -> Graph:
        """Return the machine's graph, marked with a run's state and the path that it took.

        Args:
            definition: The machine.
            checkpoints: All checkpoints of the run, oldest first.
        """
        # The last state is None too where the machine is to begin again.
        state = checkpoints[-1].state if checkpoints else None
        active = () if state is None else msgspec.convert(state, Snapshot).active
        taken = [name for each in checkpoints for name in each.trace.get("transitions", ())]
        return self.graph(definition, active, taken)

    def accepts(self, definition: ReactiveDefinition, state: Any) -> list[AcceptedEvent]:
        """Return the events that a machine's state accepts, innermost first.

        Args:
            definition: The machine.
            state: An encoded `Snapshot`; None before the start.
        """
        if state is None:
            return []
        snapshot = msgspec.convert(state, Snapshot)
        timers = {timer.event for timer in snapshot.timers.values()}
        return [
            AcceptedEvent(
                event=transition.trigger,
                transition=transition.name,
                condition=transition.condition,
                targets=tuple(target.name for target in transition.targets),
                from_within=transition.trigger in timers
                or transition.trigger.startswith(_FROM_WITHIN),
            )
            for transition in self._planner(definition).named(snapshot.active).transitions()
            if transition.trigger
        ]

    def result_members(self, definition: ReactiveDefinition, checker: DefinitionChecker) -> Members:
        """Return what is known of ``result``, unless a final state has a result of its own.

        Without any, it is the state and the data.
        """
        states = [state for _, _, state in every_state(definition.states)]
        if any(state.result is not None for state in states):
            return None
        names = machine_names(definition, checker)
        if definition.result is None:
            return {"state": members_of([str]), "data": names["data"]}
        return checker.members(definition.result, names)

    def triggers(self, definition: ReactiveDefinition) -> list[EventTrigger]:
        """Return the publications that ``start_on`` and ``events`` name."""
        return [
            EventTrigger(starts=starts, **msgspec.structs.asdict(binding))
            for starts, bindings in ((True, definition.start_on), (False, definition.events))
            for binding in bindings
        ]

    def _planner(self, definition: ReactiveDefinition) -> Planner:
        known = self._planners.get(id(definition))
        if known is not None and known[0] is definition:
            return known[1]
        if len(self._planners) >= 256:
            self._planners.clear()
        planner = Planner(Chart(definition))
        self._planners[id(definition)] = (definition, planner)
        return planner

    def check_amendment(
        self,
        before: ReactiveDefinition,
        after: ReactiveDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment: the instance may be in any state."""
        kept = {name: (path, state) for path, name, state in every_state(after.states)}
        reasons = []
        for path, name, state in every_state(before.states):
            if name not in kept:
                reasons.append(f"the state '{name}' can't be removed: the run may be in it")
            elif kept[name][0] != path:
                reasons.append(f"the state '{name}' can't be moved: the run may be in it")
            elif _shape(kept[name][1]) != _shape(state):
                why = "the run may be in it, with none or too few of its nested states active"
                reasons.append(f"the state '{name}' can't change its kind: {why}")
        return reasons


def _shape(state: State) -> tuple[object, ...]:
    """Return the properties of a state that decide which others are active with it."""
    regions = tuple(state.states) if state.parallel else ()
    return bool(state.states), state.parallel, state.final, state.history, regions
