"""Rules: choose the workflow that a run continues with, and explain the choice.

The fields are those of the original's RoutingRule and RoutingDecision (QtForge's
DocumentRoutingOrchestrator). New are ``names`` and ``rules`` of a decision, which explain for
every rule why it held or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from qtforge_sdk import OperationError
from qtforge_sdk.conversion import to_json
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Decision", "Outcome", "Rule", "RuleOutcome", "decide", "no_match"]

Outcome = Literal["held", "also held", "not held", "not reached", "failed"]
_LONGEST_VALUE: Final = 240


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choose a workflow when a condition holds.

    Attributes:
        name: Unique in the workflow.
        condition: CEL; it may use the definition's names.
        target: The workflow's name.
        priority: The highest is tried first; equal priorities in document order.
        parameters: A template of the target's parameters; it may use the names too.
    """

    name: str
    condition: str
    target: str
    priority: int = 0
    parameters: dict[str, Any] = {}


class RuleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a rule.

    Attributes:
        name: The rule's name.
        target: Its workflow.
        priority: Its priority.
        condition: Its condition.
        outcome: ``held`` for the rule that decided; ``not reached`` for a rule that was not
            tried, because an earlier one held. When all rules are tried, later ones are
            ``also held``, ``not held`` or ``failed``.
        why: The values of the names that it uses, or its error.
    """

    name: str
    target: str
    priority: int
    condition: str
    outcome: Outcome
    why: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The choice of the workflow that a run continues with.

    Attributes:
        target_pipeline: The workflow's name.
        reason: ``Matched rule: <name>``, or that it is the default.
        confidence: 0 to 1, or None when the definition has no confidence.
        applied_rules: Only the rule that decided; empty for the default.
        pipeline_parameters: The parameters of the target.
        names: The value of every name.
        rules: The outcome of each rule, in the order of priority.
    """

    target_pipeline: str
    reason: str
    confidence: float | None
    applied_rules: list[str]
    pipeline_parameters: dict[str, Any]
    names: dict[str, Any]
    rules: list[RuleOutcome]


def decide(
    rules: Sequence[Rule], names: EvaluationScope, values: Mapping[str, Any], *, every: bool
) -> tuple[Rule | None, list[RuleOutcome]]:
    """Try rules in the order of priority, until one holds.

    Args:
        rules: The rules in document order.
        names: The names that conditions may use.
        values: The value of each name, for the explanations.
        every: Whether to try the later rules too, which changes nothing but the explanation.

    Returns:
        The rule that holds, or None; and the outcome of each rule.

    Raises:
        OperationError: ``routing.rule_failed``: a condition can't be evaluated. It does not
            count as false, since a wrong rule would send documents to the wrong workflow.
    """
    whys: dict[frozenset[str], str] = {}  # many rules use the same names
    texts = dict(_texts(values))
    found: Rule | None = None
    outcomes: list[RuleOutcome] = []
    for rule in sorted(rules, key=lambda each: -each.priority):
        if found is not None and not every:
            outcomes.append(_outcome(rule, "not reached", f"'{found.name}' held first"))
            continue
        used = names.used_by(rule.condition)
        why = whys.get(used)
        if why is None:
            why = ", ".join(texts[name] for name in sorted(used)) or "it uses no names"
            whys[used] = why
        try:
            holds = names.holds(rule.condition)
        except ExpressionError as error:
            if found is None:
                raise _failed(rule, error, why) from error
            outcomes.append(_outcome(rule, "failed", f"{error.why}; {why}"))
            continue
        outcome: Outcome = "not held" if not holds else "held" if found is None else "also held"
        outcomes.append(_outcome(rule, outcome, why))
        if holds and found is None:
            found = rule
    return found, outcomes


def no_match(values: Mapping[str, Any]) -> OperationError:
    """Return the error for values that no rule matches."""
    why = ", ".join(text for _, text in _texts(values)) or "the rules use no names"
    fix = "add a rule that holds for them, or a default"
    return OperationError("routing.no_match", "no rule holds", why, fix, retryable=False)


def _failed(rule: Rule, error: ExpressionError, used: str) -> OperationError:
    what = f"the condition of the rule '{rule.name}' can't be evaluated"
    where = "" if error.why.startswith("in '") else f"in '{rule.condition}': "
    why = f"{where}{error.why}; {used}"
    fix = "write it so that it is true or false for every value, with has(...) or type(...)"
    return OperationError("routing.rule_failed", what, why, fix, retryable=False)


def _outcome(rule: Rule, outcome: Outcome, why: str) -> RuleOutcome:
    return RuleOutcome(
        name=rule.name,
        target=rule.target,
        priority=rule.priority,
        condition=rule.condition,
        outcome=outcome,
        why=why,
    )


def _texts(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        text = to_json(value, str).decode()
        if len(text) > _LONGEST_VALUE:
            text = f"{text[:_LONGEST_VALUE]}…"
        yield name, f"{name} = {text}"
