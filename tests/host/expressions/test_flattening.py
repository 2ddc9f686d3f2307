"""A flattened expression has the same value as the original."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.expression import PreparedContext
from qtforge_host.expressions.flattening import flatten
from qtforge_sdk.errors import ExpressionError

NAMES: dict[str, Any] = {
    "a": {"b": 1, "c": {"d": "x.y", "list": [1, 2]}, "b_c": 4},
    "a_b": {"c": 5},
    "n": 3,
    "nothing": None,
}


@pytest.mark.parametrize(
    "source",
    [
        "has(a.b)",
        "a.c.list.map(a, a.b)",
        "{'x': a.b}.x == 1",
        "a.b // a.b",
        "r'a.b' == a.c.d",
        "a. b == 1",
        "a.?b.orValue(2) == 1",
        "'''a.b''' == a.c.d",
        "_p1a1b == a.b",
        "n > 3",
        "size('a.b') == 3",
        "a['b'] == 1",
    ],
)
def test_an_expression_that_could_change_its_meaning_is_not_rewritten(source: str) -> None:
    assert flatten(source) is None


def test_texts_calls_and_indexed_values_stay_as_they_are() -> None:
    found = flatten("a.c.d.startsWith('a.b') && a.c.list[0].x == math.greatest(n, a.b) && 1.5 > n")
    assert found is not None
    text, paths = found
    assert "'a.b'" in text
    assert "[0].x == math.greatest(n, " in text
    assert [words for _, words in paths] == [("a", "c", "d"), ("a", "c", "list"), ("a", "b")]


PARTS = some.sampled_from(
    [
        "a.b == 1", "a.b_c > a_b.c", "a.c.d == 'x.y'", "a.c.list.contains(2)", "a.c.list[0] == a.b",
        "n > 2", "n + a.b == 4", "a.missing == 1", "nothing.x == 1", "n.x == 1", "size(a.c) == 2",
        "a.b", "has(a.c.list)", "a.c.list.exists(x, x > a.b)", "'a.b' == \"a.b\"", "a.b > 'x'",
        "a.c.d.endsWith('y') ? a.b == 1 : n.x == 1", "unknown.x == 1", "math.greatest(a.b, n) == 3",
    ]
)  # fmt: skip


@settings(deadline=None)  # the first one imports the CEL library
@given(some.lists(PARTS, min_size=1, max_size=4), some.lists(some.sampled_from(["&&", "||"])))
def test_the_value_or_the_error_is_that_of_the_whole_expression(
    parts: list[str], words: list[str]
) -> None:
    source = parts[0]
    for place, part in enumerate(parts[1:]):
        source = f"{source} {words[place] if place < len(words) else '&&'} ({part})"
    expression = Expressions().compile(source)

    def outcome(evaluate: Any) -> Any:
        try:
            return evaluate()
        except ExpressionError as error:
            return (error.code, error.why)

    whole = outcome(lambda: expression.evaluate(NAMES))
    prepared = PreparedContext({"a": NAMES["a"], "n": 3}, NAMES)
    assert outcome(lambda: prepared.evaluate(expression)) == whole
    assert outcome(lambda: prepared.evaluate(expression)) == whole
