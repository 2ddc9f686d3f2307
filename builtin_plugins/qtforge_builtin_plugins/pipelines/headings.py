"""Recognise headings in the lines of a plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

__all__ = ["SPANISH_ORDINAL", "TextHeading", "find_headings"]

SPANISH_ORDINAL: Final = r"(?:primer|segund|tercer|cuart|quint|sext|séptim|octav|noven|décim)[ao]"
"""The number of a clause of a Spanish contract: Primera, before a full stop or a colon."""

_MOST_CHARACTERS: Final = 90
_MOST_WORDS: Final = 12
_MOST_STOPPED: Final = 4  # words of a title that ends in a full stop
_LEAST_FOLLOWING: Final = 40  # what follows a bare title is a paragraph, not another short line
_NUMBERED: Final = re.compile(
    r"\s{0,8}(?:(?P<number>\d{1,2}(?:\.\d{1,2}){0,3})(?P<mark>[.)]?[ \t]+)"
    r"|§ ?\d{1,3}[a-z]?[.:]?[ \t]+"
    r"|(?:article|section|clause|annex|schedule|appendix|chapter|part|artikel|abschnitt|anlage"
    r"|kapitel|статья|раздел|приложение|глава|annexe|chapitre|artículo|cláusula|anexo|capítulo"
    r"|articolo|art\.|clausola|allegato|capo|hoofdstuk|bijlage|madde|bölüm|ek)"
    r"[ \t]+(?:\d{1,3}(?:er|º|°)?|[ivxlc]{1,6}|[a-d]|premier)\b[.:º°]?(?:[ \t]*[—–-])?[ \t]*"  # noqa: RUF001
    rf"|{SPANISH_ORDINAL}[.:][ \t]*"
    r"(?:[—–-][ \t]*)?)"  # noqa: RUF001
    r"(?P<text>.*)$",
    re.IGNORECASE,
)
# 5. Term and Termination. This agreement begins
_RUN_IN: Final = re.compile(r"(?P<title>[^\W\d_][^.:\n]{2,70})[.:]\s+\S")
_SMALL_WORDS: Final = frozenset(
    ["a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"]
)
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_SENTENCE_END: Final = (".", ",", ";", ":", "!", "?", "…", "-", "|")


class TextHeading(msgspec.Struct, frozen=True, kw_only=True):
    """A heading.

    Attributes:
        level: The level, from 1.
        text: The heading on one line, with its number, without other text of the line.
        line: The line, from 1.
        length: Its length in characters; less than the line's for a run-in heading.
    """

    level: int
    text: str
    line: int
    length: int


def find_headings(text: str) -> Iterator[TextHeading]:
    """Yield the lines that look like headings, in order.

    These are numbered titles (``5.1 Term``, ``§ 3 Haftung``), numbered titles run into their
    paragraph, lines in capitals, and short single lines before a paragraph.
    """
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if line.strip():
            found = _numbered(lines, index) or _bare(lines, index)
            if found is not None:
                yield found


def _numbered(lines: Sequence[str], index: int) -> TextHeading | None:
    line = lines[index]
    match = _NUMBERED.match(line)
    if match is None or not match["text"]:
        return None
    number, title = match["number"] or "", match["text"].strip()
    level = number.count(".") + 1
    if not title[:1].isupper():
        return None
    # "1. Предмет договора." is a title if 1.1 follows; otherwise it is an item of a list.
    is_followed = bool(number) and _following(lines, index).lstrip().startswith(f"{number}.1")
    # "1 Definitions", but not "7 Marine Parade" or "2 May 2026".
    is_marked = "." in number or match["mark"] not in (" ", "\u00a0")
    if is_followed and len(title.split()) <= _MOST_WORDS:
        return _heading(level, line.strip(), index, len(line))
    if is_marked and _is_title(title) and not _is_list_item(lines, index, number):
        return _heading(level, line.strip(), index, len(line))
    run_in = _RUN_IN.match(match["text"])
    if number and run_in is not None and _is_title_case(run_in["title"]):
        end = match.start("text") + run_in.end("title")
        return _heading(level, line[:end].strip(), index, end)
    return None


def _bare(lines: Sequence[str], index: int) -> TextHeading | None:
    line = lines[index]
    stripped = line.strip()
    if _is_title_with_stop(stripped):
        stripped = stripped[:-1]
    alone = (index == 0 or not lines[index - 1].strip()) and (
        index + 1 == len(lines) or not lines[index + 1].strip()
    )
    letters = "".join(_LETTERS.findall(stripped))
    if not alone or len(letters) < 4 or not _is_title(stripped) or "\t" in stripped:
        return None
    if letters.isupper():
        return _heading(1, stripped, index, len(line))
    following = _following(lines, index)
    if (
        stripped[0].isupper()
        and len(letters) >= 0.7 * len(stripped.replace(" ", ""))
        and (
            len(following) >= _LEAST_FOLLOWING
            or _NUMBERED.match(following)
            or following.rstrip().endswith(".")
        )
    ):
        return _heading(1 if index == 0 else 2, stripped, index, len(line))
    return None


def _heading(level: int, text: str, index: int, length: int) -> TextHeading:
    return TextHeading(level=level, text=" ".join(text.split()), line=index + 1, length=length)


def _is_title(text: str) -> bool:
    return (
        len(text) <= _MOST_CHARACTERS
        and len(text.split()) <= _MOST_WORDS
        and not text.endswith(_SENTENCE_END)
    )


def _is_title_with_stop(text: str) -> bool:
    """Return whether a line is a short title with a full stop, such as ``Governing Law.``."""
    words = text.split()
    return text.endswith(".") and len(words) <= _MOST_STOPPED and _is_title_case(text[:-1])


def _is_title_case(text: str) -> bool:
    words = text.split()
    return len(words) <= _MOST_WORDS and all(
        word[:1].isupper() or word.lower() in _SMALL_WORDS for word in words
    )


def _is_list_item(lines: Sequence[str], index: int, number: str) -> bool:
    """Return whether it is an item of a list: the next line has a number of the same level."""
    if not number:
        return False
    match = _NUMBERED.match(_following(lines, index))
    return match is not None and (match["number"] or "").count(".") == number.count(".") and bool(
        match["number"]
    )  # fmt: skip


def _following(lines: Sequence[str], index: int) -> str:
    return next((line for line in lines[index + 1 : index + 6] if line.strip()), "")
