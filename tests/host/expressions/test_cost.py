"""The cost of an expression is known before it is evaluated, and bounds it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.expressions.cost import LONGEST_RANGE, cost_function
from qtforge_host.expressions.limits import TooMuchToEstimateError

NUMBERS = list(range(2000))
VALUES: dict[str, Any] = {
    "input": {
        "l": NUMBERS,
        "few": [1, 2, 3],
        "text": "a" * 100_000,
        "lines": [{"amount": number, "name": "line", "tags": ["a"] * 5} for number in range(20)],
    }
}


@pytest.mark.parametrize(
    "source",
    [
        "input.total > 3",
        "input.name.startsWith('a') && size(input.name) < 10",
        "has(input.a) ? input.a : 'none'",
        "input.a + input.b == 'ab'",
        "input.country in ['AT', 'DE']",
        "duration(input.after) < duration('1h')",
        "math.abs(input.n) > 3.0",
        "input.lines[0].amount * 2",
        "!input.done",
    ],
)
def test_an_ordinary_expression_needs_no_estimate(source: str) -> None:
    assert cost_function(source) is None


@pytest.mark.parametrize(
    ("source", "least", "most"),
    [
        ("input.few.exists(a, a > 2)", 3, 100),
        ("input.lines.exists(l, l.amount > 100)", 20, 500),
        ("input.lines.all(l, l.tags.exists(t, t == 'b'))", 100, 2_000),
        ("input.l.exists(a, a < 0)", 2_000, 50_000),
        ("input.l.exists(a, input.l.exists(b, a + b < 0))", 4e6, 5e7),
        ("input.l.exists(a, input.l.exists(b, input.l.exists(c, a + b + c < 0)))", 8e9, 1e12),
        ("input.l.exists(a, a in input.l)", 4e6, 5e7),
        ("input.l.map(a, a)", 1e6, 1e7),  # the library copies the list for each item
        ("input.l.filter(a, a > 0)", 1e6, 1e7),
        ("[input.l, input.l].exists(x, x.exists(a, x.exists(b, a > b)))", 8e6, 1e8),
        ("input.l.map(a, input.text).size()", 1e6, 1e8),
        ("[1].map(a, input.text + input.text)[0]", 700, 50_000),
        ("input.text.matches('^[a-z]+$')", 5_000, 50_000),
        (r"input.few.exists(a, 'x'.matches('(\\w{100}){100}'))", 1e6, 1e8),
        ("input.few.exists(a, input.text.matches(input.text))", 1e6, 1e12),
        ("lists.range(100000).exists(a, a < 0)", 1e5, 1e7),
        ("lists.range(size(input.l) * 1000).exists(a, a < 0)", LONGEST_RANGE, 1e8),
        ("input.text.replace('a', input.text)", 1e7, 1e9),
        ("input.text.split('').map(c, c)", 1e9, 1e11),
        ("input.l.distinct()", 1e6, 1e8),
        ("sets.intersects(input.l, input.l)", 1e6, 1e8),
        ("input.l.exists(a, input.l == input.l)", 4e6, 1e8),
        ("input.few.exists(a, unknown.exists(b, a == b))", 3, 100),
    ],
)
def test_a_cost_follows_the_sizes_of_the_variables(source: str, least: float, most: float) -> None:
    cost = cost_function(source)
    assert cost is not None
    assert least <= cost(VALUES, 1e9) <= most


def test_texts_that_double_cost_what_they_become() -> None:
    doubling = "[input.text]" + "".join(f".map(a{n}, a{n} + a{n})" for n in range(14))
    cost = cost_function(doubling)
    assert cost is not None
    assert cost(VALUES, 1e9) > 2**14 * len(VALUES["input"]["text"]) / 1_000


def test_an_estimate_that_would_take_long_is_given_up() -> None:
    cost = cost_function("input.l.exists(a, a == input.l)")
    assert cost is not None
    with pytest.raises(TooMuchToEstimateError):
        cost(VALUES, 100)


@pytest.mark.parametrize(
    "source", ["input.l.exists(", "1 +" * 3000 + "a.exists(b, b)", "Foo{a: 1}"]
)
def test_what_is_not_understood_has_no_bound(source: str) -> None:
    cost = cost_function(source)
    assert cost is not None
    assert cost({}, 1e9) == float("inf")


@given(depth=st.integers(1, 4), length=st.integers(1, 30), also=st.sampled_from(["all", "exists"]))
def test_nested_macros_cost_at_least_the_product_of_the_lengths(
    depth: int, length: int, also: str
) -> None:
    source = "v0 < 0"
    for level in range(depth):
        source = f"l.{also}(v{level}, {source})"
    cost = cost_function(source)
    assert cost is not None
    assert cost({"l": list(range(length))}, 1e9) >= length**depth
