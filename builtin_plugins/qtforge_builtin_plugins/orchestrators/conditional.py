"""``kind = "conditional"``: stages, then rules that choose the workflow to continue with.

It is the original's DocumentRoutingOrchestrator, for any workflow: the ``stages`` do the
analysis, and the ``names`` are the variables of its conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from qtforge_builtin_plugins.orchestrators.drawing import END, chain
from qtforge_builtin_plugins.orchestrators.rules import Decision, Rule, decide, no_match
from qtforge_builtin_plugins.orchestrators.stage_checks import check_stages
from qtforge_builtin_plugins.orchestrators.stages import (
    Stage,
    run_stages,
    stage_amendment_problems,
    stage_data,
)
from qtforge_sdk import (
    Definition,
    DefinitionChecker,
    OperationError,
    Orchestrator,
    Run,
    StepResult,
)
from qtforge_sdk.errors import ExpressionError, StageFailedError
from qtforge_sdk.graphs import Edge, Graph, Node

__all__ = ["ConditionalDefinition", "ConditionalOrchestrator"]

_DECISION: Final = "routing_decision"
_PIPELINE: Final = "pipeline_execute"
_STEPS: Final = (_DECISION, _PIPELINE)
_RESERVED: Final = frozenset(
    {"input", "run", "stages", "decision", "secret", "true", "false", "null", "in"}
)
_UNTIL_DECIDED: Final = ("names", "rules", "default", "confidence", "explain")
_UNTIL_SENT: Final = ("input", "dry_run")


class ConditionalDefinition(Definition, frozen=True, kw_only=True):
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


class ConditionalOrchestrator(Orchestrator[ConditionalDefinition]):
    """Run the stages, decide, and run the chosen workflow as a child."""

    kind: ClassVar[str] = "conditional"

    def check(self, definition: ConditionalDefinition, checker: DefinitionChecker) -> None:
        """Check stages, names, rules and targets."""
        stages = check_stages(definition.stages, checker)
        for position, stage in enumerate(stages):
            if stage in _STEPS:
                what = f"'{stage}' is a step of every conditional workflow"
                checker.problem(f"stages[{position}].name", what, "give it another name")
        for name, template in definition.names.items():
            self._check_name(name, checker)
            checker.template(f"names.{name}", template, stages)
        names = dict.fromkeys(definition.names)
        if not definition.rules and definition.default is None:
            checker.problem("rules", "there is neither a rule nor a default")
        self._check_rules(definition, stages, names, checker)
        if definition.default is not None:
            checker.workflow("default", definition.default)
        checker.template("confidence", definition.confidence, stages, names)
        decision = dict.fromkeys(Decision.__struct_fields__)
        checker.template("input", definition.input, stages, {**names, "decision": decision})
        after = [*stages, *_STEPS]
        checker.template("result", definition.result, after)
        checker.template("summary", definition.summary, after)

    async def execute(self, run: Run) -> dict[str, Any]:
        """Return the data of every stage, of the decision and of the chosen workflow."""
        await run_stages(run)
        decision = await run.step(_DECISION, lambda: run.compute(lambda: _decision(run)))
        if run.definition.dry_run:
            await run.skip(_PIPELINE, "dry_run = true")
        else:
            given = await run.compute(lambda: _input(run, decision))
            await run.run_workflow(decision["target_pipeline"], given, step=_PIPELINE)
        return {**stage_data(run), **{name: run.steps[name].data for name in _STEPS}}

    def graph(self, definition: ConditionalDefinition) -> Graph:
        """Return the stages, the decision, and each workflow that it may choose."""
        nodes, edges, last = chain(definition.stages)
        nodes.append(Node(id=_DECISION, label=_DECISION, kind="decision"))
        edges.append(Edge(source=last, target=_DECISION))
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
        return Graph(title=definition.name, nodes=tuple(nodes), edges=tuple(edges))

    def check_amendment(
        self,
        before: ConditionalDefinition,
        after: ConditionalDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment: a decision stays."""
        reasons = stage_amendment_problems(before.stages, after.stages, steps)
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
        stages: list[str],
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
            checker.condition(f"{path}.condition", rule.condition, stages, names)
            checker.workflow(f"{path}.target", rule.target)
            checker.template(f"{path}.parameters", rule.parameters, stages, names)


def _decision(run: Run) -> Decision:
    definition: ConditionalDefinition = run.definition
    values = {name: _value(run, name, text) for name, text in definition.names.items()}
    rule, outcomes = decide(definition.rules, run.prepare(values), values, every=definition.explain)
    if rule is None and definition.default is None:
        raise no_match(values)
    return Decision(
        target_pipeline=str(definition.default) if rule is None else rule.target,
        reason="No rule matched: the default" if rule is None else f"Matched rule: {rule.name}",
        confidence=_confidence(run, values),
        applied_rules=[] if rule is None else [rule.name],
        pipeline_parameters={} if rule is None else run.render(rule.parameters, values),
        names=values,
        rules=outcomes,
    )


def _value(run: Run, name: str, template: object) -> Any:
    try:
        return run.render(template)
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


def _input(run: Run, decision: Mapping[str, Any]) -> dict[str, Any]:
    names = {**decision["names"], "decision": decision}
    try:
        given: dict[str, Any] = run.render(run.definition.input, names)
    except ExpressionError as error:
        raise StageFailedError(_PIPELINE, str(error)) from error
    return given
