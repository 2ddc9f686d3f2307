"""The labels of Word's lists, such as "2.1" and "(b)", which stand in no text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from lxml import etree

from qtforge_builtin_plugins.documents.formats.styles import Styles, W, is_on, value

__all__ = ["Numbering"]

_PLACE: Final = re.compile(r"%([1-9])")
_RUSSIAN: Final = "абвгдежзиклмнопрстуфхцчшщэюя"
_ROMAN: Final = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


class _Level(msgspec.Struct, frozen=True, kw_only=True):
    start: int
    format: str
    text: str
    restart: int | None  # the level, from 1, after which it begins again; 0 for never
    legal: bool
    style: str


class _List(msgspec.Struct, frozen=True, kw_only=True):
    abstract: str
    levels: Mapping[int, _Level]
    starts: Mapping[int, int]


class Numbering:
    """Counts the paragraphs of each list, in the order of the document.

    Args:
        root: The part with the lists, or None.
        styles: The document's styles.
    """

    def __init__(self, root: etree._Element | None, styles: Styles) -> None:
        self._styles = styles
        self._lists = {} if root is None else _lists(root)
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()

    def label(self, properties: etree._Element | None) -> str:
        """Count a paragraph, and return its label with a space, or ""."""
        number, level_text, style = self._styles.numbering(properties)
        found = self._lists.get(number)
        if found is None:
            return ""
        by_style = next(
            (at for at, each in found.levels.items() if style and each.style == style), 0
        )
        level = int(level_text) if level_text.isdecimal() else by_style
        kind = found.levels.get(level)
        if kind is None:
            return ""
        counts = self._counts.setdefault(found.abstract, {})
        if level in found.starts and (number, level) not in self._begun:
            counts[level] = found.starts[level] - 1
        self._begun.add((number, level))
        counts[level] = counts.get(level, kind.start - 1) + 1
        for deeper in [at for at in counts if at > level]:
            restart = found.levels[deeper].restart if deeper in found.levels else None
            if restart is None or 0 < level + 1 <= restart:
                del counts[deeper]
        if kind.format == "bullet":
            return "- "
        text = _PLACE.sub(lambda match: _written(found, counts, int(match[1]) - 1, kind), kind.text)
        return f"{text} " if text.strip() else ""


def _written(found: _List, counts: Mapping[int, int], at: int, kind: _Level) -> str:
    level = found.levels.get(at)
    if level is None:
        return ""
    count = counts.get(at, level.start)
    return str(count) if kind.legal else _FORMATS.get(level.format, str)(count)


def _lists(root: etree._Element) -> dict[str, _List]:
    abstracts = {
        value(each, "abstractNumId"): {
            int(value(level, "ilvl") or 0): _level(level) for level in each.findall(f"{W}lvl")
        }
        for each in root.findall(f"{W}abstractNum")
    }
    found = {}
    for each in root.findall(f"{W}num"):
        abstract = value(each.find(f"{W}abstractNumId"), "val")
        levels = dict(abstracts.get(abstract, {}))
        starts = {}
        for override in each.findall(f"{W}lvlOverride"):
            at = int(value(override, "ilvl") or 0)
            own = override.find(f"{W}lvl")
            if own is not None:
                levels[at] = _level(own)
            start = value(override.find(f"{W}startOverride"), "val")
            if start.isdecimal():
                starts[at] = int(start)
        found[value(each, "numId")] = _List(abstract=abstract, levels=levels, starts=starts)
    return found


def _level(element: etree._Element) -> _Level:
    start = value(element.find(f"{W}start"), "val")
    restart = value(element.find(f"{W}lvlRestart"), "val")
    return _Level(
        start=int(start) if start.isdecimal() else 0,
        format=value(element.find(f"{W}numFmt"), "val") or "decimal",
        text=value(element.find(f"{W}lvlText"), "val"),
        restart=int(restart) if restart.isdecimal() else None,
        legal=is_on(element.find(f"{W}isLgl")),
        style=value(element.find(f"{W}pStyle"), "val"),
    )


def _letters(alphabet: str) -> Callable[[int], str]:
    # After z comes aa, then bb: a letter is repeated.
    def written(count: int) -> str:
        if not 0 < count <= 100 * len(alphabet):
            return str(count)
        return alphabet[(count - 1) % len(alphabet)] * ((count - 1) // len(alphabet) + 1)

    return written


def _roman(count: int) -> str:
    if not 0 < count < 4000:
        return str(count)
    text = ""
    for worth, letters in _ROMAN:
        text += letters * (count // worth)
        count %= worth
    return text


_FORMATS: Final[Mapping[str, Callable[[int], str]]] = MappingProxyType(
    {
        "decimalZero": lambda count: f"{count:02}",
        "lowerLetter": _letters("abcdefghijklmnopqrstuvwxyz"),
        "upperLetter": _letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        "lowerRoman": _roman,
        "upperRoman": lambda count: _roman(count).upper(),
        "russianLower": _letters(_RUSSIAN),
        "russianUpper": _letters(_RUSSIAN.upper()),
        "none": lambda count: "",
    }
)
