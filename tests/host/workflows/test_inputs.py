"""Typed inputs: what is accepted, in which form it is kept, and what is said of the rest."""

from __future__ import annotations

import datetime
import json
from typing import Any

import msgspec
import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.workflows.inputs import (
    NotAcceptedError,
    accept,
    json_schema,
    of_text,
    problems,
    wants,
)
from qtforge_sdk.inputs import InputSpec

UTC = datetime.UTC


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(Expressions())


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("string", "Ada", "Ada"),
    ("integer", 5, 5),
    ("integer", 5.0, 5),
    ("integer", 2**64 - 1, 2**64 - 1),
    ("integer", -(2**63), -(2**63)),
    ("number", 5, 5),
    ("number", 0.5, 0.5),
    ("boolean", False, False),
    ("date", datetime.date(2026, 11, 30), "2026-11-30"),
    ("date", "20261130", "2026-11-30"),
    ("date", "2026-11-30T23:30:00+01:00", "2026-11-30"),
    ("timestamp", datetime.datetime(2026, 11, 30, 9, tzinfo=UTC), "2026-11-30T09:00:00+00:00"),
    ("timestamp", "2026-11-30T09:00:00Z", "2026-11-30T09:00:00+00:00"),
    ("duration", "1h30m", "1h30m"),
    ("duration", 5.5, 5.5),
    ("duration", datetime.timedelta(minutes=1), 60.0),
    ("table", {"a": 1}, {"a": 1}),
    ("any", [1, {"a": 2}], [1, {"a": 2}]),
    ("list[integer]", (1, 2.0), [1, 2]),
    ("list[list[date]]", [["2026-11-30"]], [["2026-11-30"]]),
]


@pytest.mark.parametrize(("name", "given", "kept"), ACCEPTED)
def test_a_value_of_the_type_is_kept_in_one_form(
    name: str, given: Any, kept: Any, evaluator: Evaluator
) -> None:
    found = accept(InputSpec(type=name), given, evaluator)
    assert (found, type(found)) == (kept, type(kept))
    assert accept(InputSpec(type=name), found, evaluator) == found
    msgspec.json.encode(found)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("string", 5),
        ("integer", 5.5),
        ("integer", True),
        ("integer", "5"),
        ("integer", 1e300),
        ("integer", 2**64),
        ("integer", -(2**63) - 1),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", False),
        ("boolean", 1),
        ("boolean", "yes"),
        ("date", "30.11.2026"),
        ("timestamp", "2026-11-30T09:00:00"),
        ("timestamp", datetime.datetime(2026, 11, 30)),
        ("timestamp", "soon"),
        ("duration", "5 parrots"),
        ("table", [1]),
        ("list[integer]", [1, "2"]),
        ("list[integer]", {"a": 1}),
        ("list[string]", "Ada"),
        ("any", None),
    ],
)
def test_a_value_of_another_type_is_not_accepted(
    name: str, given: Any, evaluator: Evaluator
) -> None:
    with pytest.raises(NotAcceptedError):
        accept(InputSpec(type=name), given, evaluator)


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (InputSpec(type="integer", min=1, max=3), [1, 3], [0, 4]),
        (InputSpec(type="number", min=0.5), [0.5], [0.4]),
        (InputSpec(type="date", max=datetime.date(2026, 1, 1)), ["2026-01-01"], ["2026-01-02"]),
        (
            InputSpec(type="timestamp", min="2026-01-01T00:00:00Z"),
            ["2026-01-01T01:00:00+01:00"],
            ["2026-01-01T00:30:00+01:00"],
        ),
        (InputSpec(type="duration", max="1h"), ["60m", 3600], ["61m", 3601]),
        (InputSpec(type="string", min_length=2, max_length=3), ["ab", "abc"], ["a", "abcd"]),
        (InputSpec(type="list[any]", min_items=1, max_items=2), [[1], [1, 2]], [[], [1, 2, 3]]),
        (InputSpec(type="string", pattern="^[A-Z]+$"), ["ABC"], ["ABc", ""]),
        (InputSpec(type="string", enum=("a", "b")), ["a"], ["c"]),
        (InputSpec(type="date", enum=(datetime.date(2026, 1, 1),)), ["2026-01-01"], ["2026-01-02"]),
    ],
)
def test_limits_hold(
    spec: InputSpec, good: list[Any], bad: list[Any], evaluator: Evaluator
) -> None:
    for value in good:
        accept(spec, value, evaluator)
    for value in bad:
        with pytest.raises(NotAcceptedError):
            accept(spec, value, evaluator)


