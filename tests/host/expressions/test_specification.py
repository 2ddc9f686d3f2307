"""Values that CEL's specification gives, which are not all those of the CEL library."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import ExpressionError

NEW_YEAR = "timestamp('2026-01-01T00:30:15.250Z')"
VALUES: dict[str, Any] = {
    "input": {
        "word": "Привет",
        "plain": "hello",
        "words": ["Привет", "né", "abc"],
        "map": {"ö": 1},
        "bytes": b"\xd0\x9f",
        "flag": "🇦🇹",
    }
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("size('Привет')", 6),
        ("'Привет'.size()", 6),
        ("size(input.word)", 6),
        ("input.word.size() == 6", True),
        ("size(input.plain)", 5),
        ("size(input.flag)", 2),
        ("input.words.map(w, size(w))", [6, 2, 3]),
        ("input.words.exists(w, size(w) == 2)", True),
        ("input.words.all(w, w.size() < 7)", True),
        ("size(input.words)", 3),
        ("size(input.words[0])", 6),
        ("size(input.word + input.word)", 12),
        ("size(input.words.filter(w, size(w) > 2))", 2),
        ("size(input.map)", 1),
        ("size(input.bytes)", 2),
        ("size(bytes('П'))", 2),
        ("size([1, 2])", 2),
        ("size({'a': 1})", 1),
        ("input.word.substring(0, 2)", "Пр"),
        ("input.word.matches('^П.{5}$')", True),
        (f"int({NEW_YEAR})", 1767227415),
        ("int(timestamp('1969-12-31T23:59:59.5Z'))", -1),
        ("timestamp(0) == timestamp('1970-01-01T00:00:00Z')", True),
        ("string(true)", "true"),
        (f"{NEW_YEAR}.getHours()", 0),
        (f"{NEW_YEAR}.getHours('Europe/Berlin')", 1),
        (f"{NEW_YEAR}.getHours('+02:00')", 2),
        (f"{NEW_YEAR}.getHours('-02:30')", 22),
        (f"{NEW_YEAR}.getMinutes('-02:30')", 0),
        (f"{NEW_YEAR}.getFullYear('America/New_York')", 2025),
        (f"{NEW_YEAR}.getMonth('America/New_York')", 11),
        (f"{NEW_YEAR}.getDate('America/New_York')", 31),
        (f"{NEW_YEAR}.getDayOfMonth('America/New_York')", 30),
        (f"{NEW_YEAR}.getDayOfWeek('UTC')", 4),
        (f"{NEW_YEAR}.getDayOfYear('America/New_York')", 364),
        (f"{NEW_YEAR}.getSeconds('UTC')", 15),
        (f"{NEW_YEAR}.getMilliseconds('UTC')", 250),
        ("duration('1h30m').getMinutes()", 90),
        ("duration('90m') == duration('1h30m')", True),
        (f"{NEW_YEAR} + duration('1h') > {NEW_YEAR}", True),
        ("-5 / 2", -2),
        ("-5 % 3", -2),
        ("1 == 1.0", True),
        ("int(3.9)", 3),
    ],
)
def test_an_expression_has_the_value_of_the_specification(source: str, expected: Any) -> None:
    expressions = Expressions()
    assert expressions.compile(source).evaluate(VALUES) == expected
    scope = Evaluator(expressions).prepare(VALUES, {})
    if isinstance(expected, bool):
        assert scope.holds(source) is expected
    else:
        assert scope.holds(f"{source} == {source}")


@pytest.mark.parametrize("before", [(), ("input.word == 'x'",), ("size(input.plain) == 5",)])
@pytest.mark.parametrize(
    "condition",
    [
        "size(input.word) == 6",
        "size(input.plain) == 5",
        "size(word) == 6",
        "size(input['word']) == 6",
        "size(other.word) == 6",
        "input.plain == 'hello' && size(input.word) == 6 && size(input.plain) == 5",
        "input.missing == 1 || size(input.word) == 6",
        "size(input.word) == 6 || input.missing == 1",
        "input.word.size() + size(input.plain) == 11",
        "input.words.exists(each, size(each) == 6) && size(input.word) == 6",
    ],
)
def test_prepared_sizes_count_code_points_wherever_a_text_stands(
    condition: str, before: tuple[str, ...]
) -> None:
    given = {"input": VALUES["input"], "word": "Привет"}
    scope = Evaluator(Expressions()).prepare(given, {"other": VALUES["input"]})
    for each in before:
        scope.holds(each)
    assert scope.holds(condition)
    assert scope.holds(condition)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("duration('1h30m')", "1h30m"),
        ("duration('45m') + duration('45m')", "1h30m"),
        (f"{NEW_YEAR} - timestamp('2026-01-01T00:00:00Z')", "30m15.25s"),
        ("duration('0s')", "0s"),
        ("duration('-90s')", "-1m30s"),
    ],
)
def test_a_computed_duration_is_text_that_timers_and_expressions_accept(
    source: str, expected: str
) -> None:
    expressions = Expressions()
    found = expressions.template({"after": f"${{{source}}}"}).render({})
    assert found == {"after": expected}
    assert expressions.template(f"in ${{{source}}}").render({}) == f"in {expected}"
    assert expressions.compile(f"[{source}]").evaluate({}) == [expected]
    assert expressions.compile(f"duration(d) == {source}").evaluate({"d": expected})
    if expected != "0s" and not expected.startswith("-"):
        assert datetime.timedelta(seconds=seconds(expected)) > datetime.timedelta(0)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("int([1])", "int() does not take a list"),
        ("double(duration('1s'))", "double() does not take a value of that type"),
        ("size(1)", "size() takes a string, bytes, a list or a map"),
        ("n.size() + size(n)", "size() does not take a value of that type"),
        (f"{NEW_YEAR}.getHours('Mars/Olympus')", "'Mars/Olympus' is not a time zone"),
        ("1.getHours()", "getHours() does not take a int"),
        ("nothing > 1", "Undefined variable or function: 'nothing'"),
        ("{1: 'a', '1': 'b'}", "two of its keys are '1'"),
        ("{true: 'a', 'true': 'b'}", "two of its keys are 'true'"),
    ],
)
def test_an_error_says_what_is_true(source: str, why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expressions().compile(source).evaluate({"n": 1})
    assert why in caught.value.why
    assert caught.value.expression == source


@pytest.mark.parametrize(
    "source", ["1" + " + 1" * 20_000, "a" + ".b" * 10_000, "x == '" + "y" * 40_000 + "'"]
)
def test_an_expression_that_would_end_the_process_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError, match="may have"):
        Expressions().compile(source)
