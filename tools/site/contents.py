"""The site's order, read from ``docs/site.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

__all__ = ["GENERATED", "REPOSITORY", "ROOT", "Contents", "Section", "read_contents"]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
REPOSITORY: Final = "https://github.com/qtforge/qtforge-host"
GENERATED: Final = "GENERATED/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A group of pages in the sidebar.

    Attributes:
        title: Its heading.
        about: One sentence for the home page.
        pages: Its pages, as ``docs/site.toml`` names them.
    """

    title: str
    about: str
    pages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All pages of the site.

    Attributes:
        sections: The sections, in order.
        titles: Short titles of pages, by the pages' names.
    """

    sections: tuple[Section, ...]
    titles: dict[str, str]

    @cached_property
    def staged(self) -> dict[str, str]:
        """Where each source is on the site: its path in the repository to its path there."""
        placed = {}
        for name in (page for section in self.sections for page in section.pages):
            if not name.startswith(GENERATED):
                placed[source_of(name)] = staged_name(name)
        # A folder's pages beside its README, such as the decisions, come with it.
        for source in [each for each in placed if each.endswith("/README.md")]:
            folder = ROOT / PurePosixPath(source).parent
            if folder.is_relative_to(ROOT / "docs"):
                for path in sorted(folder.glob("*.md")):
                    inside = path.relative_to(ROOT).as_posix()
                    placed.setdefault(inside, inside.removeprefix("docs/"))
        placed["docs/README.md"] = "index.md"
        return placed


def source_of(page: str) -> str:
    """Return a page's path in the repository."""
    return page[1:] if page.startswith("/") else f"docs/{page}"


def staged_name(page: str) -> str:
    """Return a page's path on the site, in small letters and without ``README``.

    >>> staged_name("tutorial.md"), staged_name("/examples/cluster/README.md")
    ('tutorial.md', 'examples/cluster.md')
    >>> staged_name("GENERATED/cli.md"), staged_name("adr/README.md")
    ('reference/cli.md', 'adr/index.md')
    """
    if page.startswith(GENERATED):
        return f"reference/{page.removeprefix(GENERATED)}"
    if page.startswith("/"):
        return page[1:].replace("/README.md", ".md").lower()
    return page.replace("README.md", "index.md")


def read_contents() -> Contents:
    """Return what ``docs/site.toml`` says."""
    document: dict[str, Any] = tomllib.loads((ROOT / "docs" / "site.toml").read_text("utf-8"))
    sections = tuple(
        Section(title=each["title"], about=each["about"], pages=tuple(each["pages"]))
        for each in document["sections"]
    )
    return Contents(sections=sections, titles=document["titles"])
