"""The smallest part of an expression that fails by itself."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.diagnosis import smallest_failing
from qtforge_host.expressions.expression import PreparedContext
from qtforge_sdk.errors import ExpressionError

NAMES = {"a": 1, "b": "x", "n": None, "m": {"x": {}}, "l": [1, 2], "t": "abc"}


def smallest(source: str) -> ExpressionError:
    expressions, prepared = Expressions(), PreparedContext(NAMES, {})

    def value(part: str) -> Any:
        return prepared.evaluate(expressions.compile(part))

    with pytest.raises(ExpressionError) as whole:
        value(source)
    return smallest_failing(whole.value, value)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("a == 3 || a + b > 3", "a + b"),
        ("(a > 1 || (t == 'q' || (m.qq == 3)))", "m.qq"),
        ("m.x.y == 1", "m.x.y"),
        ("n.foo == 1", "n.foo"),
        ("t == 'a || b' || a.startsWith('x')", "a.startsWith('x')"),
        ("a * -b == 1", "-b"),
        ("l[7] == 1", "l[7]"),
        ("l.contains(a + b)", "a + b"),
        ("{'k': [1, (m.q)]}.k.size() > 1", "m.q"),
        ("a - 1 - b - 2 == 0", "a - 1 - b"),
        ("a > 1 ? a + b == 1 : (b - 1) > 2", "b - 1"),
        ("a == 1 ? l[a + 5] == 3 : m.q", "l[a + 5]"),
        ("t.size() > 1 && int(b) > 2", "int(b)"),
        ("l.filter(e, e > 1)[9] == 1", "l.filter(e, e > 1)[9]"),
    ],
)
def test_the_smallest_part_that_fails_is_found(source: str, part: str) -> None:
    assert smallest(source).expression == part


@pytest.mark.parametrize("source", ["l.exists(e, e + 'x' == 'y')", "!a", "l.exists(e, e.foo == 1)"])
def test_an_expression_that_fails_only_as_a_whole_is_named_whole(source: str) -> None:
    assert smallest(source).expression == source


def test_an_expression_that_is_too_long_to_be_split_is_named_whole() -> None:
    source = " || ".join([*["a == 2"] * 300, "a + b == 3"])
    assert smallest(source).expression == source
