"""``kind = "conditional"``: stages, then rules that choose the workflow to continue with.

It is the original's DocumentRoutingOrchestrator, for any workflow: the ``stages`` do the
analysis, and the ``names`` are the variables of its conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from qtforge_builtin_plugins.orchestrators.drawing import END, StageDrawing
from qtforge_builtin_plugins.orchestrators.rules import Decision, Rule, decide, no_match
from qtforge_builtin_plugins.orchestrators.stage_checks import (
    STEP_MEMBERS,
    check_stages,
    step_members,
)
from qtforge_builtin_plugins.orchestrators.stage_runner import run_stages
from qtforge_builtin_plugins.orchestrators.staged import StagedOrchestrator
from qtforge_builtin_plugins.orchestrators.stages import Stage, StagedDefinition
from qtforge_sdk import DefinitionChecker, OperationError, Run, StepResult
from qtforge_sdk.checkpoints import Ended
from qtforge_sdk.errors import ExpressionError, StageFailedError
from qtforge_sdk.graphs import Edge, Graph, Node
from qtforge_sdk.members import Members, members_of

__all__ = ["ConditionalDefinition", "ConditionalOrchestrator"]

_DECISION: Final = "routing_decision"
_PIPELINE: Final = "pipeline_execute"
_STEPS: Final = (_DECISION, _PIPELINE)
_DECIDED: Final = members_of([Decision])
_STEP_MEMBERS: Final = {_DECISION: step_members(_DECIDED), _PIPELINE: STEP_MEMBERS}
_RESERVED: Final = frozenset(
    {"input", "run", "stages", "decision", "secret", "true", "false", "null", "in"}
)
_UNTIL_DECIDED: Final = ("names", "rules", "default", "confidence", "explain")
_UNTIL_SENT: Final = ("input", "dry_run")


class ConditionalDefinition(StagedDefinition, frozen=True, kw_only=True):
    """A workflow of stages, a decision and the workflow that it chooses.

    Attributes:
        stages: The stages before the decision; may be empty.
        names: The names that conditions may use, each with a template over the stages.
        rules: Tried in the order of priority; the first that holds decides.
        default: The workflow when no rule holds; without it, that is an error.
        confidence: A template of the decision's confidence, a number, or None.
        input: A template of the chosen workflow's input; it may use the names, and
            ``decision``, a `Decision`.
        dry_run: End after the decision.
        explain: Try every rule, also those after the one that decides.
    """

    stages: tuple[Stage, ...] = ()
    names: dict[str, Any] = msgspec.field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    default: str | None = None
    confidence: str | None = None
    input: dict[str, Any] = msgspec.field(default_factory=dict)
    dry_run: bool = False
    explain: bool = False


class ConditionalOrchestrator(StagedOrchestrator[ConditionalDefinition]):
    """Run the stages, decide, and run the chosen workflow as a child."""

    kind: ClassVar[str] = "conditional"

    def check(self, definition: ConditionalDefinition, checker: DefinitionChecker) -> None:
        """Check stages, names, rules and targets."""
        stages = {"stages": check_stages(definition, checker)}
        for position, stage in enumerate(definition.stages):
            if stage.name in _STEPS:
                what = f"'{stage.name}' is a step of every conditional workflow"
                checker.problem(f"stages[{position}].name", what, "give it another name")
        for name, template in definition.names.items():
            self._check_name(name, checker)
            checker.template(f"names.{name}", template, (), stages)
        own = {name: checker.members(each, stages) for name, each in definition.names.items()}
        names = {**stages, **own}
        # Rules read the steps themselves, which are converted once for all of them.
        steps = {name: step_members(each["data"]) for name, each in stages["stages"].items()}
        ruled = {"stages": steps, **own}
        if not definition.rules and definition.default is None:
            checker.problem("rules", "there is neither a rule nor a default")
        self._check_rules(definition, ruled, names, checker)
        if definition.default is not None:
            checker.workflow("default", definition.default, definition.input, "input")
        checker.template("confidence", definition.confidence, (), names)
        checker.template("input", definition.input, (), {**names, "decision": _DECIDED})
        after = {"stages": {**stages["stages"], **_STEP_MEMBERS}}
        checker.template("result", definition.result, (), after)
        checker.template("summary", definition.summary, (), after)

    def result_members(
        self, definition: ConditionalDefinition, checker: DefinitionChecker
    ) -> Members:
        """Return what is known of ``result``, or without one of each stage's and step's data."""
        members = super().result_members(definition, checker)
        if definition.result is not None or not isinstance(members, Mapping):
            return members
        return {**members, **{name: each["data"] for name, each in _STEP_MEMBERS.items()}}

    async def execute(self, run: Run) -> Ended:
        """Return the data of every stage, of the decision and of the chosen workflow."""
        scope = await run_stages(run)
        seen = scope.seen
        decision = await run.step(_DECISION, lambda: run.compute(lambda: _decision(run, seen)))
        if run.definition.dry_run:
            await run.skip(_PIPELINE, "dry_run = true")
        else:
            given = await run.compute(lambda: _input(run, seen, decision))
            await run.run_workflow(decision["target_pipeline"], given, step=_PIPELINE)
        own = {name: run.steps[name] for name in _STEPS}
        data = {name: step.data for name, step in own.items()}
        return Ended(
            result={**scope.data(run.definition.stages), **data},
            names={"stages": {**seen, **own}},
        )

    def graph(self, definition: ConditionalDefinition) -> Graph:
        """Return the stages, the decision, and each workflow that it may choose."""
        drawing = StageDrawing(definition)
        nodes, edges = drawing.nodes, drawing.edges
        nodes.append(Node(id=_DECISION, label=_DECISION, kind="decision"))
        edges += [Edge(source=last, target=_DECISION) for last in drawing.last]
        rules = sorted(definition.rules, key=lambda rule: -rule.priority)
        choices = [(rule.target, f"{rule.name}\n{rule.condition}") for rule in rules]
        if definition.default is not None:
            choices.append((definition.default, "no rule holds"))
        for target in dict.fromkeys(target for target, _ in choices):
            nodes.append(Node(id=f"workflow {target}", label=target, kind="workflow"))
            edges.append(Edge(source=f"workflow {target}", target=END))
        edges += [
            Edge(source=_DECISION, target=f"workflow {target}", label=label)
            for target, label in choices
        ]
        nodes.append(Node(id=END, label="end", kind="end"))
        drawing.add_last()
        return Graph(
            title=definition.name,
            nodes=tuple(nodes),
            edges=tuple(edges),
            groups=tuple(drawing.groups),
        )

    def check_amendment(
        self,
        before: ConditionalDefinition,
        after: ConditionalDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment: a decision stays."""
        reasons = super().check_amendment(before, after, steps)
        for step, fields in ((_DECISION, _UNTIL_DECIDED), (_PIPELINE, _UNTIL_SENT)):
            if step in steps:
                reasons += [
                    f"'{step}' has begun: '{field}' can't be changed"
                    for field in fields
                    if getattr(before, field) != getattr(after, field)
                ]
        if _DECISION in steps and len(after.stages) != len(before.stages):
            reasons.append(f"'{_DECISION}' has begun: no stage can come before it")
        return reasons

    def _check_name(self, name: str, checker: DefinitionChecker) -> None:
        if name in _RESERVED:
            what = f"'{name}' is a reserved name in expressions"
            checker.problem(f"names.{name}", what, "give it another name")
        elif not name.isidentifier():
            fix = "use letters, digits and _, so that conditions can name it"
            checker.problem(f"names.{name}", f"'{name}' is not a name", fix)

    def _check_rules(
        self,
        definition: ConditionalDefinition,
        ruled: Mapping[str, Any],
        names: Mapping[str, Any],
        checker: DefinitionChecker,
    ) -> None:
        seen: set[str] = set()
        for position, rule in enumerate(definition.rules):
            path = f"rules[{position}]"
            if not rule.name:
                checker.problem(f"{path}.name", "a rule must have a name")
            if rule.name in seen:
                checker.problem(f"{path}.name", f"there are two rules '{rule.name}'")
            seen.add(rule.name)
            checker.condition(f"{path}.condition", rule.condition, (), ruled)
            checker.workflow(f"{path}.target", rule.target, definition.input, "input")
            checker.template(f"{path}.parameters", rule.parameters, (), names)


