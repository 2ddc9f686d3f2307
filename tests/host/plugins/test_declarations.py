"""Reading ``requires`` and ``after`` from source that is never run."""

from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from qtforge_host.plugins.declarations import UNKNOWN, Declarations, declared_by, read_declarations
from qtforge_host.plugins.discovery import scan

if TYPE_CHECKING:
    from tests.host.conftest import Site


def _read(site: Site, value: str) -> Declarations:
    site.distribution("acme", entry_points=f"[qtforge.plugins]\nacme = {value}\n")
    (candidate,) = scan(site.path).candidates
    return read_declarations(candidate)


def test_literals_are_read_without_running_the_module(site: Site) -> None:
    site.module(
        "pkg",
        """
        raise SystemExit("this must not run")
        class Acme:
            requires = ("a >= 1", "b")
            after: tuple[str, ...] = ("c",)
        """,
    )

    assert _read(site, "pkg:Acme") == Declarations(requires=("a >= 1", "b"), after=("c",))


def test_a_module_in_a_package_is_read_without_importing_the_package(site: Site) -> None:
    site.module("outer.__init__", "raise SystemExit('no')\n")
    site.module("outer.inner.__init__", "raise SystemExit('no')\n")
    site.module("outer.inner.deep", "class Acme:\n    requires = ['a']\n")

    assert _read(site, "outer.inner.deep:Acme").requires == ("a",)
    assert "outer" not in sys.modules


def test_reexports_are_followed(site: Site) -> None:
    site.module("pkg.__init__", "from .api import Public as Acme\n")
    site.module("pkg.api", "from pkg._implementation import Acme as Public\n")
    site.module("pkg._implementation", "class Acme:\n    requires = ('a',)\n")

    assert _read(site, "pkg:Acme [some-extra]").requires == ("a",)


def test_reexports_that_go_round_in_circles_are_unknown(site: Site) -> None:
    site.module("one", "from two import Acme\n")
    site.module("two", "from one import Acme\n")

    assert _read(site, "one:Acme") == UNKNOWN


def test_a_class_that_declares_nothing_requires_nothing(site: Site) -> None:
    site.module("pkg", "class Acme:\n    pass\n")

    assert _read(site, "pkg:Acme") == Declarations()


def test_only_the_class_itself_counts(site: Site) -> None:
    site.module("pkg", "class Other:\n    requires = ('a',)\nclass Acme:\n    pass\n")

    assert _read(site, "pkg:Acme") == Declarations()


@pytest.mark.parametrize(
    "source",
    [
        "NAME = 'a'\nclass Acme:\n    requires = (NAME,)\n",
        "class Acme:\n    requires = tuple(open('x'))\n",
        "class Acme:\n    requires = (\n",
        "Acme = type('Acme', (), {})\n",
        "",
    ],
)
def test_a_value_that_is_not_a_literal_is_unknown(site: Site, source: str) -> None:
    site.module("pkg", source)

    assert _read(site, "pkg:Acme") == UNKNOWN


def test_a_missing_module_is_unknown(site: Site) -> None:
    assert _read(site, "no_such_module_anywhere.at_all:Acme") == UNKNOWN


def test_source_in_a_zip_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = site.root / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped.py", "class Acme:\n    requires = ('a',)\n")
    monkeypatch.syspath_prepend(str(archive))

    assert _read(site, "zipped:Acme").requires == ("a",)


def test_an_editable_install_is_read_through_its_finder(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site.module("elsewhere.src.editable", "class Acme:\n    requires = ('a',)\n")
    monkeypatch.syspath_prepend(str(file.parent))

    assert _read(site, "editable:Acme").requires == ("a",)


def test_a_text_in_place_of_a_tuple_is_a_problem(site: Site) -> None:
    site.module("pkg", "class Acme:\n    requires = 'a >= 1'\n")

    assert "must be a tuple of texts" in _read(site, "pkg:Acme").problem


def test_an_imported_class_declares_what_it_inherits() -> None:
    class Parent:
        requires = ("a",)

    class Acme(Parent):
        after = ("b",)

    assert declared_by(Acme) == Declarations(requires=("a",), after=("b",))
    assert declared_by(object) == Declarations()


def test_a_module_in_nested_namespace_packages_is_read(site: Site) -> None:
    site.module("spaces.inner.deep", "class Acme:\n    requires = ['a']\n")

    assert _read(site, "spaces.inner.deep:Acme").requires == ("a",)
    assert "spaces" not in sys.modules


def test_a_placement_is_read_without_running_the_module(site: Site) -> None:
    site.module("pkg", "raise SystemExit()\nclass Acme:\n    placement = 'one node'\n")

    assert _read(site, "pkg:Acme") == Declarations(placement="one node")


@pytest.mark.parametrize("value", ["'two nodes'", "1", "('one node',)", "None", "''"])
def test_a_placement_that_there_is_not_is_a_problem(site: Site, value: str) -> None:
    site.module("pkg", f"class Acme:\n    placement = {value}\n")

    assert "'any node' or 'one node'" in _read(site, "pkg:Acme").problem
