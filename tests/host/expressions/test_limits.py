"""Costly expressions are evaluated in a worker process, or refused; the loop is never blocked."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.expressions.limits import ExpressionLimits
from qtforge_host.expressions.workers import ExpressionWorkers, pack, unpack
from qtforge_sdk.errors import ExpressionError

T = TypeVar("T")
AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NUMBERS: dict[str, Any] = {"l": list(range(600)), "at": AT}
COSTLY = "l.exists(a, l.exists(b, a + b < 0))"  # some 360,000 evaluations
HOPELESS = "l.exists(a, l.exists(b, l.exists(c, l.exists(d, a + b + c + d < 0))))"


def with_workers(limits: ExpressionLimits, work: Callable[[Expressions], Awaitable[T]]) -> T:
    async def main() -> T:
        workers = ExpressionWorkers(limits, 1, 1 << 30)
        try:
            return await work(Expressions(limits, workers.evaluate))
        finally:
            await workers.close()

    return asyncio.run(main())


def evaluated(source: str, names: dict[str, Any], **limits: Any) -> Any:
    async def work(expressions: Expressions) -> Any:
        expression = expressions.compile(source)
        return await expressions.compute(lambda: expression.evaluate(names))

    return with_workers(ExpressionLimits(**limits), work)


def test_a_costly_expression_is_evaluated_while_the_loop_goes_on() -> None:
    async def work(expressions: Expressions) -> tuple[bool, int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        found = await expressions.compile(COSTLY).decide(NUMBERS)
        counting.cancel()
        return found, turns

    found, turns = with_workers(ExpressionLimits(), work)
    assert found is False
    assert turns > 10


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("l.map(a, at + duration('1h'))[599]", AT + datetime.timedelta(hours=1)),
        ("l.map(a, duration('90m'))[599]", "1h30m"),
        ("l.map(a, size('Привет'))[599]", 6),
    ],
)
def test_a_value_from_a_worker_is_the_same(source: str, expected: Any) -> None:
    assert evaluated(source, NUMBERS) == expected
    assert evaluated(source, NUMBERS, loop_cost=10**9, max_cost=10**9) == expected


def test_what_is_too_costly_is_refused_with_its_cost_and_the_fix() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluated(HOPELESS, NUMBERS)
    error = caught.value
    assert error.code == "expression.too_costly"
    assert error.expression == HOPELESS
    assert "steps, and the limit is 50,000,000" in error.why
    assert "expression_max_cost" in error.fix


def test_a_worker_is_killed_when_its_time_is_over() -> None:
    with pytest.raises(ExpressionError, match="did not end within") as caught:
        evaluated(HOPELESS, NUMBERS, max_cost=10**15, timeout_s=1.0)
    assert caught.value.code == "expression.too_costly"
    assert "expression_timeout" in caught.value.fix


def test_a_failure_in_a_worker_names_the_expression() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluated("l.map(a, a / 0)", NUMBERS)
    assert caught.value.code == "expression.failed"
    assert caught.value.expression == "l.map(a, a / 0)"


@pytest.mark.parametrize(
    ("source", "loop_cost"),
    [("text + text", 10**9), ("[text, text]", 10**9), ("l.map(a, text)", 10)],
)
def test_a_value_over_the_limit_fails_with_the_expression(source: str, loop_cost: int) -> None:
    names = {"l": list(range(20)), "text": "x" * 600}
    with pytest.raises(ExpressionError) as caught:
        evaluated(source, names, loop_cost=loop_cost, max_result_bytes=1_000)
    assert caught.value.code == "expression.too_large"
    assert caught.value.expression == source
    assert "expression_max_result" in caught.value.fix


def test_without_compute_a_costly_expression_is_refused_at_once() -> None:
    expressions = Expressions()
    with pytest.raises(ExpressionError, match="evaluated at once") as caught:
        expressions.compile(COSTLY).evaluate(NUMBERS)
    assert caught.value.code == "expression.too_costly"
    assert "run.compute()" in caught.value.fix
    with pytest.raises(ExpressionError, match="evaluated at once"):
        Evaluator(expressions).prepare(NUMBERS, {}).holds(COSTLY)


def test_compute_gives_each_value_to_the_call_that_asks_for_it() -> None:
    asked: list[str] = []

    async def elsewhere(source: str, names: Any) -> Any:
        asked.append(source)
        if "9" in source:
            raise ExpressionError(source, "refused", "", "expression.failed")
        return source

    async def main() -> list[str]:
        expressions = Expressions(ExpressionLimits(loop_cost=1), elsewhere)

        def value(number: int) -> str:
            try:
                return str(expressions.compile(f"l.map(a, {number})").evaluate(NUMBERS))
            except ExpressionError as error:
                return error.why

        return await expressions.compute(lambda: [value(1), value(9), value(2)])

    assert asyncio.run(main()) == ["l.map(a, 1)", "refused", "l.map(a, 2)"]
    assert asked == ["l.map(a, 1)", "l.map(a, 9)", "l.map(a, 2)"]


def test_compute_evaluates_a_limited_number_elsewhere() -> None:
    async def elsewhere(source: str, names: Any) -> Any:
        return 1

    async def main() -> None:
        expressions = Expressions(ExpressionLimits(loop_cost=1), elsewhere)
        expression = expressions.compile("l.map(a, a)")
        await expressions.compute(lambda: [expression.evaluate(NUMBERS) for _ in range(101)])

    with pytest.raises(ExpressionError, match="more than 100 costly expressions"):
        asyncio.run(main())


def test_packed_values_keep_their_types() -> None:
    at = datetime.datetime(
        2026, 1, 1, 12, 30, 0, 250, datetime.timezone(datetime.timedelta(hours=2))
    )
    values = [
        at,
        at.replace(tzinfo=None),
        at.date(),
        at.time(),
        datetime.timedelta(days=-1, microseconds=3),
        {"bytes": b"\x00", "list": [None, True, 1.5, "ß"]},
    ]
    assert unpack(pack(values)) == values
