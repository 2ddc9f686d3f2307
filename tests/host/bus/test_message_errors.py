"""Why a message does not fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qtforge_host.bus.message_errors import message_errors


class Place(msgspec.Struct, frozen=True):
    city: str


class Order(msgspec.Struct, frozen=True):
    item: str
    count: int = 1
    places: list[Place] = []


def error_of(message: Any, target: Any) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(message, target, from_attributes=True)
    return caught.value


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"itme": "a"}, "item: is missing; rename 'itme'"),
        ({}, "item: is missing; add 'item'"),
        (
            {"item": 1, "count": "two", "places": [{"city": "Bern"}, {}]},
            "item: expected str, got int; count: expected int, got str;"
            " places[1].city: is missing; add 'city'",
        ),
        ({"item": "a", "note": "what is not known does no harm", "count": 0.5},
         "count: expected int, got float"),
    ],
)  # fmt: skip
def test_every_error_of_a_message_has_its_path(message: Any, said: str) -> None:
    assert message_errors(message, Order, error_of(message, Order)) == said


def test_of_many_errors_some_are_named_and_the_others_counted() -> None:
    message = {"item": "a", "places": [{}] * 12}
    said = message_errors(message, Order, error_of(message, Order))
    assert said.count("is missing") == 5
    assert said.endswith("; and 7 more")


@pytest.mark.parametrize(
    "message",
    [5, [1], {"item": "a", "places": [{}] * 5000}, {"item": 1, "places": [[[]]] * 500}],
    ids=["number", "list", "large", "large within"],
)
def test_of_what_is_no_table_or_is_large_the_first_error_is_named(message: Any) -> None:
    error = error_of(message, Order)
    assert message_errors(message, Order, error) == str(error)


def test_a_message_that_contains_itself_ends_the_search() -> None:
    message: dict[str, Any] = {"item": 1}
    message["places"] = [message]
    error = msgspec.ValidationError("Expected `str`, got `int` - at `$.item`")
    assert message_errors(message, Order, error) == str(error)


def test_a_type_that_can_not_be_explained_leaves_the_first_error() -> None:
    error = msgspec.ValidationError("as it was")
    assert message_errors({"value": "x"}, "no type", error) == "as it was"