def _decision(run: Run, stages: Mapping[str, Any]) -> Decision:
    definition: ConditionalDefinition = run.definition
    values = {name: _value(run, stages, name, text) for name, text in definition.names.items()}
    rule, outcomes = decide(definition.rules, run.prepare(values), values, every=definition.explain)
    if rule is None and definition.default is None:
        raise no_match(values)
    known = {**values, "stages": stages}
    return Decision(
        target_pipeline=str(definition.default) if rule is None else rule.target,
        reason="No rule matched: the default" if rule is None else f"Matched rule: {rule.name}",
        confidence=_confidence(run, known),
        applied_rules=[] if rule is None else [rule.name],
        pipeline_parameters={} if rule is None else run.render(rule.parameters, known),
        names=values,
        rules=outcomes,
    )


def _value(run: Run, stages: Mapping[str, Any], name: str, template: object) -> Any:
    try:
        return run.render(template, {"stages": stages})
    except ExpressionError as error:
        what = f"the name '{name}' can't be evaluated"
        why = f"in '{error.expression}': {error.why}"
        raise OperationError("routing.name_failed", what, why, error.fix) from error


def _confidence(run: Run, values: Mapping[str, Any]) -> float | None:
    template = run.definition.confidence
    found = None if template is None else run.render(template, values)
    if found is None or (isinstance(found, int | float) and not isinstance(found, bool)):
        return found
    why = f"'{template}' is {type(found).__name__}"
    raise OperationError("routing.confidence_failed", "the confidence is not a number", why)


def _input(run: Run, stages: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    names = {**decision["names"], "decision": decision, "stages": stages}
    try:
        given: dict[str, Any] = run.render(run.definition.input, names)
    except ExpressionError as error:
        raise StageFailedError(_PIPELINE, str(error)) from error
    return given
