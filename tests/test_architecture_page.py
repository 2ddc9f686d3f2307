"""docs/internals/architecture.md says what the code is: its picture, its trips, its places."""

from __future__ import annotations

import importlib
import itertools
import re

import pytest
from tools.architecture import PAGE, draw, imports, picture_of

TEXT = PAGE.read_text(encoding="utf-8")
HOPS = re.findall(r"^\d+\. `([\w.]+):([\w.]+)`: ", TEXT, re.M)


def test_the_picture_is_the_one_that_the_imports_give() -> None:
    assert picture_of(TEXT) == draw(), "renew it with: python -m tools.architecture --write"


def test_the_picture_has_every_part_and_the_sdk_at_the_bottom() -> None:
    arrows = imports()

    assert {"cli", "runs", "bus", "plugins", "journal", "qtforge_sdk"} <= set(arrows)
    assert arrows["qtforge_sdk"] == set()
    assert arrows["qtforge_builtin_plugins"] == {"qtforge_sdk"}
    assert "bus" in arrows["runs"]


@pytest.mark.parametrize(("module", "name"), HOPS, ids=[f"{a}:{b}" for a, b in HOPS])
def test_a_hop_of_a_trip_exists(module: str, name: str) -> None:
    found: object = importlib.import_module(module)
    for word in name.split("."):
        found = getattr(found, word)

    assert callable(found)


def test_each_trip_has_its_hops() -> None:
    trips = TEXT.partition("## The trips")[2].partition("## Where")[0].split("\n### ")[1:]

    assert len(trips) == 5
    for trip in trips:
        lines = re.findall(r"^\d+\. .*", trip, re.M)
        assert len(lines) >= 5
        assert all(re.match(r"\d+\. `[\w.]+:[\w.]+`: ", line) for line in lines)
        hops = re.findall(r"^\d+\. `([\w.]+:[\w.]+)`", trip, re.M)
        assert len(set(hops)) == len(hops), "a trip goes through no function twice"


def test_an_event_enters_no_package_twice_on_its_way_to_the_state_machine() -> None:
    trip = TEXT.partition("### An event to a state machine")[2].partition("\n### ")[0]
    modules = re.findall(r"^\d+\. `([\w.]+):", trip, re.M)
    machine = next(i for i, module in enumerate(modules) if module.endswith(".machine"))
    packages = [".".join(module.split(".")[:2]) for module in modules[: machine + 1]]
    entered = [package for package, _ in itertools.groupby(packages)]

    assert entered[0] == "qtforge_host.cli"
    assert len(set(entered)) == len(entered)


def test_the_places_where_things_are_added_exist() -> None:
    table = TEXT.partition("## Where to add something")[2]
    root = PAGE.parents[2]
    named = re.findall(r"`((?:host|sdk|builtin_plugins)/[\w/.]*)`", table)

    assert named
    for path in named:
        assert (root / path).exists(), path
