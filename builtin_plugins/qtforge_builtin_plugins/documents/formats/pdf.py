"""PDF, by pypdfium2 (Chromium's PDFium): each page's text layer, in reading order."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pypdfium2
import pypdfium2.raw as pdfium

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_sdk import OperationError

__all__ = ["extract", "find_headings"]

_TAIL_BYTES: Final = 4096
_DATE: Final = re.compile(
    r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?)?"
)
# PDFium marks a hyphen at a line break within a word by U+FFFE (older versions: U+0002).
_SOFT_HYPHEN: Final = re.compile("[\ufffe\x02]\r?\n?")
# From this share of lines that are above the previous line, the drawing order of the page is
# not the reading order. Columns cause one such step each, so they stay below.
_MOST_STEPS_UP: Final = 0.25
_LEAST_STEPS_UP: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line as drawn; the unit is a point, upwards from the page's lower left corner."""

    text: str
    left: float
    bottom: float
    top: float

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2


def extract(source: Source) -> Extracted:
    """Return the text layer and the document's properties.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    if b"%%EOF" not in source.data.rstrip(b"\0\r\n\t ")[-_TAIL_BYTES:]:
        # PDFium would repair it and silently return the remaining pages.
        raise _damaged(source, "its end is missing, as after an interrupted download")
    document = _open(source)
    try:
        count = len(document)
        if count == 0:
            raise _damaged(source, "it has no pages")
        pages = []
        for number in range(count):
            pages.append(_page_text(source, document, number))
            source.progress(number + 1, count)
        properties = document.get_metadata_dict()
        headings = _bookmarks(document)
    finally:
        document.close()
    text = "\n\n".join(pages)
    return Extracted(
        text=text,
        title=properties.get("Title", "").strip() or None,
        author=properties.get("Author", "").strip() or None,
        pages=count,
        created=_iso(properties.get("CreationDate", "")),
        warnings={} if text.strip() else {"scan": "it has no text layer; it may be a scan"},
        headings=headings,
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each bookmark's level, from 1, and its text on one line.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    document = _open(source)
    try:
        return _bookmarks(document)
    except pypdfium2.PdfiumError as error:
        raise _damaged(source, str(error)) from error
    finally:
        document.close()


def _bookmarks(document: pypdfium2.PdfDocument) -> list[tuple[int, str]]:
    marks = [(mark.level + 1, mark.get_title()) for mark in document.get_toc(max_depth=6)]
    return [(level, " ".join(title.split())) for level, title in marks if title.strip()]


def _open(source: Source) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(source.data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
            raise OperationError(
                "document.encrypted", f"{source.name} is encrypted",
                "it opens with a password only", "save it without a password first",
            ) from error  # fmt: skip
        raise _damaged(source, str(error)) from error


def _damaged(source: Source, why: str) -> OperationError:
    return OperationError(
        "document.damaged", f"{source.name} is damaged", why, "get a complete copy of it"
    )


def _page_text(source: Source, document: pypdfium2.PdfDocument, number: int) -> str:
    try:
        page = document[number]
        layer = page.get_textpage()
        try:
            lines = _lines(layer)
        finally:
            layer.close()
            page.close()
    except pypdfium2.PdfiumError as error:
        raise _damaged(source, f"page {number + 1} can't be read: {error}") from error
    if _is_disordered(lines):
        return "\n".join(_rows(lines))
    return _SOFT_HYPHEN.sub("", "\n".join(line.text for line in lines))


def _lines(layer: Any) -> list[_Line]:
    """Return the lines in the order in which the page draws them, each with its box."""
    lines: list[_Line] = []
    count = layer.count_chars()
    start = 0
    codes = [pdfium.FPDFText_GetUnicode(layer, index) for index in range(count)]
    for end in [*(index for index, code in enumerate(codes) if code == 10), count]:
        text = "".join(map(chr, codes[start:end])).strip("\r\n")
        boxes = [
            layer.get_charbox(index) for index in range(start, end) if codes[index] not in (13, 32)
        ]
        start = end + 1
        boxes = [box for box in boxes if box[3] > box[1]]  # generated characters have no box
        if text.strip() and boxes:
            lines.append(
                _Line(
                    text=text,
                    left=min(box[0] for box in boxes),
                    bottom=min(box[1] for box in boxes),
                    top=max(box[3] for box in boxes),
                )
            )
    return lines


def _is_disordered(lines: Sequence[_Line]) -> bool:
    steps_up = sum(later.middle > earlier.top for earlier, later in itertools.pairwise(lines))
    return steps_up >= _LEAST_STEPS_UP and steps_up > _MOST_STEPS_UP * len(lines)


def _rows(lines: Sequence[_Line]) -> list[str]:
    """Return the rows of lines at one height, from top to bottom, left to right."""
    rows: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: -line.middle):
        if rows and line.middle > min(rows[-1][0].bottom, rows[-1][-1].bottom):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [
        "   ".join(line.text.strip() for line in sorted(row, key=lambda line: line.left))
        for row in rows
    ]


def _iso(text: str) -> str | None:
    """Turn PDF's date (ISO 32000-1, 7.9.4) into ISO 8601; None when it is not a date."""
    found = _DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, utc, sign, offset_h, offset_min = found.groups()
    zone = None
    if utc or sign:
        offset = datetime.timedelta(hours=int(offset_h or 0), minutes=int(offset_min or 0))
        zone = datetime.timezone(-offset if sign == "-" else offset)
    try:
        return datetime.datetime(
            int(year), int(month or 1), int(day or 1),
            int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone,
        ).isoformat()  # fmt: skip
    except ValueError:
        return None