def test_what_is_not_given_is_the_default_or_null_where_it_need_not_be_given(
    evaluator: Evaluator,
) -> None:
    assert accept(InputSpec(type="integer", default=5), None, evaluator) == 5
    assert accept(InputSpec(type="integer", required=False), None, evaluator) is None
    with pytest.raises(NotAcceptedError):
        accept(InputSpec(type="integer"), None, evaluator)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("string", "5", "5"),
        ("string", '"5"', "5"),
        ("string", "true", "true"),
        ("integer", "5", 5),
        ("integer", "five", "five"),
        ("number", "1e3", 1000.0),
        ("boolean", "true", True),
        ("date", "2026-11-30", datetime.date(2026, 11, 30)),
        ("duration", "90", 90),
        ("duration", "1h", "1h"),
        ("list[string]", "Ada", ["Ada"]),
        ("list[string]", "5", ["5"]),
        ("list[string]", '["a", "b"]', ["a", "b"]),
        ("list[integer]", "5", [5]),
        ("table", "{ a = 1 }", {"a": 1}),
        ("any", "5", 5),
        ("any", "a\nb = 2", "a\nb = 2"),
    ],
)
def test_a_text_of_the_command_line_is_read_by_the_type(name: str, text: str, value: Any) -> None:
    found = of_text(InputSpec(type=name), text)
    assert (found, type(found)) == (value, type(value))


def test_what_is_accepted_is_said_in_words() -> None:
    said = [
        wants(InputSpec(type="integer", min=1, max=100)),
        wants(InputSpec(type="list[string]", min_items=1)),
        wants(InputSpec(type="string", min_length=2, max_length=3)),
        wants(InputSpec(type="string", enum=("a", "b"))),
        wants(InputSpec(type="list[list[date]]")),
        wants(InputSpec(type="date", max=datetime.date(2026, 1, 1))),
    ]
    assert said == [
        "an integer from 1 to 100",
        "a list of strings with at least 1 item",
        "a string with 2 to 3 characters",
        "one of 'a', 'b'",
        "a list of lists",
        "a date such as 2026-11-30 of at most 2026-01-01",
    ]


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (InputSpec(type="integr"), ["type"]),
        (InputSpec(type="list[list[text]]"), ["type"]),
        (InputSpec(type="list[]"), ["type"]),
        (InputSpec(type="string", min=1), ["min"]),
        (InputSpec(type="integer", min="low", max="high"), ["min", "max"]),
        (InputSpec(type="integer", pattern="5"), ["pattern"]),
        (InputSpec(type="string", pattern="[A-Z"), ["pattern"]),
        (InputSpec(type="string", max_items=5), ["max_items"]),
        (InputSpec(type="list[string]", max_length=5), ["max_length"]),
        (InputSpec(type="string", enum=(5, "a")), ["enum[0]"]),
        (InputSpec(type="string", enum=()), ["enum"]),
        (InputSpec(type="integer", default=5, max=4), ["default"]),
        (InputSpec(type="string", default="x", secret=True), ["default"]),
        (InputSpec(type="date", default=datetime.date(2026, 1, 1), min="2025-12-31"), []),
        (InputSpec(default=None), []),
    ],
)
def test_a_declaration_that_can_not_be_meant_is_a_problem(
    spec: InputSpec, paths: list[str], evaluator: Evaluator
) -> None:
    found = [path for path, _, _ in problems("x", spec, evaluator)]
    assert found == [f"inputs.x.{path}" for path in paths]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (InputSpec(type="integer", min=5, max=1), "min: 5 is above 'max', 1"),
        (InputSpec(type="date", min="2026-01-02", max="2026-01-01"), "min: '2026-01-02' is above"),
        (InputSpec(type="duration", min="1h", max=60), "min: '1h' is above 'max', 60"),
        (InputSpec(type="string", min_length=4, max_length=3), "min_length: 4 is above"),
        (InputSpec(type="list[any]", min_items=2, max_items=1), "min_items: 2 is above"),
        (InputSpec(type="string", max_length=-1), "max_length: -1 is below zero"),
    ],
)
def test_limits_between_which_there_is_no_value_are_a_problem(
    spec: InputSpec, said: str, evaluator: Evaluator
) -> None:
    ((path, what, _),) = problems("x", spec, evaluator)
    assert f"{path}: {what}".startswith(f"inputs.x.{said}")


