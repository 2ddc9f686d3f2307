from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
import pytest

from qtforge_sdk.policies import Breaker, Cache, Fallback, Limits, Retry, durations_of

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


def test_a_checker_finds_every_duration() -> None:
    assert dict(durations_of(Retry())) == {"initial_delay": "1s", "max_delay": "1m"}
    assert dict(durations_of(Breaker(window="2m"))) == {"window": "2m", "open_for": "30s"}
    assert dict(durations_of(Cache())) == {"ttl": "1h"}
    assert dict(durations_of(Limits())) == {}
