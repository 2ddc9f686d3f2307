"""A text with its lines, its labels, and the columns that its spaces make."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, Final

from qtforge_builtin_plugins.documents.facts.labels import (
    Hit,
    Labels,
    Token,
    fold,
    load_labels,
    tokenize,
)
from qtforge_builtin_plugins.documents.facts.phrases import guess_labels, join_translations

__all__ = ["Cell", "Page"]

# What separates the cells of a line: a tab, three spaces, or a mark with spaces around it.
_CELL_GAP: Final = re.compile(r"\t+| {3,}|(?<=\S) [·|•] (?=\S)")
_WORD: Final = re.compile(r"\w")
_STRONG_BREAK: Final = re.compile(r"[,;·|(]\s*$|\.\s+$|\s[/–]\s*$|[^\W\d_]:\s*$")  # noqa: RUF001
_MOST_LINES: Final = 2_000


class Cell:
    """A part of a line.

    Attributes:
        start: The position of its first character in the text.
        end: The position after its last character.
        column: The character of its line at which it begins, from 0.
    """

    __slots__ = ("column", "end", "start")

    def __init__(self, start: int, end: int, column: int) -> None:
        self.start = start
        self.end = end
        self.column = column


class Page:
    """A text as it is read for labels and values.

    Attributes:
        text: The text.
        folded: The text without case and accents, of the same length.
        labels: The labels that are looked for.
        lines: Start and end of each line that is not empty.
        money: The numbers of a part by its start and end, as `sums.find_money` has read them.
        sentences: The words of each sentence, as `sentences` has read them; None before that.
    """

    def __init__(self, text: str, labels: Labels) -> None:
        self.text = text
        self.folded = fold(text)
        self.labels = labels
        self.lines: list[tuple[int, int]] = []
        at = 0
        for line in text.split("\n"):
            if line.strip():
                self.lines.append((at + len(line) - len(line.lstrip()), at + len(line.rstrip())))
            at += len(line) + 1
        self.money: dict[tuple[int, int], list[Any]] = {}
        self.sentences: list[Any] | None = None
        self._starts = [start for start, _ in self.lines]

    @cached_property
    def tokens(self) -> list[Token]:
        """The words of the text."""
        return tokenize(self.folded)

    @cached_property
    def hits(self) -> list[Hit]:
        """The labels in the text, in order."""
        listed = list(self.labels.find(self.folded, self.tokens))
        joined = join_translations(
            self.folded, self.tokens, listed, partial(load_labels, None)
        )  # fmt: skip
        cells = [(cell.start, cell.end) for cells in self.cells[:_MOST_LINES] for cell in cells]
        return guess_labels(self.folded, cells, joined, self.labels)

    @cached_property
    def _hit_starts(self) -> list[int]:
        return [hit.start for hit in self.hits]

    @cached_property
    def cells(self) -> list[list[Cell]]:
        """The cells of each line."""
        return [self._cells(start, end) for start, end in self.lines]

    def line_at(self, position: int) -> int:
        """Return the index of the line that has a position."""
        return max(0, bisect.bisect_right(self._starts, position) - 1)

    def line(self, index: int) -> str:
        """Return a line's text; empty beyond the last."""
        if not 0 <= index < len(self.lines):
            return ""
        start, end = self.lines[index]
        return self.text[start:end]

    def hits_between(self, start: int, end: int) -> list[Hit]:
        """Return the labels that begin between two positions."""
        first = bisect.bisect_left(self._hit_starts, start)
        last = bisect.bisect_left(self._hit_starts, end)
        return self.hits[first:last]

    def tokens_between(self, start: int, end: int) -> list[Token]:
        """Return the words that begin between two positions."""
        first = bisect.bisect_left(self._token_starts, start)
        last = bisect.bisect_left(self._token_starts, end)
        return self.tokens[first:last]

    @cached_property
    def _token_starts(self) -> list[int]:
        return [token.start for token in self.tokens]

    def cell_of(self, position: int) -> tuple[int, int, Cell]:
        """Return the line, the number and the cell that has a position."""
        index = self.line_at(position)
        cells = self.cells[index]
        number = max((at for at, cell in enumerate(cells) if cell.start <= position), default=0)
        return index, number, cells[number]

    def is_anchored(self, hit: Hit) -> bool:
        """Return whether a label is at the beginning of its cell, or after a comma."""
        _, _, cell = self.cell_of(hit.start)
        before = self.text[cell.start : hit.start]
        return _WORD.search(before) is None or _STRONG_BREAK.search(before) is not None

    def rest(self, hit: Hit) -> tuple[int, int]:
        """Return the part of the label's cell after it, up to the next label in it."""
        _, _, cell = self.cell_of(hit.end - 1)
        end = cell.end
        for other in self.hits_between(hit.end, cell.end):
            if self.is_anchored(other) or self._follows_value(other, hit):
                end = other.start
                break
        return hit.end, max(hit.end, end)

    def _follows_value(self, other: Hit, hit: Hit) -> bool:
        """Return whether another label follows a value on the line, and has one of its own."""
        between = self.text[hit.end : other.start]
        after = self.text[other.end : other.end + 2].strip()
        return any(map(str.isdigit, between)) and after[:1] in (":", ".")

    def _cells(self, start: int, end: int) -> list[Cell]:
        line = self.text[start:end]
        line_start = self.text.rfind("\n", 0, start) + 1
        cells = []
        at = 0
        for gap in (*_CELL_GAP.finditer(line), None):
            until = gap.start() if gap else len(line)
            if line[at:until].strip():
                cells.append(Cell(start + at, start + until, start + at - line_start))
            at = gap.end() if gap else until
        return cells or [Cell(start, end, 0)]

    def below(self, index: int, column: int, number: int, count: int) -> Cell | None:
        """Return the cell under another one, in the next line.

        Args:
            index: The line of the other cell.
            column: Its first character.
            number: Its number in its line.
            count: The number of cells in its line.
        """
        if index + 1 >= len(self.lines):
            return None
        cells = self.cells[index + 1]
        if count > 1 and len(cells) == count:
            return cells[number]
        near = [cell for cell in cells if abs(cell.column - column) <= 2]
        if near:
            return near[0]
        return cells[0] if count == 1 and column < 12 else None

    def spans(self, pieces: Sequence[tuple[int, int]]) -> str:
        """Return some parts of the text on one line."""
        return " ".join(" ".join(self.text[start:end].split()) for start, end in pieces)
