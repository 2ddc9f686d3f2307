"""A contract's text in sections: where a place is, under which heading, in which sentence."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.pipelines.headings import TextHeading, find_headings

__all__ = ["Quote", "Sections"]

_MOST_QUOTED: Final = 240
# One character for one: places in the plain text are places in the text.
_PLAIN: Final = str.maketrans("“”„«»‘’–—\u00a0", '"""""\'\'-- ')
_SENTENCE_START: Final = re.compile(
    r"(?<=[.!?])\s+(?=[A-ZА-ЯЁÄÖÜ\"(])|\n[^\S\n]*\n\s*|\n(?=\s{0,8}(?:\d{1,2}\.|§|\(?[a-z]\)|[-*•])\s)"
)
# Also "1.1." before its clause and "1." in a German date.
_ABBREVIATION: Final = re.compile(
    r"\b(?:no|nr|art|abs|ст|ltd|inc|co|\w|\d{1,2}(?:\.\d{1,2}){0,3})\.$", re.IGNORECASE
)
_GAP: Final = re.compile(r"[\s.:]*")
_NUMBER: Final = re.compile(
    r"^(?:\d{1,2}(?:\.\d{1,2})*[.)]?|§ ?\d+\w?[.:]?"
    r"|(?:article|section|clause|artikel|abschnitt|статья|раздел)\s+\w+[.:]?)\s+",
    re.IGNORECASE,
)
_PARTS: Final = re.compile(r"\s(?:and|und|и|or|oder|или|&)\s|[,;/]|\.\s", re.IGNORECASE)
_EMPTY: Final = re.compile(
    r"\W*(?:intentionally (?:omitted|left blank)|omitted|reserved|not used|not applicable|n/a|tbd"
    r"|to be (?:agreed|determined|completed)|entfällt|nicht anwendbar|не применяется"
    r"|отсутствует)\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A sentence of the text; ``start`` is where it begins, its text is on one line."""

    start: int
    text: str


class Sections:
    """A text and its headings.

    Attributes:
        plain: The text with plain quotes and hyphens, of the same length.
        headings: In order.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.plain = text.translate(_PLAIN)
        self.headings = tuple(find_headings(text))
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._starts = [self._lines[heading.line - 1] for heading in self.headings]
        self._sentences = self._sentence_starts()

    def line_of(self, index: int) -> int:
        """Return the line of a place, from 1."""
        return bisect.bisect_right(self._lines, index)

    def heading_at(self, index: int) -> TextHeading | None:
        """Return the heading that a place stands under, or None before the first one."""
        position = bisect.bisect_right(self._starts, index)
        return self.headings[position - 1] if position else None

    def titles_of(self, heading: TextHeading) -> list[str]:
        """Return what a heading names: its words without its number, and each part of them.

        "Term and Termination" is about both. The title of the whole text names no section.
        """
        if heading is self.headings[0] and not _NUMBER.match(heading.text):
            return []
        title = _NUMBER.sub("", heading.text.translate(_PLAIN)).rstrip(" .:")
        return [title, *(part.strip() for part in _PARTS.split(title))]

    def body_of(self, heading: TextHeading) -> int | None:
        """Return where a section's text begins; None when it has none, or says so."""
        position = self.headings.index(heading)
        start = self._starts[position] + heading.length
        following = self.headings[position + 1 :]
        # What stands under the headings below it belongs to it.
        end = next(
            (
                each_start
                for each, each_start in zip(following, self._starts[position + 1 :], strict=True)
                if each.level <= heading.level
            ),
            len(self._text),
        )
        body = self._text[start:end]
        if not re.search(r"[^\W_]", body) or _EMPTY.match(body.strip()):
            return None
        return start + len(body) - len(body.lstrip(" \t\n.:"))

    def quote(self, start: int, end: int) -> Quote:
        """Return the sentence around a place, cut to 240 characters."""
        first = self._sentences[bisect.bisect_right(self._sentences, start) - 1]
        following = bisect.bisect_left(self._sentences, max(end, first + 1))
        after = self._sentences[following] if following < len(self._sentences) else None
        if end - first > _MOST_QUOTED:
            # So long a sentence is quoted from a little before the place on.
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
        for heading, start in zip(self.headings, self._starts, strict=True):
            end = start + heading.length
            starts |= {start, end + len(_GAP.match(self._text, end)[0])}  # type: ignore[index]
        return sorted(starts)
