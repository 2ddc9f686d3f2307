"""How deep TOML may be nested, and how large its integers may be."""

from __future__ import annotations

import tomllib

import pytest

from qtforge_host import toml

SHAPES = {
    "arrays": lambda depth: f"a = {'[' * depth}{']' * depth}",
    "tables": lambda depth: f"a = {'{a=' * (depth - 1)}{{}}{'}' * (depth - 1)}",
    "mixed": lambda depth: f"a = {'[{a=' * (depth // 2)}1{'}]' * (depth // 2)}",
    "keys": lambda depth: ".".join("a" * (depth + 1)) + " = 1",
    "headers": lambda depth: "[" + ".".join("a" * depth) + "]",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_nested_as_deep_as_it_may_is_read(shape: str) -> None:
    text = SHAPES[shape](toml.DEEPEST)
    assert toml.read(text) == tomllib.loads(text)


@pytest.mark.parametrize("depth", [toml.DEEPEST + 2, 5_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_nested_deeper_is_refused(shape: str, depth: int) -> None:
    with pytest.raises(toml.TomlLimitError, match="nested more than 100 deep"):
        toml.read(SHAPES[shape](depth))


LARGE = {
    "value": "a = {}",
    "array": "a = [1, [{}]]",
    "table": "[a.b]\nc = {{d = {}}}",
    "array of tables": "[[a]]\nb = {}",
}


@pytest.mark.parametrize("number", [-(2**63), 2**64 - 1])
@pytest.mark.parametrize("place", LARGE)
def test_an_integer_that_the_journal_keeps_is_read(place: str, number: int) -> None:
    text = LARGE[place].format(number)
    assert toml.read(text) == tomllib.loads(text)


@pytest.mark.parametrize("number", [-(2**63) - 1, 2**64, 10**25], ids=["low", "high", "long"])
@pytest.mark.parametrize("place", LARGE)
def test_a_larger_integer_is_refused(place: str, number: int) -> None:
    with pytest.raises(toml.TomlLimitError, match="more than 64 bits"):
        toml.read(LARGE[place].format(number))


def test_an_integer_of_5000_digits_is_refused() -> None:
    with pytest.raises(toml.TomlLimitError, match="more than 64 bits"):
        toml.read(f"a = {'9' * 5_000}")
