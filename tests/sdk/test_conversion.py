from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_sdk import Document
from qtforge_sdk.conversion import check_keys, convert, is_untyped, to_json, to_plain
from qtforge_sdk.messages import ParseOptions, ParseRequest


class Point(msgspec.Struct):
    x: int
    y: int = 0


@dataclasses.dataclass
class Dot:
    x: int
    y: int


class Opaque:
    pass


@given(x=st.integers(-(2**53), 2**53), y=st.integers(-(2**53), 2**53))
def test_what_becomes_plain_converts_back(x: int, y: int) -> None:
    assert convert(to_plain(Point(x, y)), Point) == Point(x, y)


def test_an_instance_goes_through_untouched() -> None:
    point = Point(1)
    assert convert(point, Point) is point
    assert convert(point, Any) is point
    assert convert(point, object) is point


def test_records_of_another_make_convert_by_their_fields() -> None:
    assert convert(Dot(1, 2), Point) == Point(1, 2)
    assert convert(Point(1, 2), Dot) == Dot(1, 2)
    assert convert(Point(1, 2), dict[str, int]) == {"x": 1, "y": 2}
    assert convert(Dot(1, 2), Mapping[str, int]) == {"x": 1, "y": 2}


def test_an_error_names_the_fields_path() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.options\.max_bytes"):
        convert({"document": {"name": "a"}, "options": {"max_bytes": "x"}}, ParseRequest)
    with pytest.raises(msgspec.ValidationError, match=r"missing required field `name`"):
        convert({"document": {}}, ParseRequest)


def test_nested_messages_are_built_from_mappings() -> None:
    request = convert({"document": {"name": "a"}, "options": {"max_bytes": 9}}, ParseRequest)
    assert request == ParseRequest(document=Document(name="a"), options=ParseOptions(max_bytes=9))


def test_a_type_that_msgspec_has_no_rules_for_only_fits_its_instances() -> None:
    opaque = Opaque()
    assert convert(opaque, Opaque) is opaque
    with pytest.raises(msgspec.ValidationError):
        convert({}, Opaque)


def test_bytes_and_dates_stay_as_they_are_in_plain_form() -> None:
    day = datetime.date(2026, 1, 2)
    plain = to_plain({"document": Document(name="a", content=b"\x00"), "day": day})
    assert plain["document"]["content"] == b"\x00"
    assert plain["day"] is day


def test_what_has_no_plain_form_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        to_plain({"thing": Opaque()})


def test_only_any_and_object_are_untyped() -> None:
    assert [is_untyped(each) for each in (Any, object, dict, Path)] == [True, True, False, False]


NO_NUMBERS = [
    (float("nan"), "NaN"),
    (-float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    (-float("inf"), "-Infinity"),
]


class Measured(msgspec.Struct):
    value: Any
    note: str | None = None


@pytest.mark.parametrize(("number", "text"), NO_NUMBERS)
@pytest.mark.parametrize(
    ("within", "expected"),
    [
        (lambda it: it, lambda it: it),
        (lambda it: [None, it, 1.5], lambda it: [None, it, 1.5]),
        (lambda it: {"a": (it, {"b": it})}, lambda it: {"a": [it, {"b": it}]}),
        (lambda it: Measured(it), lambda it: {"value": it, "note": None}),
        (lambda it: Dot(it, 2**70), lambda it: {"x": it, "y": 2**70}),
        (lambda it: {"a": it, "b": Opaque()}, lambda it: {"a": it, "b": "opaque"}),
    ],
)
def test_json_has_a_text_for_what_is_no_number(
    number: float, text: str, within: Any, expected: Any
) -> None:
    encoded = to_json(within(number), lambda _: "opaque")
    assert json.loads(encoded, parse_constant=pytest.fail) == expected(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    )
)  # fmt: skip
def test_json_of_everything_else_is_what_msgspec_writes(value: Any) -> None:
    assert to_json(value) == msgspec.json.encode(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: "a", "1": "b"}, r"the keys 1 and '1' are the same text - at `\$`"),
        ({"1.5": "a", 1.5: "b"}, r"'1\.5' and 1\.5 .* `\$`"),
        ({"2026-01-02": 1, datetime.date(2026, 1, 2): 2}, r"'2026-01-02' and datetime"),
        ({"a": [{}, ({2: 0, "2": 0},)]}, r"`\$\.a\[1\]\[0\]`"),
        (Measured({"in": {3: 0, "3": 0}}), r"`\$\.value\.in`"),
        (Dot(0, {3: 0, "3": 0}), r"`\$\.y`"),  # type: ignore[arg-type]
        ({None: 1}, "keys"),
        ({True: 1}, "keys"),
        ({"a": {(1, 2): 1}}, "keys"),
    ],
)
def test_keys_that_would_merge_are_refused_with_their_path(value: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        check_keys(value)


def test_keys_that_stay_apart_as_texts_are_kept() -> None:
    value = {1: "a", "2": "b", 3.5: {"c": {4: "d"}}}
    check_keys(value)
    assert to_plain(value) == {"1": "a", "2": "b", "3.5": {"c": {"4": "d"}}}
