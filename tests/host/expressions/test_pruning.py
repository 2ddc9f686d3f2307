"""What is left out of an expression's values makes no difference to it."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.pruning import keys_read, pruned
from qtforge_sdk.errors import ExpressionError

NAMES: dict[str, Any] = {
    "data": {"n": 1, "l": [{"a": 1}, {"a": 2}], "of": {"all": 3, "none": None}, "t": "text"},
    "input": {"data": [1, 2], "x": {"y": {"z": 0}}},
}


class Whole(dict[str, Any]):
    """A mapping that is never pruned."""


@pytest.mark.parametrize(
    "expression",
    [
        "{'n': data.n + 1}",
        "{'data': data, 'n': data.n}",
        "data.of.all + size(data.of)",
        "data['n'] + data.n",
        "has(data.n) && !has(data.missing) && has(data.of.none)",
        "data.missing == 1",
        "data.n.missing == 1",
        "data.l.map(x, x.a + data.n)",
        "input.data.map(data, data + 1)",
        "input.x.y.z == 0 ? data.t : data.of",
        "data.t.startsWith('te') && 'n' in data",
        "data.l[0].a + data.l.size()",
        "data == input",
        "'data.n' + data.t",
        "math.greatest(data.n, input.x.y.z)",
        "[data.n, [input.x.y]]",
    ],
)
def test_an_expression_has_the_value_that_it_has_of_everything(expression: str) -> None:
    compiled = Expressions().compile(expression)

    def outcome(names: dict[str, Any]) -> Any:
        try:
            return compiled.evaluate(names)
        except ExpressionError as error:
            return error.code

    assert outcome(NAMES) == outcome({key: Whole(value) for key, value in NAMES.items()})


def test_only_what_is_read_is_converted() -> None:
    tree = keys_read("{'n': data.n + data.of.all}")

    assert pruned(NAMES, tree) == {"data": {"n": 1, "of": {"all": 3}}}
    assert pruned(NAMES["data"], keys_read("size(data) + data.n")["data"]) is NAMES["data"]
