"""What a live run gets of an answer, and what a resumed one."""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.runs.serialization import normalize
from qtforge_sdk.conversion import check_keys

_KEYS = st.text(max_size=2) | st.integers(0, 12) | st.sampled_from(["1", "2", "12"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**65) | st.floats() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(_KEYS, inner),
)


def entries(value: Any) -> int:
    """Return how many keys the mappings within a value have."""
    if isinstance(value, dict):
        return len(value) + sum(map(entries, value.values()))
    return sum(map(entries, value)) if isinstance(value, list | tuple) else 0


@given(_VALUES)
def test_no_key_of_an_answer_is_lost_in_silence(value: Any) -> None:
    try:
        check_keys(value)
    except TypeError:
        with pytest.raises(TypeError, match=r"are the same text - at `\$"):
            normalize(value)
    else:
        assert entries(normalize(value)) == entries(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, {2}), [1, [2]]),
        ({1: "a"}, {"1": "a"}),
        ({"day": datetime.date(2026, 1, 2)}, {"day": "2026-01-02"}),
        ({"far": math.inf}, {"far": math.inf}),
    ],
)
def test_an_answer_is_as_a_resumed_run_reads_it(value: Any, expected: Any) -> None:
    found = normalize(value)
    assert found == expected
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found)) == found
