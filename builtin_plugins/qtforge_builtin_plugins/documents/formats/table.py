"""CSV and other delimited text: the text as it is, and its rows as a table."""

from __future__ import annotations

import csv
import io
from typing import Final

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.plain import decode
from qtforge_sdk.messages import Table

__all__ = ["extract"]

_DELIMITERS: Final = ",;\t|"
_SAMPLE_ROWS: Final = 50


def extract(source: Source) -> Extracted:
    """Return the text unchanged, and a table if its rows have the same number of cells.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding, source.name)
    table = _table(decoded.text)
    return Extracted(
        text=decoded.text,
        encoding=decoded.encoding,
        warnings=decoded.warnings,
        tables=() if table is None else (table,),
    )


def _table(text: str) -> Table | None:
    """Return the rows by the delimiter that gives the most columns, the same in each row."""
    best: tuple[int, str] | None = None
    for delimiter in _DELIMITERS:
        widths = {len(row) for row in _rows(text, delimiter, _SAMPLE_ROWS)}
        if len(widths) == 1 and (width := widths.pop()) > (best[0] if best else 1):
            best = width, delimiter
    if best is None:
        return None
    return Table(rows=tuple(tuple(row) for row in _rows(text, best[1], None)))


def _rows(text: str, delimiter: str, most: int | None) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == most:
                break
    except csv.Error:  # a cell of more than 128 KiB, as after a quote that never ends
        return []
    return rows
