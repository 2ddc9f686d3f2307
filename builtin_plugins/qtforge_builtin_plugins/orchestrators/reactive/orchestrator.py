"""``kind = "reactive"``: state machines that wait for events, timers and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.instance import Instance
from qtforge_builtin_plugins.orchestrators.reactive.microstep import Planner
from qtforge_builtin_plugins.orchestrators.reactive.naming import check_expressions
from qtforge_builtin_plugins.orchestrators.reactive.validation import check_structure, every_state
from qtforge_sdk import Definition, DefinitionChecker, Run, StepResult

__all__ = ["ReactiveOrchestrator"]


class ReactiveOrchestrator:
    """Runs state machines; each event is kept together with what it caused."""

    kind: ClassVar[str] = "reactive"
    definition_type: ClassVar[type[Definition]] = ReactiveDefinition
    keeps_state: ClassVar[bool] = True

    def __init__(self) -> None:
        # Of the definition itself, for a definition is made once and lives as long as its run.
        self._planners: dict[int, tuple[ReactiveDefinition, Planner]] = {}

    def check(self, definition: ReactiveDefinition, checker: DefinitionChecker) -> None:
        """Check names, ways, topics, durations and expressions."""
        check_structure(definition, checker)
        check_expressions(definition, checker)

    async def execute(self, run: Run) -> Any:
        """Handle events until the machine ends; its data is the result."""
        return await Instance(run, self._planner).live()

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
        """Say why an amendment can't be made: an instance may be in any state, so all stay."""
        kept = {name for _, name, _ in every_state(after.states)}
        return [
            f"the state '{name}' can't be removed: the run may be in it"
            for _, name, _ in every_state(before.states)
            if name not in kept
        ]
