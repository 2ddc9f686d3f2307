"""How deep TOML may be nested."""

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
    with pytest.raises(toml.TomlTooDeepError, match="nested more than 100 deep"):
        toml.read(SHAPES[shape](depth))
