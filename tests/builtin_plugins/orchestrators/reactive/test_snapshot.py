"""Tests of `qtforge_builtin_plugins.orchestrators.reactive.snapshot`."""

from __future__ import annotations

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Snapshot, Trace

_LISTS = [each.name for each in msgspec.structs.fields(Snapshot) if each.default_factory is list]


@pytest.mark.parametrize("name", _LISTS)
def test_a_list_of_a_snapshot_that_changes_in_place_is_set_back_more_than_once(name: str) -> None:
    snapshot = Snapshot()
    before = snapshot.copied()
    for _ in range(2):
        getattr(snapshot, name).append("more")
        snapshot.set_back(before)
        assert getattr(snapshot, name) == []


def test_every_other_field_of_a_snapshot_is_set_back() -> None:
    snapshot = Snapshot(active=("a",), data={"n": 1}, calls=1)
    before = snapshot.copied()
    snapshot.active, snapshot.data, snapshot.calls, snapshot.failed = ("b",), {"n": 2}, 2, "why"
    snapshot.set_back(before)
    assert snapshot == before == Snapshot(active=("a",), data={"n": 1}, calls=1)


def test_every_list_of_a_trace_is_cut_to_its_length_before() -> None:
    trace = Trace(**{name: ["old"] for name in Trace.__struct_fields__})
    lengths = trace.lengths()
    for name in Trace.__struct_fields__:
        getattr(trace, name).append("new")
    trace.set_back(lengths)
    assert trace == Trace(**{name: ["old"] for name in Trace.__struct_fields__})
