"""Print tables as wide as the terminal.

What does not fit is shortened, with an ellipsis, in the columns that a table names for it, the
least important first; then long texts are wrapped within the others. Output that is redirected
is as wide as its content, with a line for each row, so that a program can read whole cells.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import Final

from qtforge_host.cli.terminal import echo, plain, raw, style, terminal_size

__all__ = ["shortened", "table", "table_lines", "terminal_width", "text_width", "wrapped"]

_GAP: Final = "  "
_NARROW: Final = 10  # a column that is not wider stays so, unless nothing else helps
_LEAST: Final = 6  # to which a column shrinks at most
_SHORT: Final = 12  # to which a text is shortened at most
_PART: Final = re.compile(r"[^ ./_-]*[./_-]+|[^ ./_-]+")


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    whole: Collection[str] = (),
    short: Sequence[str] = (),
    paths: Collection[str] = (),
) -> None:
    """Print a table.

    On a terminal, a column without any text is left out, and so are columns that would be
    shortened to nothing readable; a line says which.

    Args:
        header: The titles.
        rows: The cells.
        whole: The titles of columns such as times, which are wrapped only where nothing else
            helps.
        short: The titles of columns that are shortened where the table is too wide, the least
            important first; those that are in ``whole`` too are never left out.
        paths: The titles of those of them of which the end is shown, not the beginning.
    """
    cells = [list(row) for row in rows]
    most = terminal_width()
    shown = list(range(len(header)))
    optional = [header.index(title) for title in short]
    hidden: list[int] = []
    if most is not None:
        if cells:
            shown = [at for at in shown if any(row[at] for row in cells)]
        may_go = [at for at in optional if at in shown and header[at] not in whole]
        hidden = _left_out(header, cells, most, shown, may_go)
        shown = [at for at in shown if at not in hidden]
    for line in table_lines(
        [style(header[at], bold=True) for at in shown],
        [[row[at] for at in shown] for row in cells],
        most,
        [at for at, each in enumerate(shown) if header[each] in whole],
        short=[shown.index(at) for at in optional if at in shown],
        paths=[at for at, each in enumerate(shown) if header[each] in paths],
    ):
        echo(line)
    if hidden:
        names = " and ".join(header[at] for at in hidden)
        note = f"left out: {names}; a wider terminal, a file or --json has it"
        for line in wrapped(note, most or text_width(note)):
            echo(style(line, dim=True))


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where the output is redirected."""
    if not raw(sys.stdout).isatty():
        return None
    return terminal_size().columns


def table_lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int | None,
    whole: Collection[int] = (),
    *,
    short: Sequence[int] = (),
    paths: Collection[int] = (),
) -> list[str]:
    """Return the lines of a table.

    Args:
        header: The titles.
        rows: The cells; one that `style` has made is neither shortened nor wrapped.
        most: How wide it may be; None for as wide as its content.
        whole: The numbers of columns that are wrapped only where nothing else helps, from 0.
        short: The numbers of columns that are shortened, in this order.
        paths: The numbers of those of them that are shortened at their beginning.

    >>> table_lines(["NAME", "WHY"], [["a", "one two three"]], 14)
    ['NAME  WHY', 'a     one two', '      three']
    >>> table_lines(["NAME", "ACCEPTS"], [["a", "message.size < 1024"]], 20, short=[1])
    ['NAME  ACCEPTS', 'a     message.size …']
    """
    widths = [max(map(text_width, column)) for column in zip(header, *rows, strict=True)]
    if most is not None:
        rows = _shorten(widths, header, rows, most, short, paths)
        _shrink(widths, header, rows, most, {*whole, *short})
    lines = []
    for row in (header, *rows):
        cells = [
            wrapped(cell, width) if text_width(cell) > width else [cell]
            for cell, width in zip(row, widths, strict=True)
        ]
        lines += [_line(parts, widths) for parts in zip_longest(*cells, fillvalue="")]
    return lines


def shortened(text: str, most: int, *, at_end: bool = True) -> str:
    """Return a text that is not wider than that, with an ellipsis for what is left out.

    Args:
        text: The text; one that fits is returned as it is, with the colours of `style`.
        most: How wide it may be, in columns of the terminal.
        at_end: Whether its end is left out, not its beginning.

    >>> shortened("document-processing", 9), shortened("/srv/in/a.toml", 8, at_end=False)
    ('document…', '…/a.toml')
    """
    if text_width(text) <= most:
        return text
    characters = plain(text) if at_end else plain(text)[::-1]
    width, end = 1, 0  # the ellipsis is one column wide
    while (width := width + text_width(characters[end])) <= most:
        end += 1
    kept = characters[:end]
    return f"{kept}…" if at_end else f"…{kept[::-1]}"


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes, without the colours of `style`.

    >>> text_width("日本"), text_width("e\u0301")
    (4, 1)
    """
    shown = plain(text)
    return len(shown) if shown.isascii() else sum(map(_character_width, shown))


def wrapped(text: str, most: int) -> list[str]:
    """Return a text in lines that are not wider than that.

    A word that is wider is broken after its dots, slashes, hyphens and underscores, or anywhere.

    >>> wrapped("read document.parsed", 9)
    ['read', 'document.', 'parsed']
    """
    lines, line = [], ""
    for word in plain(text).split(" "):
        gap = " " if line else ""
        for part in [word] if text_width(word) <= most else _parts(word, most):
            if text_width(line + gap + part) <= most:
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
        while text_width(part) > most:
            end = next(each for each in range(1, len(part)) if text_width(part[: each + 1]) > most)
            parts.append(part[:end])
            part = part[end:]
        parts.append(part)
    return parts


def _left_out(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int,
    shown: Sequence[int],
    optional: Sequence[int],
) -> list[int]:
    """Return the columns without which the table fits, the least important first."""
    least = {at: max(map(text_width, [header[at], *(row[at] for row in rows)])) for at in shown}
    for at in optional:
        least[at] = min(least[at], max(text_width(header[at]), _SHORT))
    hidden = []
    for at in optional:
        if sum(least.values()) + len(_GAP) * (len(least) - 1) <= most:
            break
        hidden.append(at)
        del least[at]
    return hidden


def _shorten(
    widths: list[int],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int,
    short: Sequence[int],
    paths: Collection[int],
) -> list[list[str]]:
    """Make columns narrower by shortening their texts; return the rows then."""
    spare = most - len(_GAP) * (len(widths) - 1)
    for at in short:
        least = min(widths[at], max(text_width(header[at]), _SHORT))
        widths[at] = max(least, widths[at] - max(sum(widths) - spare, 0))
    return [
        [
            shortened(cell, widths[at], at_end=at not in paths) if at in short else cell
            for at, cell in enumerate(row)
        ]
        for row in rows
    ]


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
    words = [
        max(text_width(word) for cell in cells for word in cell.split(" ")) for cells in columns
    ]
    parts = [
        max(text_width(part) for cell in cells for part in ["", *_PART.findall(cell)])
        for cells in columns
    ]
    titles = [
        max(min(width, _LEAST), text_width(title))
        for width, title in zip(widths, header, strict=True)
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
        cell + " " * (width - text_width(cell)) for cell, width in zip(cells, widths, strict=True)
    ]
    return _GAP.join(padded).rstrip()


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):  # drawn over the one before
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
