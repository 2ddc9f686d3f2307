"""The distributions of this repository, and what must be in their archives."""

from __future__ import annotations

import re
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

__all__ = ["DISTRIBUTIONS", "ROOT", "Distribution", "find_problems", "read_distribution"]

ROOT = Path(__file__).resolve().parent.parent
_DATA = (".toml", ".typed", ".html", ".css", ".js", ".svg", ".sql", ".json", ".txt")
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)")
_LABELS = frozenset({"Changelog", "Documentation", "Homepage", "Issues", "Source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One folder with a ``pyproject.toml``.

    Attributes:
        folder: The folder.
        project: The table ``project`` of its ``pyproject.toml``.
        packages: The folders of its packages.
    """

    folder: Path
    project: dict[str, Any]
    packages: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The distribution's name."""
        name: str = self.project["name"]
        return name

    @property
    def archive_stem(self) -> str:
        """What the names of its wheel and its source distribution begin with."""
        return f"{self.name.replace('-', '_')}-{self.project['version']}"


def read_distribution(folder: Path) -> Distribution:
    """Return the distribution whose ``pyproject.toml`` is in a folder."""
    document = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    places = document["tool"]["setuptools"]["packages"]["find"]["where"]
    packages = tuple(
        sorted(each.parent for place in places for each in (folder / place).glob("*/__init__.py"))
    )
    return Distribution(folder=folder, project=document["project"], packages=packages)


DISTRIBUTIONS = tuple(
    read_distribution(path.parent)
    for path in (
        ROOT / "sdk" / "pyproject.toml",
        ROOT / "pyproject.toml",
        *sorted(ROOT.glob("extensions/*/pyproject.toml")),
        *sorted(ROOT.glob("sample_plugins/*/pyproject.toml")),
    )
)


def find_problems(distribution: Distribution, folder: Path) -> Iterator[str]:
    """Compare a distribution's archives with its sources.

    Args:
        distribution: The one.
        folder: The folder that holds one wheel and one source distribution of it.

    Yields:
        What is wrong, in words; nothing when all is well.
    """
    wheels = sorted(folder.glob(f"{distribution.archive_stem}-*.whl"))
    sdists = sorted(folder.glob(f"{distribution.archive_stem}.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        yield f"{distribution.name}: {len(wheels)} wheels and {len(sdists)} source distributions"
        return
    with ZipFile(wheels[0]) as archive:
        packed = set(archive.namelist())
        (metadata_name,) = (each for each in packed if each.endswith(".dist-info/METADATA"))
        metadata = BytesParser().parsebytes(archive.read(metadata_name))
        entry_points = _entry_points(archive, metadata_name)
    with tarfile.open(sdists[0]) as sdist:
        unpacked = {name.partition("/")[2] for name in sdist.getnames()}
    sources = _sources(distribution)
    for package in distribution.packages:
        if f"{package.name}/py.typed" not in sources:
            yield f"{distribution.name}: {package.name} has no py.typed"
    yield from (f"{wheels[0].name} lacks {each}" for each in sorted(set(sources) - packed))
    yield from (
        f"{sdists[0].name} lacks {each}" for each in sorted(set(sources.values()) - unpacked)
    )
    roots = {package.name for package in distribution.packages}
    for each in sorted(packed):
        top = each.partition("/")[0]
        if top not in roots and not top.endswith(".dist-info"):
            yield f"{wheels[0].name} holds {each}, which is in none of its packages"
    if not any(each.endswith("licenses/LICENSE") for each in packed) or "LICENSE" not in unpacked:
        yield f"{distribution.name}: an archive lacks LICENSE"
    yield from _metadata_problems(distribution, metadata)
    yield from (
        f"{wheels[0].name} lacks the entry point {each}"
        for each in sorted(_declared(distribution) - entry_points)
    )


def _sources(distribution: Distribution) -> dict[str, str]:
    """Return what a wheel must hold, with the path within the distribution's folder."""
    return {
        path.relative_to(package.parent).as_posix(): path.relative_to(
            distribution.folder
        ).as_posix()
        for package in distribution.packages
        for path in package.rglob("*")
        if path.suffix in (".py", *_DATA) and path.is_file()
    }


def _metadata_problems(distribution: Distribution, metadata: Message) -> Iterator[str]:
    labels = {each.partition(",")[0] for each in metadata.get_all("Project-URL", [])}
    if _LABELS - labels:
        yield f"{distribution.name} has no project URL for {', '.join(sorted(_LABELS - labels))}"
    for field in ("Keywords", "Summary", "License-Expression", "Requires-Python"):
        if not metadata.get(field):
            yield f"{distribution.name} has no {field}"
    for target in _RELATIVE_LINK.findall(str(metadata.get_payload())):
        yield f"{distribution.name}: its README links to {target}, which an index does not have"
    if "Operating System :: POSIX :: Linux" not in metadata.get_all("Classifier", []):
        yield f"{distribution.name} does not say on which system it runs"


def _entry_points(archive: ZipFile, metadata_name: str) -> set[str]:
    name = metadata_name.replace("METADATA", "entry_points.txt")
    if name not in archive.namelist():
        return set()
    group, found = "", set()
    for line in archive.read(name).decode().splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif line:
            found.add(f"{group}: {line}")
    return found


def _declared(distribution: Distribution) -> set[str]:
    project = distribution.project
    groups = {**project.get("entry-points", {}), "console_scripts": project.get("scripts", {})}
    return {
        f"{group}: {name} = {target}" for group, names in groups.items()
        for name, target in names.items()
    }  # fmt: skip
