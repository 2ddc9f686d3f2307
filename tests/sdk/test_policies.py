from __future__ import annotations

import datetime
import inspect
import re
import tomllib
from typing import Any

import msgspec
import pytest

from qtforge_sdk.policies import Breaker, Cache, Fallback, Limits, Retry

KINDS = (Retry, Breaker, Cache, Limits)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_table_is_the_same_as_no_arguments(kind: type[msgspec.Struct]) -> None:
    assert msgspec.convert({}, kind) == kind()


@pytest.mark.parametrize("kind", [*KINDS, Fallback])
def test_an_unknown_key_is_refused(kind: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="retries"):
        msgspec.convert({"retries": 3}, kind)


@pytest.mark.parametrize("kind", [*KINDS, Fallback])
def test_every_field_is_described_with_its_default(kind: type[msgspec.Struct]) -> None:
    text = inspect.getdoc(kind)  # without the indentation that Python 3.13 drops by itself
    assert text is not None
    entries = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, re.M))
    assert [*entries] == [*kind.__struct_fields__]
    assert [name for name, text in entries.items() if "default" not in text.lower()] == []


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (Retry, {"max_attempts": 0}, "max_attempts is 0"),
        (Retry, {"backoff": 0.5}, "backoff is 0.5"),
        (Retry, {"backoff": float("nan")}, "backoff is nan"),
        (Retry, {"backoff": float("inf")}, "backoff is inf"),
        (Retry, {"jitter": 1.5}, "jitter is 1.5"),
        (Retry, {"jitter": float("nan")}, "jitter is nan"),
        (Breaker, {"failures": 0}, "failures is 0"),
        (Breaker, {"half_open": 0}, "half_open is 0"),
        (Cache, {"max_entries": 0}, "max_entries is 0"),
        (Limits, {"concurrency": 0}, "concurrency is 0"),
        (Limits, {"queue": -1}, "queue is -1"),
        (Fallback, {}, "either a value or a topic"),
        (Fallback, {"value": 1, "topic": "a.b"}, "either a value or a topic"),
        (Fallback, {"value": 1, "message": {}}, "message needs a topic"),
    ],
)
def test_what_makes_no_sense_is_refused_in_python_and_in_toml(
    kind: type[msgspec.Struct], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**given)
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(given, kind)


def test_nothing_is_a_fallback_value_too() -> None:
    assert Fallback(value=None).value is None
    assert Fallback(topic="a.b").value is msgspec.UNSET


BAD_DURATIONS = ("", "soon", "30 sec", "10", "1h30", "-5s", "0s", "5S", "1e3s", "1,5s", "1y" * 200)
BAD_NUMBERS = (0, -1, -0.5, float("nan"), float("inf"), 10**400)
BAD_COUNTS = ("3", 1.5, None, True, -1)
BAD_FLAGS = (0, 1, "true", None)
BAD_RATES = ("10 per s", "10", "/s", "0/s", "-1/s", "1.5/s", "10/", "10/0s", "10/sec", "10/s/s")
# Every field of every policy is here, which the first test below sees to.
BAD: dict[type[msgspec.Struct], dict[str, tuple[Any, ...]]] = {
    Retry: {
        "max_attempts": (0, *BAD_COUNTS),
        "initial_delay": BAD_DURATIONS + BAD_NUMBERS,
        "backoff": (0.5, -2, "2", float("nan"), float("inf")),
        "max_delay": BAD_DURATIONS + BAD_NUMBERS,
        "jitter": (5.0, -0.1, "0.5", float("nan")),
        "include": (),
        "exclude": (),
    },
    Breaker: {
        "failures": (0, *BAD_COUNTS),
        "window": BAD_DURATIONS + BAD_NUMBERS,
        "open_for": BAD_DURATIONS + BAD_NUMBERS,
        "half_open": (0, *BAD_COUNTS),
        "shared": BAD_FLAGS,
    },
    Cache: {
        "ttl": BAD_DURATIONS + BAD_NUMBERS,
        "max_entries": (0, *BAD_COUNTS),
    },
    Limits: {
        "concurrency": (0, "3", 1.5, True, -1),
        "rate": (*BAD_RATES, 10),
        "queue": BAD_COUNTS,
        "shared": BAD_FLAGS,
    },
}
CASES = [
    pytest.param(kind, field, value, id=f"{kind.__name__}.{field}={str(value)[:12]}")
    for kind, fields in BAD.items()
    for field, values in fields.items()
    for value in values
]


def test_every_field_of_every_policy_is_tried_with_bad_values() -> None:
    assert {kind: [*fields] for kind, fields in BAD.items()} == {
        kind: [*kind.__struct_fields__] for kind in KINDS
    }


@pytest.mark.parametrize(("kind", "field", "value"), CASES)
def test_a_bad_value_is_refused_in_python_and_the_error_names_its_field(
    kind: type[msgspec.Struct], field: str, value: object
) -> None:
    with pytest.raises(ValueError, match=rf"^{field}( is |: )") as caught:
        kind(**{field: value})
    assert len(str(caught.value)) < 250  # it does not repeat a long value whole


@pytest.mark.parametrize(("kind", "field", "value"), CASES)
def test_a_bad_value_is_refused_in_a_table_and_the_error_says_where(
    kind: type[msgspec.Struct], field: str, value: object
) -> None:
    stage = msgspec.defstruct("Stage", [("policy", kind)])
    with pytest.raises(msgspec.ValidationError, match=r"at `\$\.policy"):
        msgspec.convert({"policy": {field: value}}, stage)


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"^max_attempts is 0: .*; initial_delay: .*; jitter is 2"):
        Retry(max_attempts=0, initial_delay="soon", jitter=2)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("90s", "90s"),
        (90, 90),
        (0.25, 0.25),
        (datetime.timedelta(minutes=1, milliseconds=1), 60.001),
    ],
)
def test_a_length_of_time_is_seconds_text_or_a_timedelta(given: Any, kept: object) -> None:
    policy = Retry(initial_delay=given)
    assert policy.initial_delay == kept
    # A definition that was made in Python is journaled, and read back as it was.
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Retry) == policy


def test_a_number_of_seconds_is_taken_from_toml() -> None:
    table = tomllib.loads("max_delay = 30\ninitial_delay = 0.5")
    assert msgspec.convert(table, Retry) == Retry(max_delay=30.0, initial_delay=0.5)
