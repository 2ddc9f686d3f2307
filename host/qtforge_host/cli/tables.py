"""Print tables as wide as the terminal, with long texts wrapped within their columns.

Output that is redirected is as wide as its content, with a line for each row.
"""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import Final

from qtforge_host.cli.terminal import echo, plain, raw, style

__all__ = ["table", "table_lines", "terminal_width", "wrapped"]

_GAP: Final = "  "
_NARROW: Final = 10  # a column that is not wider stays so, unless nothing else helps
_LEAST: Final = 6  # to which a column shrinks at most
_PART: Final = re.compile(r"[^ ./_-]*[./_-]+|[^ ./_-]+")


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, whole: Collection[str] = ()
) -> None:
    """Print a table.

    Args:
        header: The titles.
        rows: The cells.
        whole: The titles of columns such as times, which are wrapped only where nothing else
            helps.
    """
    titles = [style(title, bold=True) for title in header]
    kept = [at for at, title in enumerate(header) if title in whole]
    for line in table_lines(titles, [list(row) for row in rows], terminal_width(), kept):
        echo(line)


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where the output is redirected."""
    if not raw(sys.stdout).isatty():
        return None
    return shutil.get_terminal_size().columns


def table_lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int | None,
    whole: Collection[int] = (),
) -> list[str]:
    """Return the lines of a table.

    Args:
        header: The titles.
        rows: The cells; one that `style` has made is not wrapped.
        most: How wide it may be; None for as wide as its content.
        whole: The numbers of columns that are wrapped only where nothing else helps, from 0.

    >>> table_lines(["NAME", "WHY"], [["a", "one two three"]], 14)
    ['NAME  WHY', 'a     one two', '      three']
    """
    widths = [max(map(_width, column)) for column in zip(header, *rows, strict=True)]
    if most is not None:
        _shrink(widths, header, rows, most, whole)
    lines = []
    for row in (header, *rows):
        cells = [
            wrapped(cell, width) if _width(cell) > width else [cell]
            for cell, width in zip(row, widths, strict=True)
        ]
        lines += [_line(parts, widths) for parts in zip_longest(*cells, fillvalue="")]
    return lines


def wrapped(text: str, most: int) -> list[str]:
    """Return a text in lines that are not wider than that.

    A word that is wider is broken after its dots, slashes, hyphens and underscores, or anywhere.

    >>> wrapped("read document.parsed", 9)
    ['read', 'document.', 'parsed']
    """
    lines, line = [], ""
    for word in plain(text).split(" "):
        gap = " " if line else ""
        for part in [word] if _width(word) <= most else _parts(word, most):
            if _width(line + gap + part) <= most:
                line += gap + part
            else:
                lines.append(line)
                line = part
            gap = ""
    return [each for each in (*lines, line) if each] or [""]


def _parts(word: str, most: int) -> list[str]:
    """Return a word in parts that are not wider than that."""
    parts = []
    for part in _PART.findall(word):
        while _width(part) > most:
            end = next(each for each in range(1, len(part)) if _width(part[: each + 1]) > most)
            parts.append(part[:end])
            part = part[end:]
        parts.append(part)
    return parts


def _shrink(
    widths: list[int],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int,
    whole: Collection[int],
) -> None:
    """Make columns narrower, the widest first, until they fit or can't be narrower."""
    columns = [[plain(cell) for cell in column] for column in zip(header, *rows, strict=True)]
    fixed = [
        cells != list(column)
        for cells, column in zip(
            (each[1:] for each in columns), zip(*rows, strict=True), strict=True
        )
    ]
    narrow = [min(width, _NARROW) for width in widths]
    words = [max(_width(word) for cell in cells for word in cell.split(" ")) for cells in columns]
    parts = [
        max(_width(part) for cell in cells for part in ["", *_PART.findall(cell)])
        for cells in columns
    ]
    titles = [
        max(min(width, _LEAST), _width(title)) for width, title in zip(widths, header, strict=True)
    ]
    spare = most - len(_GAP) * (len(widths) - 1)
    kept = [width if at in whole else 0 for at, width in enumerate(widths)]
    for floor in (
        [*map(max, words, narrow, kept)],
        [*map(max, parts, narrow, kept)],
        [*map(max, titles, kept)],
        titles,
    ):
        while sum(widths) > spare:
            open_ = [at for at, width in enumerate(widths) if width > floor[at] and not fixed[at]]
            if not open_:
                break
            widths[max(open_, key=widths.__getitem__)] -= 1


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    ]
    return _GAP.join(padded).rstrip()


def _width(cell: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in plain(cell))
