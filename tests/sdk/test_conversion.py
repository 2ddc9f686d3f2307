from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_sdk import Document
from qtforge_sdk.conversion import convert, is_untyped, to_plain
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
