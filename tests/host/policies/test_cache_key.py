from __future__ import annotations

import dataclasses
import datetime
import random
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.policies.cache import cache_key

scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


class Question(msgspec.Struct):
    name: str
    size: int = 1


@dataclasses.dataclass
class SameQuestion:
    size: int
    name: str


def key(message: Any) -> str:
    return cache_key("a.b", "plug", "1.0", message)


def shuffled(value: Any, source: random.Random) -> Any:
    """Return an equal value whose mappings were filled in another order."""
    if isinstance(value, dict):
        entries = [(name, shuffled(inner, source)) for name, inner in value.items()]
        source.shuffle(entries)
        return dict(entries)
    return [shuffled(inner, source) for inner in value] if isinstance(value, list) else value


@given(values, st.integers())
def test_the_order_of_a_mapping_does_not_matter(message: Any, seed: int) -> None:
    assert key(message) == key(shuffled(message, random.Random(seed)))


def exact(value: Any) -> Any:
    """Return what tells 1 from True and so on, which ``==`` does not."""
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return type(value).__name__, value


@given(values, values)
def test_other_content_is_another_question(one: Any, other: Any) -> None:
    assert (key(one) == key(other)) is (exact(one) == exact(other))


def test_a_struct_a_dataclass_and_a_mapping_of_the_same_fields_are_one_question() -> None:
    assert key(Question("x")) == key({"size": 1, "name": "x"}) == key(SameQuestion(1, "x"))


def test_topic_plugin_and_version_are_part_of_the_question() -> None:
    keys = {
        cache_key("a.b", "plug", "1.0", 1),
        cache_key("a.c", "plug", "1.0", 1),
        cache_key("a.b", "plu", "g1.0", 1),
        cache_key("a.b", "plug", "1.1", 1),
    }
    assert len(keys) == 4


def test_dates_and_sets_have_a_key() -> None:
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    assert key({"at": noon}) != key({"at": noon + datetime.timedelta(seconds=1)})
    assert key({"tags": {"x", "y", "z"}}) == key({"tags": {"z", "y", "x"}})


def test_another_process_computes_the_same_key() -> None:
    code = (
        "from qtforge_host.policies.cache import cache_key;"
        "print(cache_key('a.b', 'plug', '1.0', {'t': {'x', 'y', 'z'}, 'a': 1}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == key({"a": 1, "t": {"z", "x", "y"}})


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError):
        key(object())
