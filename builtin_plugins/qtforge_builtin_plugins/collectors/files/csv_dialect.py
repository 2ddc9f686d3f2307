"""The dialect of a CSV file, found by a rule that docs/aggregation.md states.

The rule only looks at the file's beginning, which Python's csv module splits into rows.
Sniffers of libraries were compared on the cases of the tests: DuckDB's reads a file with one
short row as a single column, csv.Sniffer needs no delimiter to find one in words, and clevercsv
takes ``name, first;amount`` for no CSV. None says why it chose what it chose.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.settings import FileParameters

__all__ = ["Dialect", "Start", "found_dialect", "header_rows", "read_start"]

# csv refuses a longer value, so no sample that is not longer can be refused for one.
_SAMPLE_BYTES: Final = 128 * 1024
# A semicolon comes before the comma, which is a decimal mark or text in such a file.
_DELIMITERS: Final = ("\t", ";", "|", ",")
_COMMA_DECIMAL: Final = re.compile(r"-?\d+(,\d+)?")
_DATA: Final = re.compile(
    r"[-+]?[\d.,]*\d[\d.,]*([eE][-+]?\d+)?%?"  # numbers
    r"|\d{1,4}([-./])\d{1,2}\2\d{1,4}([ T]\d{1,2}:\d{2}.*)?"  # dates and moments
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"  # times
)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How a CSV file is written.

    Attributes:
        delimiter: The character between two values.
        quote: The character around a value that has delimiters; "" for none.
        header: Whether the first row has the names of the columns.
        decimal: The decimal mark of its numbers, a point or a comma.
    """

    delimiter: str
    quote: str
    header: bool
    decimal: str = "."


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a file.

    Attributes:
        text: The text, from the first line that is not empty.
        whole: Whether it is the whole file.
        blank_lines: The number of empty lines before it.
    """

    text: str
    whole: bool
    blank_lines: int


def read_start(file: FoundFile, path: Path) -> Start:
    """Return the beginning of a file.

    Args:
        file: The file, for errors.
        path: The path of its content in UTF-8, uncompressed.

    Raises:
        OperationError: ``file.invalid``: it is not in UTF-8.
    """
    with path.open("rb") as stream:
        data = stream.read(_SAMPLE_BYTES + 1)
    whole = len(data) <= _SAMPLE_BYTES
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        text = decoder.decode(data[:_SAMPLE_BYTES], final=whole)
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise invalid(file, "it is not in utf-8", line, "set encoding, such as cp1252") from error
    lines = io.StringIO(text, newline="")
    blank_lines, begin = 0, 0
    for each in lines:
        if each.strip("\r\n"):
            break
        blank_lines, begin = blank_lines + 1, begin + len(each)
    return Start(text=text[begin:], whole=whole, blank_lines=blank_lines)


def found_dialect(
    start: Start, tabs: bool, parameters: FileParameters
) -> tuple[Dialect, list[list[str]]]:
    """Return the dialect of a file's beginning, with the rows that are complete in it.

    Its ``header`` is that of the parameters, or true; `header_rows` finds it.

    Args:
        start: The beginning.
        tabs: Whether the file's suffix says that tabs separate the values.
        parameters: The parameters of the source; what they give is not searched.
    """
    given = parameters.delimiter or ("\t" if tabs else None)
    delimiters = (given,) if given else _DELIMITERS
    best: tuple[tuple[bool, float], str, str, list[list[str]]] | None = None
    for delimiter in delimiters:
        quotes = (parameters.quote,) if parameters.quote is not None else ('"', "'")
        for quote in quotes:
            rows = _split(start, delimiter, quote, strict=parameters.quote is None)
            if not rows:
                continue
            width = len(rows[0])
            same = sum(len(row) == width for row in rows) / len(rows)
            score = (width > 1, same)
            # Single quotes, which must fit, are tried second: they win with the same score.
            if best is None or score > best[0] or (quote == "'" and score == best[0]):
                best = score, delimiter, quote, rows
    if best is None:
        return Dialect(delimiter=given or ",", quote=parameters.quote or '"', header=True), []
    (is_split, _), delimiter, quote, rows = best
    if not is_split and given is None:
        delimiter = _of_one_column(start)
        rows = _split(start, delimiter, quote, strict=False)
    header = parameters.header is not False
    return Dialect(delimiter=delimiter, quote=quote, header=header), rows


def header_rows(starts: Sequence[Sequence[Sequence[str]]]) -> list[bool]:
    """Return for each file, by its first rows, whether its first row has names.

    It has when no value in it looks like data (a number, a date or a time), or when the values
    below one of its texts all do, or when it equals the names of another file.

    >>> header_rows([[["id", "2019"], ["7", "1"]], [["x", "1"], ["y", "2"]]])
    [True, False]
    """
    found = [_has_names(rows) for rows in starts]
    names = [list(rows[0]) for rows, has in zip(starts, found, strict=True) if has and rows]
    return [
        has or bool(rows and list(rows[0]) in names)
        for rows, has in zip(starts, found, strict=True)
    ]


def _has_names(rows: Sequence[Sequence[str]]) -> bool:
    if not rows:
        return True
    first, *others = rows
    if not any(_DATA.fullmatch(value.strip()) for value in first):
        return True
    for place, name in enumerate(first):
        below = [row[place].strip() for row in others if place < len(row) and row[place].strip()]
        is_text = name.strip() and not _DATA.fullmatch(name.strip())
        if is_text and below and all(map(_DATA.fullmatch, below)):
            return True
    return False


def _split(start: Start, delimiter: str, quote: str, *, strict: bool) -> list[list[str]]:
    """Return the complete rows; none where single quotes do not fit the text."""
    single = quote == "'" and strict
    if single and not _begins(start.text, delimiter, "'"):
        return []
    if single and _begins(start.text, delimiter, '"'):
        return []
    if delimiter == quote:
        return []
    reader = csv.reader(
        io.StringIO(start.text, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        strict=single,
    )
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
    except csv.Error as error:
        if single and (start.whole or "unexpected end" not in str(error)):
            return []
        return rows
    return rows if start.whole else rows[:-1]


def _begins(text: str, delimiter: str, quote: str) -> bool:
    """Return whether a value begins with a quote."""
    return re.search(rf"(?:^|[\r\n{re.escape(delimiter)}]){quote}", text) is not None


def _of_one_column(start: Start) -> str:
    # `price / 1,5 / 2,5`: where commas are only decimal marks, they separate nothing.
    lines = [line for line in start.text.splitlines()[1:] if "," in line]
    if lines and all(_COMMA_DECIMAL.fullmatch(line.strip()) for line in lines):
        return ";"
    return ","
