"""Lay out the Markdown for Sphinx: links that lead out of the site become links to the source."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from tools.site.contents import REPOSITORY, ROOT, Contents, staged_name
from tools.site.pictures import draw_pictures
from tools.site.reference import GENERATORS

__all__ = ["LinkError", "stage"]

_LINK: Final = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
_OURS: Final = re.compile(rf"{re.escape(REPOSITORY)}/(?:blob|tree)/main/(.+)")
_FENCE: Final = re.compile(r"^(```|~~~)")
_THEME: Final = Path(__file__).resolve().parent / "theme"


class LinkError(Exception):
    """A page has a link that leads nowhere."""


def stage(contents: Contents, folder: Path, version: str) -> None:
    """Write everything that Sphinx reads into a folder.

    Args:
        contents: The pages.
        folder: The folder; what is in it is replaced.
        version: The minor version that the site is of, such as ``1.0``.

    Raises:
        LinkError: A page links to a file that is not there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_THEME, folder)
    for source, target in contents.staged.items():
        if target != "index.md":
            text = (ROOT / source).read_text(encoding="utf-8")
            page = draw_pictures(relink(text, source, contents))
            _write(folder / target, f"{page}\n{_inner_tree(source, contents)}")
    for name, generate in GENERATORS.items():
        for page, text in generate(f"reference/{name}").items():
            # Their third headings are too many for a list of what is on a page.
            _write(folder / page, f"---\ntocdepth: 2\n---\n\n{text}")
    _write(folder / "index.md", _home(contents, version))


def relink(text: str, source: str, contents: Contents) -> str:
    """Return a page's text with each link as it must be on the site.

    Args:
        text: The page.
        source: Its path in the repository.
        contents: The pages.

    Raises:
        LinkError: A link leads to no file of the repository.
    """
    target = PurePosixPath(contents.staged[source])

    def rewritten(found: re.Match[str]) -> str:
        place, _, anchor = found[1].partition("#")
        ours = _OURS.match(place)
        if not place or (ours is None and re.match(r"[a-z]+:", place)):
            return found[0]
        # A distribution's README is read alone too, so its links are those of the repository.
        named = os.path.normpath(PurePosixPath(source).parent / place) if ours is None else ours[1]
        if named in contents.staged:
            there = os.path.relpath(contents.staged[named], target.parent)
        elif (ROOT / named).exists():
            kind = "tree" if (ROOT / named).is_dir() else "blob"
            there = f"{REPOSITORY}/{kind}/main/{named}"
        else:
            raise LinkError(f"{source}: {found[1]} leads nowhere")
        return f"]({there}#{anchor})" if anchor else f"]({there})"

    return _outside_of_code(text, lambda line: _LINK.sub(rewritten, line))


def _outside_of_code(text: str, change: Callable[[str], str]) -> str:
    """Change each line that is not in a fenced block."""
    lines, fenced = [], False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            fenced = not fenced
        lines.append(line if fenced else change(line))
    return "".join(lines)


def _home(contents: Contents, version: str) -> str:
    """Return the home page: what it is, the shortest example, and a card for each section."""
    cards, trees = [], []
    for section in contents.sections:
        pages = [staged_name(page) for page in section.pages]
        cards.append(f"- [**{section.title}**]({pages[0]})\n\n  {section.about}\n")
        entries = "\n".join(
            f"{contents.titles[name]} <{page}>" if name in contents.titles else page
            for name, page in zip(section.pages, pages, strict=True)
        )
        trees.append(f"```{{toctree}}\n:caption: {section.title}\n:hidden:\n\n{entries}\n```\n")
    text = (_THEME / "home.md").read_text(encoding="utf-8")
    return text.format(version=version, cards="\n".join(cards), trees="\n".join(trees))


def _inner_tree(source: str, contents: Contents) -> str:
    """Return the list of the pages that come with a folder's README, for the sidebar."""
    if not source.endswith("/README.md") or not source.startswith("docs/"):
        return ""
    folder = source.removesuffix("README.md")
    inner = [
        each.removeprefix(folder)
        for each in sorted(contents.staged)
        if each.startswith(folder) and each != source and "/" not in each.removeprefix(folder)
    ]
    entries = "\n".join(inner)
    return f"```{{toctree}}\n:hidden:\n\n{entries}\n```\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
