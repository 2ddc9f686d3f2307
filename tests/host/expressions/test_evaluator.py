"""Names and values that are prepared once for many conditions."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.prepared import PreparedNames
from qtforge_sdk.errors import ExpressionError

GIVEN = {"kind": "legal", "keywords": ["a", "contract"], "pages": 3, "features": {"x": 1.5}}
OTHERS: dict[str, Any] = {"input": {"limit": 5}, "stages": {}}


@pytest.fixture
def names() -> PreparedNames:
    return PreparedNames(Expressions(), GIVEN, OTHERS)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("kind == 'legal'", True),
        ("keywords.contains('contract') && pages > 3", False),
        ("'a' in keywords && features.x > 1.0", True),
        ("pages < input.limit", True),
        ("keywords.exists(each, each.startsWith('con'))", True),
        ("'text of it'.contains('text')", True),
        ("true", True),
    ],
)
def test_a_condition_holds_as_it_does_when_it_is_evaluated_alone(
    names: PreparedNames, condition: str, holds: bool
) -> None:
    alone = Expressions().compile(condition).holds({**OTHERS, **GIVEN})
    assert [names.holds(condition), names.holds(condition), alone] == [holds] * 3


def test_a_failure_names_the_part_and_its_reason(names: PreparedNames) -> None:
    with pytest.raises(ExpressionError) as caught:
        names.holds("kind == 'x' || pages + kind > 3")
    assert caught.value.code == "expression.failed"
    assert caught.value.why.startswith("in 'pages + kind': No such overload")
    assert names.holds("pages == 3")  # it can be used afterwards


def test_a_value_that_is_neither_true_nor_false_is_refused(names: PreparedNames) -> None:
    with pytest.raises(ExpressionError, match="true or false, and this is int"):
        names.holds("pages")


def test_used_by_returns_the_given_names_that_a_condition_uses(names: PreparedNames) -> None:
    used = names.used_by("keywords.exists(each, each == kind) && input.limit > 1")
    assert used == {"keywords", "kind"}


def test_a_value_that_cel_can_not_hold_is_named() -> None:
    with pytest.raises(ExpressionError) as caught:
        PreparedNames(Expressions(), {"fine": 1, "odd": object()}, {})
    assert caught.value.expression == "odd"


def test_a_given_name_overrides_one_of_the_run() -> None:
    assert PreparedNames(Expressions(), {"n": 1}, {"n": 2}).holds("n == 1")
