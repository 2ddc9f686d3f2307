"""A contract's text in sections: the line, the heading and the sentence of a position."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.pipelines.headings import (
    SPANISH_ORDINAL,
    TextHeading,
    find_headings,
)
from qtforge_sdk.messages import Section as MarkedSection

__all__ = ["Quote", "Section", "Sections"]

_MOST_QUOTED: Final = 240
# One character for one, so that positions in the plain text are positions in the text.
_PLAIN: Final = str.maketrans("“”„«»‘’–—\u00a0", '"""""\'\'-- ')
_SENTENCE_START: Final = re.compile(
    r"(?<=[.!?])\s+(?=[A-ZÀ-ÖØ-ÞĞİŞŒА-ЯЁ\"(¿¡])|\n[^\S\n]*\n\s*|\n(?=\s{0,8}(?:\d{1,2}\.|§|\(?[a-z]\)|[-*•])\s)"
)
# Also "1.1." before its clause and "1." in a German date.
_ABBREVIATION: Final = re.compile(
    r"\b(?:no|nr|art|abs|ст|ltd|inc|co|\w|\d{1,2}(?:\.\d{1,2}){0,3})\.$", re.IGNORECASE
)
_BEGINNING: Final = 2_000  # characters of a section that show whether it is empty
_WORD: Final = re.compile(r"[^\W_]")
_GAP: Final = re.compile(r"[\s.:]*")
_NUMBER: Final = re.compile(
    r"^(?:\d{1,2}(?:\.\d{1,2})*[.)]?|§ ?\d+\w?[.:]?"
    r"|(?:article|section|clause|artikel|abschnitt|статья|раздел|artículo|cláusula|articolo|art\."
    r"|clausola|madde|bölüm)\s+\w+[.:º°]?(?:\s*[—–-])?"
    rf"|{SPANISH_ORDINAL}[.:](?:\s*[—–-])?)\s+",
    re.IGNORECASE,
)
_PARTS: Final = re.compile(
    r"\s(?:and|und|и|or|oder|или|et|ou|y|e|o|en|ve|veya|&)\s|[,;/]|\.\s", re.IGNORECASE
)
_EMPTY: Final = re.compile(
    r"\W*(?:intentionally (?:omitted|left blank)|omitted|reserved|not used|not applicable|n/a|tbd"
    r"|to be (?:agreed|determined|completed)|entfällt|nicht anwendbar|не применяется"
    r"|отсутствует|sans objet|non applicable|réservé|sin contenido|no aplica|reservado"
    r"|non applicabile|riservato|niet van toepassing|vervallen|uygulanmaz|yoktur)\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A sentence of the text: the position of its start, and its text on one line."""

    start: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and the text below it.

    Attributes:
        heading: Its heading.
        names: The subjects in the heading: its words without number, and each part of them, so
            that "Term and Termination" has both. The title of the whole text has none.
        body: The position where its text starts; None when it is empty or declared empty.
    """

    heading: TextHeading
    names: tuple[str, ...]
    body: int | None


class Sections:
    """A text and its sections.

    Args:
        text: The text.
        marked: The headings that its format marks, as ``document.parse`` answers them.

    Attributes:
        plain: The text with plain quotes and hyphens, of the same length.
        sections: In order.
    """

    def __init__(self, text: str, marked: Sequence[MarkedSection] = ()) -> None:
        self._text = text
        self.plain = text.translate(_PLAIN)
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        headings = _with_marked(list(find_headings(text)), marked, text.split("\n"))
        self._starts = [self._lines[heading.line - 1] for heading in headings]
        ends = self._ends(headings)
        self.sections = tuple(
            Section(
                heading=heading,
                names=_names(heading, is_first=index == 0),
                body=self._body(self._starts[index] + heading.length, ends[index]),
            )
            for index, heading in enumerate(headings)
        )
        self._sentences = self._sentence_starts()

    def line_of(self, index: int) -> int:
        """Return the line of a position, from 1."""
        return bisect.bisect_right(self._lines, index)

    def heading_at(self, index: int) -> TextHeading | None:
        """Return the heading above a position, or None before the first heading."""
        position = bisect.bisect_right(self._starts, index)
        return self.sections[position - 1].heading if position else None

    def is_bare_heading(self, start: int, end: int) -> bool:
        """Return whether a range lies in the heading of a section that is empty."""
        position = bisect.bisect_right(self._starts, start) - 1
        if position < 0 or self.sections[position].body is not None:
            return False
        return end <= self._starts[position] + self.sections[position].heading.length

    def _ends(self, headings: Sequence[TextHeading]) -> list[int]:
        """Return the end of each section, which includes the sections of its subheadings."""
        following: dict[int, int] = {}
        ends: list[int] = []
        for heading, start in zip(reversed(headings), reversed(self._starts), strict=True):
            higher = (at for level, at in following.items() if level <= heading.level)
            ends.append(min(higher, default=len(self._text)))
            following[heading.level] = start
        return ends[::-1]

    def _body(self, start: int, end: int) -> int | None:
        body = self._text[start : min(end, start + _BEGINNING)]
        if not _WORD.search(body) or _EMPTY.match(body.strip()):
            return None
        return start + len(body) - len(body.lstrip(" \t\n.:"))

    def quote(self, start: int, end: int) -> Quote:
        """Return the sentence around a position, cut to 240 characters."""
        first = self._sentences[bisect.bisect_right(self._sentences, start) - 1]
        following = bisect.bisect_left(self._sentences, max(end, first + 1))
        after = self._sentences[following] if following < len(self._sentences) else None
        if end - first > _MOST_QUOTED:
            # A long sentence is quoted from a little before the position.
            first = self._text.find(" ", max(first, start - _MOST_QUOTED // 3), start) + 1 or start
        words = " ".join(self._text[first:after].split())
        if len(words) > _MOST_QUOTED:
            words = words[: _MOST_QUOTED - 2].rpartition(" ")[0] + " …"
        return Quote(start=first, text=words)

    def _sentence_starts(self) -> list[int]:
        starts = {0}
        for match in _SENTENCE_START.finditer(self._text):
            if not _ABBREVIATION.search(self._text, max(0, match.start() - 12), match.start()):
                starts.add(match.end())
        for section, start in zip(self.sections, self._starts, strict=True):
            end = start + section.heading.length
            gap = _GAP.match(self._text, end)
            starts |= {start, gap.end() if gap else end}
        return sorted(starts)


def _with_marked(
    found: Sequence[TextHeading], marked: Sequence[MarkedSection], lines: Sequence[str]
) -> list[TextHeading]:
    """Return the headings of the text with those that its format marks, in order."""
    by_line = {heading.line: heading for heading in found}
    for each in marked:
        # A redacted heading has other words; its line is the same.
        line = lines[each.line - 1] if 0 < each.line <= len(lines) else ""
        if each.line not in by_line and line.strip():
            by_line[each.line] = TextHeading(
                level=each.level, text=" ".join(line.split()), line=each.line, length=len(line)
            )
    return [by_line[line] for line in sorted(by_line)]


def _names(heading: TextHeading, *, is_first: bool) -> tuple[str, ...]:
    if is_first and not _NUMBER.match(heading.text):
        return ()
    title = _NUMBER.sub("", heading.text.translate(_PLAIN)).rstrip(" .:")
    return (title, *(part.strip() for part in _PARTS.split(title)))
