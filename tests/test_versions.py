"""The versions of the repository's distributions, and what they require of each other."""

from __future__ import annotations

import tomllib

from packaging.requirements import Requirement
from packaging.version import Version
from tools.distributions import DISTRIBUTIONS, ROOT
from tools.set_version import changes

SDK = next(each for each in DISTRIBUTIONS if each.name == "qtforge-sdk").project["version"]

PLACES = ("pyproject.toml", "[!.]*/*/pyproject.toml", "examples/*/*/pyproject.toml")


def test_all_have_the_version_of_the_sdk_and_require_it_from_its_minor_version_on() -> None:
    assert [path.relative_to(ROOT).as_posix() for path, _ in changes(SDK)] == [], (
        f"python -m tools.set_version {SDK} mends them"
    )


def test_every_project_that_needs_the_sdk_takes_this_one_and_none_that_is_older() -> None:
    own = Version(SDK)
    older = f"{own.major}.{own.minor - 1}" if own.minor else f"{own.major - 1}.999"
    found = []
    for path in (each for place in PLACES for each in ROOT.glob(place)):
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
        for each in map(Requirement, project.get("dependencies", ())):
            if each.name == "qtforge-sdk":
                found.append(path)
                assert each.specifier.contains(SDK), path
                assert not each.specifier.contains(older), path
                assert not each.specifier.contains(f"{own.major + 1}.0"), path
    assert len(found) >= 12


def test_a_major_version_changes_every_floor() -> None:
    changed = {path.relative_to(ROOT).as_posix(): text for path, text in changes("7.3.1")}
    nats = tomllib.loads(changed["extensions/qtforge-nats/pyproject.toml"])["project"]
    assert nats["version"] == "7.3.1"
    assert nats["dependencies"][0] == "qtforge-sdk>=7.3,<8"
    host = tomllib.loads(changed["pyproject.toml"])["project"]
    assert host["optional-dependencies"]["nats"] == ["qtforge-nats>=7.3,<8"]
    example = tomllib.loads(changed["examples/pen_shop/pyproject.toml"])["project"]
    assert (example["version"], example["dependencies"]) == ("1.1.0", ["qtforge-sdk>=7.3,<8"])
    assert "qtforge-sdk>=7.3,<8" in changed["docs/tutorial.md"]