def test_limits_that_leave_one_value_are_none(evaluator: Evaluator) -> None:
    assert not list(problems("x", InputSpec(type="integer", min=5, max=5), evaluator))
    assert not list(problems("x", InputSpec(type="list[any]", min_items=1, max_items=1), evaluator))


def test_a_type_nested_too_deeply_is_refused(evaluator: Evaluator) -> None:
    deep = "list[" * 1000 + "any" + "]" * 1000
    ((path, _, _),) = problems("x", InputSpec(type=deep), evaluator)
    assert path == "inputs.x.type"


def test_the_schema_of_an_input_says_what_is_accepted() -> None:
    schema = json_schema(
        {
            "day": InputSpec(type="date", description="which day"),
            "limit": InputSpec(type="integer", default=10, min=1, max=100),
            "tags": InputSpec(type="list[string]", required=False, min_items=1),
            "pin": InputSpec(type="string", secret=True, pattern="^[0-9]+$"),
        }
    )
    assert json.loads(json.dumps(schema)) == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date", "description": "which day"},
            "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": 100, "default": 10},
            "tags": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1},
            "pin": {"type": "string", "pattern": "^[0-9]+$", "writeOnly": True},
        },
        "required": ["day", "pin"],
        "additionalProperties": False,
    }


def test_what_is_said_of_a_declaration_is_bounded_however_large_it_is() -> None:
    evaluator = Evaluator(Expressions())
    declared = [
        InputSpec(type="list[" * 5000),
        InputSpec(type="string", pattern="((((x{1000}){1000}){1000}){1000})"),
        InputSpec(type="string", pattern="a?" * 30_000),
        InputSpec(type="string", pattern="(" * 3000),
        InputSpec(type="string", enum=("x" * 5000, 5)),
        InputSpec(type="string", default="x" * 5000, max_length=9),
    ]
    for spec in declared:
        (found,) = problems("it", spec, evaluator)
        assert sum(map(len, found)) < 1500
    for spec in (
        InputSpec(type="integer", enum=tuple(range(100_000))),
        InputSpec(type="string", enum=("x" * 100_000,)),
        InputSpec(type="string", pattern="a" * 30_000),
    ):
        assert len(wants(spec)) < 500
    assert wants(InputSpec(enum=tuple(range(25)))).endswith("19, or one of 5 others")


@pytest.mark.parametrize("pattern", ["((((x{1000}){1000}){1000}){1000})", "a?" * 30_000])
def test_a_pattern_that_is_too_costly_is_not_called_wrong(pattern: str) -> None:
    ((_, what, fix),) = problems(
        "it", InputSpec(type="string", pattern=pattern), Evaluator(Expressions())
    )
    assert "is too costly" in what
    assert fix == "write a shorter one"
