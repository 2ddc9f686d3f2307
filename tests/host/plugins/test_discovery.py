"""Finding plugins in metadata alone."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from qtforge_host.plugins.discovery import installed_version, scan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.host.conftest import Site


def test_a_plugin_is_found_with_its_distribution_version_and_requirements(site: Site) -> None:
    site.plugin("acme-parser", "1.2.0", distribution="Acme.Tools")

    (found,) = scan(site.path).candidates

    assert found.name == "acme-parser"
    assert found.distribution == "acme-tools"
    assert found.version == "1.2.0"
    assert found.requires_dist == ("qtforge-sdk>=1.0,<2",)
    assert found.location == str(site.root)
    assert found.key == "acme-tools:acme-parser"
    assert not found.builtin
    assert found.problem is None


def test_every_group_of_the_host_is_found_and_no_other(site: Site) -> None:
    groups = ("plugins", "orchestrators", "journals", "transports", "elsewhere")
    text = "".join(f"[qtforge.{group}]\na = m:{group.title()}\n" for group in groups)
    site.distribution("many", entry_points=text)

    found = {candidate.group for candidate in scan(site.path).candidates}

    assert found == {f"qtforge.{group}" for group in groups[:-1]}


def test_plugins_of_the_hosts_distribution_are_builtin(site: Site) -> None:
    site.plugin("document-parser", distribution="qtforge-host")

    assert scan(site.path).candidates[0].builtin


def test_scanning_imports_no_plugin(importable: Site) -> None:
    module = importable.plugin("loud", source="raise SystemExit('imported')\n")

    assert [candidate.name for candidate in scan().candidates if candidate.name == "loud"]
    assert importable.accepted() == ["loud"]
    assert module not in sys.modules


@pytest.mark.parametrize(
    "text", [b"[console_scripts\nno equals sign\n", b"\xff\xfe\x00[x]", b"=\n=\n[[[["]
)
def test_a_malformed_entry_points_file_elsewhere_costs_nothing(site: Site, text: bytes) -> None:
    site.distribution("unrelated", entry_points=text)
    site.plugin("good")

    found = scan(site.path)

    assert [candidate.name for candidate in found.candidates] == ["good"]
    assert "unrelated" in found.distributions


def test_an_unreadable_entry_points_file_is_a_problem_that_names_its_distribution(
    site: Site,
) -> None:
    site.distribution("undecodable", entry_points=b"\xff[qtforge.plugins]\n")
    site.plugin("good")

    found = scan(site.path)

    assert [candidate.name for candidate in found.candidates] == ["good"]
    (problem,) = found.problems
    assert problem.where.startswith("undecodable-1.0.0")
    assert "UnicodeDecodeError" in problem.reason
    assert problem.fix


def test_a_malformed_entry_points_file_of_a_plugin_is_named_broken(site: Site) -> None:
    site.distribution("sloppy", entry_points="[qtforge.plugins]\nno equals sign here\n")
    site.plugin("good")

    statuses = site.statuses()

    assert statuses["good:good"].state == "ready"
    assert statuses["sloppy:sloppy"].state == "broken"
    assert statuses["sloppy:sloppy"].code == "plugin.invalid_entry_points"
    assert "pip install --force-reinstall sloppy" in statuses["sloppy:sloppy"].fix


@pytest.mark.parametrize("value", ["not a module", "module_without_class", ":Class", ""])
def test_an_entry_point_that_names_no_class_is_broken(site: Site, value: str) -> None:
    site.distribution("sloppy", entry_points=f"[qtforge.plugins]\nsloppy = {value}\n")

    status = site.statuses()["sloppy:sloppy"]

    assert status.code == "plugin.invalid_entry_points"
    assert value in status.reason


def test_missing_metadata_is_broken_with_a_fix_and_affects_no_other(site: Site) -> None:
    site.plugin("good")
    site.distribution("torn", entry_points="[qtforge.plugins]\ntorn = m:T\n", metadata=None)

    statuses = site.statuses()

    assert statuses["good:good"].state == "ready"
    assert statuses["torn:torn"].state == "broken"
    assert statuses["torn:torn"].code == "plugin.missing_metadata"
    assert statuses["torn:torn"].fix == "pip install --force-reinstall torn"


def test_metadata_without_a_version_is_broken(site: Site) -> None:
    site.distribution(
        "torn", entry_points="[qtforge.plugins]\ntorn = m:T\n", metadata="Name: torn\n\n"
    )

    status = site.statuses()["torn:torn"]

    assert status.code == "plugin.invalid_metadata"
    assert "no Version" in status.reason


def test_the_first_distribution_of_a_name_on_the_path_wins(
    new_site: Callable[[str], Site],
) -> None:
    first, second = new_site("first"), new_site("second")
    first.plugin("acme", "2.0.0")
    second.plugin("acme", "1.0.0", distribution="Acme")

    (found,) = scan(first.path + second.path).candidates

    assert found.version == "2.0.0"


def test_the_remains_of_an_interrupted_uninstall_are_ignored(site: Site) -> None:
    site.distribution("~cme", entry_points="[qtforge.plugins]\nacme = m:A\n")

    assert scan(site.path).candidates == ()


def test_an_entry_point_added_in_place_is_seen_by_the_next_scan(site: Site) -> None:
    site.plugin("early")
    assert [candidate.name for candidate in scan(site.path).candidates] == ["early"]

    text = "[qtforge.plugins]\nearly = early_module:Example\nlate = early_module:Example\n"
    site.distribution("early", entry_points=text)
    site.plugin("new")

    assert [candidate.name for candidate in scan(site.path).candidates] == ["early", "late", "new"]


def test_extras_are_read_whole(site: Site) -> None:
    site.plugin("acme", extras=" [all_formats, x-y]")

    assert scan(site.path).candidates[0].extras == ("all-formats", "x-y")


def test_a_plugin_in_a_zip_file_is_found(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("acme-1.0.dist-info/METADATA", "Name: acme\nVersion: 1.0\n\n")
        file.writestr("acme-1.0.dist-info/entry_points.txt", "[qtforge.plugins]\nacme = m:A\n")

    (found,) = scan([str(archive)]).candidates

    assert (found.name, found.version) == ("acme", "1.0")


def test_a_finder_that_raises_is_a_problem_and_not_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def find_distributions(self, context: object) -> Iterator[importlib.metadata.Distribution]:
            raise RuntimeError("a finder in a bad mood")

    site.plugin("good")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])

    found = scan(site.path)

    assert [candidate.name for candidate in found.candidates] == ["good"]
    assert "bad mood" in found.problems[0].reason


def test_installed_versions_are_known_by_canonical_name(site: Site) -> None:
    site.distribution("Some_Library", "3.1rc1")

    versions = scan(site.path).distributions

    assert versions["some-library"] == "3.1rc1"
    assert "absent" not in versions
    assert set(versions) == {"qtforge-sdk", "some-library"}
    assert len(versions) == 2


def test_a_folder_that_is_not_there_is_an_empty_scan() -> None:
    assert scan(["/nowhere/at/all"]).candidates == ()


@pytest.mark.parametrize("leftover", ["acme_up-1.0.dist-info", "acme_up-3.0.dist-info"])
def test_a_folder_that_an_uninstall_left_hides_nothing(site: Site, leftover: str) -> None:
    site.plugin("acme-up", "2.0.0", distribution="acme-up")
    (site.root / leftover).mkdir()

    found = scan(site.path)

    assert [(each.name, each.version) for each in found.candidates] == [("acme-up", "2.0.0")]
    assert found.distributions["acme-up"] == "2.0.0"


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("version", ["1.0.0", "3.0.0"])
def test_of_two_metadata_in_one_folder_those_count_whose_modules_are_there(
    site: Site, version: str, replaces: bool
) -> None:
    module = site.root / "acme_up.py"

    def install(its_version: str, code: str) -> None:
        site.plugin("acme-up", its_version, distribution="acme-up")
        digest = base64.urlsafe_b64encode(hashlib.sha256(code.encode()).digest()).rstrip(b"=")
        record = next(site.root.glob(f"acme_up-{its_version}.dist-info")) / "RECORD"
        record.write_text(f"acme_up.py,sha256={digest.decode()},{len(code)}\n")

    install("2.0.0", "old")
    for file in next(site.root.glob("acme_up-2.0.0.dist-info")).iterdir():
        os.utime(file, (1_000_000_000, 1_000_000_000))
    install(version, "new")
    module.write_text("new" if replaces else "old")

    found = scan(site.path)

    expected = version if replaces else "2.0.0"
    assert [(each.name, each.version) for each in found.candidates] == [("acme-up", expected)]
    assert found.distributions["acme-up"] == expected


@pytest.mark.parametrize("name", ["qtforge-sdk", "qtforge-host"])
def test_a_left_folder_of_the_host_or_sdk_does_not_change_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    version = installed_version(name)
    (tmp_path / f"{name.replace('-', '_')}-0.9.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.metadata.distribution(name).read_text("METADATA") is None

    assert installed_version(name) == version


def test_the_version_of_what_is_not_installed_is_an_error() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        installed_version("absent")


def test_the_metadata_gives_the_name_and_not_the_folder(site: Site) -> None:
    for name in ("twin-a", "twin-b"):
        folder = site.root / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[qtforge.plugins]\n{name} = m:C\n")

    found = scan(site.path)

    assert {each.name: each.distribution for each in found.candidates} == {
        "twin-a": "twin-a",
        "twin-b": "twin-b",
    }
    assert found.distributions["twin-a"] == "1.0"
