"""Rules: which workflow a run goes on with, and why.

The fields are those of the original's RoutingRule and RoutingDecision (QtForge's
DocumentRoutingOrchestrator). New are ``names`` and ``rules`` of a decision, which say of every
rule why it held or did not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from qtforge_sdk import OperationError
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Decision", "Outcome", "Rule", "RuleOutcome", "decide", "no_match"]

Outcome = Literal["held", "also held", "not held", "not reached", "failed"]
_LONGEST_VALUE: Final = 240


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sends a run on to a workflow where its condition holds.

    Attributes:
        name: Unique in the workflow.
        condition: CEL; it may use the definition's names.
        target: The workflow's name.
        priority: The highest is tried first; of equal ones, the one that is written first.
        parameters: A template of what the target is told; it may use the names too.
    """

    name: str
    condition: str
    target: str
    priority: int = 0
    parameters: dict[str, Any] = {}


class RuleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rule.

    Attributes:
        name: The rule's.
        target: Its workflow.
        priority: Its priority.
        condition: Its condition.
        outcome: ``held`` decided; ``not reached`` was not tried, because one before it held.
            Where all are tried: ``also held`` comes after that one, and so does ``failed``.
        why: The values of the names that it uses, or its error.
    """

    name: str
    target: str
    priority: int
    condition: str
    outcome: Outcome
    why: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Which workflow a run goes on with.

    Attributes:
        target_pipeline: The workflow's name.
        reason: ``Matched rule: <name>``, or that it is the default.
        confidence: 0 to 1, or None where the definition says nothing of it.
        applied_rules: The rule that decided, alone; empty for the default.
        pipeline_parameters: What the target is told.
        names: Every name's value.
        rules: What became of each rule, in the order of their priority.
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
    """Try rules in the order of their priority, until one holds.

    Args:
        rules: As they are written.
        names: What conditions may use.
        values: The value of each name, for what is said.
        every: Try those after it too; they change nothing.

    Returns:
        The rule that holds, or None; and what became of each.

    Raises:
        OperationError: ``routing.rule_failed``: a rule that is to be tried has no answer. It is
            not taken for one that does not hold: a wrong rule would send documents astray.
    """
    whys: dict[frozenset[str], str] = {}  # many rules use the same names
    texts = dict(_texts(values))
    found: Rule | None = None
    outcomes: list[RuleOutcome] = []
    for rule in sorted(rules, key=lambda each: -each.priority):
        if found is not None and not every:
            outcomes.append(_outcome(rule, "not reached", f"'{found.name}' held before it"))
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
    """Return the error of values that no rule is for."""
    why = ", ".join(text for _, text in _texts(values)) or "the rules use no names"
    fix = "add a rule that holds for them, or a default"
    return OperationError("routing.no_match", "no rule holds", why, fix, retryable=False)


def _failed(rule: Rule, error: ExpressionError, used: str) -> OperationError:
    what = f"the rule '{rule.name}' has no answer"
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
        text = msgspec.json.encode(value, enc_hook=str).decode()
        if len(text) > _LONGEST_VALUE:
            text = f"{text[:_LONGEST_VALUE]}…"
        yield name, f"{name} = {text}"
