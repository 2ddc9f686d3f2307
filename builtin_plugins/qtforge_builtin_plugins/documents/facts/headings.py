"""Values in the row below a row of their labels: Invoice Date Customer / 17 3/3/2026 C-8.

A narrow table has single spaces between its columns, labels of several words, and columns whose
labels are in no list. So the two rows are aligned as a whole: a day is below the label of a day,
and a column that is not known may have several words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import Hit
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["PlacedCell", "align_headings"]

_MOST_LINES: Final = 120
_MOST_LINE: Final = 160
_MOST_COLUMNS: Final = 16
_LEAST_LABELS: Final = 3
_LEAST_PAIRS: Final = 2
_WORDS: Final = re.compile(r"\S+")
_LETTERS: Final = re.compile(r"[^\W\d_]")
_MATCHED: Final = 2.0
_UNKNOWN: Final = 1.0
_LEFT_OUT: Final = -3.0
_FURTHER: Final = -0.1  # each further word of a column that is not known


@dataclass(frozen=True, slots=True)
class PlacedCell:
    """A value of a row.

    Attributes:
        text: As written.
        start: Its position.
        end: The position after it.
        day: ISO 8601 if it is a day, or None.
    """

    text: str
    start: int
    end: int
    day: str | None


def align_headings(
    page: Page,
    days: Callable[[str], list[tuple[int, int, str]]],
    fits: Callable[[Hit, PlacedCell], bool],
    is_field: Callable[[Hit], bool],
) -> Iterator[tuple[Hit, PlacedCell]]:
    """Yield each label of a row of labels with the value below it.

    Args:
        page: The text.
        days: Returns start, end and value of the days in a text.
        fits: Whether a value may be that of a label.
        is_field: Whether a label is one of a number or a day.
    """
    for index in range(min(len(page.lines) - 1, _MOST_LINES)):
        start, end = page.lines[index]
        if end - start > _MOST_LINE or any(map(str.isdigit, page.text[start:end])):
            continue
        labels = sum(map(is_field, page.hits_between(start, end)))
        if labels < _LEAST_LABELS - 1:  # a title may be one more
            continue
        hits = _with_titles(page, start, end)
        if sum(map(is_field, hits)) < _LEAST_LABELS:
            continue
        columns = _columns(page, start, end, hits)
        values = _values(page, index + 1, days)
        if len(columns) > _MOST_COLUMNS or not len(hits) <= len(values) <= 2 * _MOST_COLUMNS:
            continue
        pairs = _align(columns, values, fits)
        named = [(hit, value) for hit, value in pairs if is_field(hit)]
        if len(named) >= _LEAST_PAIRS:
            yield from named


def _with_titles(page: Page, start: int, end: int) -> list[Hit]:
    """Return the labels of a line, with the names of documents as labels of their numbers."""
    hits = [hit for hit in page.hits_between(start, end) if hit.end <= end]
    titles = page.labels.find_titles(page.folded, page.tokens_between(start, end))
    hits += [
        Hit(("number",), title_start, title_end, strong=True)
        for _, title_start, title_end in titles
        if not any(hit.start < title_end and title_start < hit.end for hit in hits)
    ]
    return sorted(hits, key=lambda hit: hit.start)


def _columns(page: Page, start: int, end: int, hits: Sequence[Hit]) -> list[Hit | None]:
    """Return the columns of a row of labels; None for words between them that are none."""
    columns: list[Hit | None] = []
    at = start
    for hit in hits:
        if hit.start < at:
            continue
        if _LETTERS.search(page.text, at, hit.start):
            columns.append(None)
        columns.append(hit)
        at = hit.end
    if _LETTERS.search(page.text, at, end):
        columns.append(None)
    return columns


def _values(
    page: Page, index: int, days: Callable[[str], list[tuple[int, int, str]]]
) -> list[PlacedCell]:
    """Return the words and days of a row; none for one with labels of its own."""
    start, end = page.lines[index]
    line = page.text[start:end]
    if len(line) > _MOST_LINE or line.endswith((".", ":")):
        return []
    placed = [PlacedCell(line[a:b], start + a, start + b, day) for a, b, day in days(line)]
    words = [
        PlacedCell(match[0], start + match.start(), start + match.end(), None)
        for match in _WORDS.finditer(line)
        if not any(each.start < start + match.end() and start + match.start() < each.end
                   for each in placed)
    ]  # fmt: skip
    return sorted([*placed, *words], key=lambda each: each.start)


def _align(
    columns: Sequence[Hit | None],
    values: Sequence[PlacedCell],
    fits: Callable[[Hit, PlacedCell], bool],
) -> list[tuple[Hit, PlacedCell]]:
    """Return the best alignment, in which no two columns change places."""

    @cache
    def best(column: int, value: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        if column == len(columns):
            return _LEFT_OUT * (len(values) - value), ()
        hit = columns[column]
        score, pairs = best(column + 1, value)
        options = [(score + (_LEFT_OUT if hit else 0.0), pairs)]
        if value < len(values):
            if hit is None:
                for until in range(value + 1, len(values) + 1):
                    score, pairs = best(column + 1, until)
                    further = _FURTHER * (until - value - 1)
                    options.append((score + _UNKNOWN + further, pairs))
            elif fits(hit, values[value]):
                score, pairs = best(column + 1, value + 1)
                options.append((score + _MATCHED, ((column, value), *pairs)))
        return max(options, key=lambda option: option[0])

    return [
        (hit, values[value])
        for column, value in best(0, 0)[1]
        if (hit := columns[column]) is not None
    ]
