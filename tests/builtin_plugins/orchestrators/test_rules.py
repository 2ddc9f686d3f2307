"""Rules: the order in which they are tried, and what is said of each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from qtforge_builtin_plugins.orchestrators.rules import Rule, RuleOutcome, decide, no_match
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.prepared import PreparedNames
from qtforge_sdk import OperationError

EXPRESSIONS = Expressions()


def rule(name: str, condition: str, priority: int = 0) -> Rule:
    return Rule(name=name, condition=condition, target=f"to_{name}", priority=priority)


def tried(
    *rules: Rule, every: bool = False, **values: Any
) -> tuple[str | None, dict[str, RuleOutcome]]:
    found, outcomes = decide(rules, PreparedNames(EXPRESSIONS, values, {}), values, every=every)
    return (found.name if found else None), {each.name: each for each in outcomes}


@given(some.lists(some.tuples(some.integers(-3, 3), some.booleans()), max_size=12), some.booleans())
def test_the_highest_priority_that_holds_decides_and_of_equal_ones_the_first_written(
    drawn: list[tuple[int, bool]], every: bool
) -> None:
    rules = [rule(str(at), f"{holds}".lower(), level) for at, (level, holds) in enumerate(drawn)]
    name, outcomes = tried(*rules, every=every)
    holding = [at for at, (_, holds) in enumerate(drawn) if holds]
    best = max(holding, key=lambda at: (drawn[at][0], -at), default=None)
    assert name == (None if best is None else str(best))
    assert list(outcomes) == sorted(outcomes, key=lambda at: (-drawn[int(at)][0], int(at)))
    for each in outcomes.values():
        holds, decided = drawn[int(each.name)][1], each.name == name
        comes_after = best is not None and list(outcomes).index(each.name) > list(outcomes).index(
            str(best)
        )
        expected = (
            "held" if decided
            else "not reached" if comes_after and not every
            else "also held" if holds
            else "not held"
        )  # fmt: skip
        assert each.outcome == expected


def test_every_rule_is_told_with_the_values_of_the_names_that_it_uses() -> None:
    _, outcomes = tried(
        rule("first", "kind == 'a' && pages > 3", 2),
        rule("second", "keywords.contains('x')", 1),
        rule("third", "true"),
        kind="b", pages=7, keywords=["x", "y"],
    )  # fmt: skip
    assert [(each.outcome, each.why) for each in outcomes.values()] == [
        ("not held", 'kind = "b", pages = 7'),
        ("held", 'keywords = ["x","y"]'),
        ("not reached", "'second' held first"),
    ]


def test_a_rule_without_names_says_so_and_a_long_value_is_cut() -> None:
    _, outcomes = tried(rule("long", "text == ''", 1), rule("always", "true"), text="x" * 1000)
    assert outcomes["always"].why == "it uses no names"
    assert len(outcomes["long"].why) < 300
    assert outcomes["long"].why.endswith("…")


def test_a_rule_that_fails_is_an_error_that_names_it_and_the_part_that_fails() -> None:
    with pytest.raises(OperationError) as caught:
        tried(rule("wrong", "kind == 'x' || pages + kind > 3"), kind="b", pages=7)
    error = caught.value
    assert (error.code, error.what) == (
        "routing.rule_failed",
        "the condition of the rule 'wrong' can't be evaluated",
    )
    assert error.why.startswith("in 'pages + kind': No such overload")
    assert error.why.endswith('; kind = "b", pages = 7')
    assert error.fix
    assert error.retryable is False


def test_a_missing_member_is_an_error_that_names_it() -> None:
    with pytest.raises(OperationError, match=r"in 'features\.size': 'features' has no 'size'"):
        tried(rule("wrong", "features.size > 3.0"), features={})


def test_a_failure_that_an_or_does_not_need_is_none() -> None:
    assert tried(rule("guarded", "pages > 3 || pages + kind > 3"), kind="b", pages=7)[0]


def test_where_every_rule_is_tried_a_failure_after_the_decision_changes_nothing() -> None:
    rules = (rule("right", "true", 1), rule("wrong", "pages + kind > 3"))
    name, outcomes = tried(*rules, every=True, kind="b", pages=7)
    assert (name, outcomes["wrong"].outcome) == ("right", "failed")
    assert outcomes["wrong"].why.startswith("in 'pages + kind'")
    assert tried(*rules, kind="b", pages=7)[1]["wrong"].outcome == "not reached"


def test_no_match_names_every_value() -> None:
    error = no_match({"kind": "b", "pages": 7})
    assert (error.code, error.why) == ("routing.no_match", 'kind = "b", pages = 7')
