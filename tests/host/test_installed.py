"""Whether what is installed is still what was imported."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qtforge_host.installed import ImportedDistributions, InstalledDistribution


def install(folder: Path, name: str, version: str) -> Path:
    """Install the metadata of a distribution as pip does: made elsewhere, and moved."""
    made = folder.parent / "made"
    made.mkdir()
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (made / "RECORD").write_text(f"{name}.py,,\n")
    path = folder / f"{name}-{version}.dist-info"
    shutil.rmtree(path, ignore_errors=True)
    return made.rename(path)


def upgrade(folder: Path) -> None:
    shutil.rmtree(folder / "acme_up-1.0.dist-info")
    install(folder, "acme_up", "2.0")


def install_again(folder: Path) -> None:
    install(folder, "acme_up", "1.0")


def install_beside(folder: Path) -> None:
    install(folder, "acme_up", "2.0")


def install_beside_in_another_spelling(folder: Path) -> None:
    install(folder, "Acme.Up", "2.0")


def install_another(folder: Path) -> None:
    install(folder, "acme", "2.0")
    install(folder, "acme_up_tools", "2.0")
    install(folder, "acme-up-tools", "2.0")


def install_beside_with_a_hyphen(folder: Path) -> None:
    install(folder, "acme-up", "2.0")


def do_nothing(folder: Path) -> None:
    pass


def touch_the_leftover(folder: Path) -> None:
    (folder / "note.txt").write_text("a file beside")


@pytest.mark.parametrize(
    ("change", "is_changed"),
    [
        (upgrade, True),
        (install_again, True),
        (install_beside, True),
        (install_beside_in_another_spelling, True),
        (install_beside_with_a_hyphen, True),
        (install_another, False),
        (touch_the_leftover, False),
        (do_nothing, False),
    ],
)
def test_a_distribution_that_was_installed_anew_is_noticed(
    tmp_path: Path, change: Callable[[Path], None], is_changed: bool
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "acme_up", "0.9")  # a leftover, older than what is imported
    path = install(folder, "acme_up", "1.0")
    known = InstalledDistribution.read(str(path))
    imported = ImportedDistributions([str(folder)])
    imported.add([str(path)])
    assert not known.is_changed()
    time.sleep(0.05)  # the times of files have a resolution

    change(folder)

    assert known.is_changed() == is_changed
    assert bool(imported.changed()) == is_changed
