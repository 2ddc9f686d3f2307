"""PDF, by pypdfium2 (Chromium's PDFium): each page's text layer, in reading order."""

from __future__ import annotations

import ctypes
import datetime
import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pypdfium2
import pypdfium2.raw as pdfium

from qtforge_builtin_plugins.documents.formats import Extracted, Part, Source
from qtforge_builtin_plugins.documents.formats.errors import damaged
from qtforge_sdk import OperationError

__all__ = ["extract", "find_headings", "open_document"]

_TAIL_BYTES: Final = 4096
_DATE: Final = re.compile(
    r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?)?"
)
# PDFium marks a hyphen at a line break within a word by U+FFFE (older versions: U+0002).
_SOFT_HYPHEN: Final = re.compile("[\ufffe\x02]\r?\n?")
_ADDRESS: Final = re.compile(r"\S*@\S*|https?://\S*|www\.\S*")
_MOST_WORD: Final = 100  # characters of a word that are looked at beside a hyphen
# From this share of lines that are above the previous line, the drawing order of the page is
# not the reading order. Columns cause one such step each, so they stay below.
_MOST_STEPS_UP: Final = 0.25
_LEAST_STEPS_UP: Final = 4
# Two columns are labels and values if as many lines are side by side, and nothing else is.
_LEAST_PAIRS: Final = 2
_LEAST_BESIDE: Final = 0.7
_LEAST_LABELS: Final = 0.7  # the share of a column's lines that must be of its kind
_LABEL: Final = re.compile(r":\s*$")
_LABELLED: Final = re.compile(r":\s*\S")
_FIGURE: Final = re.compile(r"\d")
_UNKNOWN: Final = re.compile("[\ufffd\0\ue000-\uf8ff]")
_MOST_UNKNOWN: Final = 0.1
_LEAST_TEXT: Final = 40  # a scanned page may have a stamp or a page number as text, in characters
_MOST_OF_PAGE: Final = 0.5
_BETWEEN_PAGES: Final = "\n\n"
_NO_BOX: Final = frozenset({10, 13, 32})
_MOST_COMPARED: Final = 1_000_000  # pairs of lines of a page
_MOST_ANNOTATIONS: Final = 10_000
_UNWRITTEN: Final = frozenset({pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP})


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line as drawn; the unit is a point, upwards from the page's lower left corner."""

    text: str
    left: float
    right: float
    bottom: float
    top: float

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    is_picture: bool


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    notes: list[str]
    values: list[_Line]


def extract(source: Source) -> Extracted:
    """Return the text layer with form values and notes, and the document's properties.

    Pages that are pictures are ``unread_pages`` and have the warning ``scan``, characters that
    the file gives no meaning ``characters_unknown``. Files within it are ``parts``.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    if b"%%EOF" not in source.data.rstrip(b"\0\r\n\t ")[-_TAIL_BYTES:]:
        # PDFium would repair it and silently return the remaining pages.
        raise damaged(source, "its end is missing, as after an interrupted download")
    document = open_document(source)
    try:
        count = len(document)
        if count == 0:
            raise damaged(source, "it has no pages")
        pages = []
        unread: list[tuple[int, int]] = []
        length = 0
        for number in range(count):
            page = _read_page(source, document, number)
            pages.append(page.text)
            length += len(page.text) + len(_BETWEEN_PAGES)
            if page.is_picture:
                unread.append((number + 1, length - len(_BETWEEN_PAGES)))
            source.progress(number + 1, count)
        properties = document.get_metadata_dict()
        headings = _bookmarks(document)
        parts = _attached_files(document)
    finally:
        document.close()
    text = _BETWEEN_PAGES.join(pages)
    warnings = {}
    if not text.strip():
        warnings["scan"] = "it has no text layer; it may be a scan"
    elif unread:
        listed = ", ".join(str(page) for page, _ in unread[:20])
        warnings["scan"] = f"{len(unread)} pages are pictures without text, such as {listed}"
    unknown = len(_UNKNOWN.findall(text))
    if unknown > _MOST_UNKNOWN * len(text):
        warnings["characters_unknown"] = f"its fonts do not say what {unknown} characters are"
    return Extracted(
        text=text,
        title=properties.get("Title", "").strip() or None,
        author=properties.get("Author", "").strip() or None,
        pages=count,
        created=_iso(properties.get("CreationDate", "")),
        warnings=warnings,
        headings=headings,
        parts=parts,
        unread_pages=unread,
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each bookmark's level, from 1, and its text on one line.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    document = open_document(source)
    try:
        return _bookmarks(document)
    except pypdfium2.PdfiumError as error:
        raise damaged(source, str(error)) from error
    finally:
        document.close()


def _bookmarks(document: pypdfium2.PdfDocument) -> list[tuple[int, str]]:
    marks = [(mark.level + 1, mark.get_title()) for mark in document.get_toc(max_depth=6)]
    return [(level, " ".join(title.split())) for level, title in marks if title.strip()]


def open_document(source: Source) -> pypdfium2.PdfDocument:
    """Open a PDF; the caller closes it.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    try:
        return pypdfium2.PdfDocument(source.data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
            raise OperationError(
                "document.encrypted", f"{source.name} is encrypted",
                "it opens with a password only", "save it without a password first",
            ) from error  # fmt: skip
        raise damaged(source, str(error)) from error


def _read_page(source: Source, document: pypdfium2.PdfDocument, number: int) -> _Page:
    try:
        page = document[number]
        try:
            lines, _ = _text_lines(page, None)
            written = _written(page)
            if written is not None:
                flattened = pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
                if flattened == pdfium.FLATTEN_SUCCESS:
                    count = _count_characters(page)
                    page.close()
                    page = document[number]  # what was filled in is at the end of the page now
                    lines, values = _text_lines(page, count)
                    lines = _with_values(lines, [*values, *written.values])
            is_picture = sum(len(line.text) for line in lines) < _LEAST_TEXT and _is_picture(page)
        finally:
            page.close()
    except pypdfium2.PdfiumError as error:
        raise damaged(source, f"page {number + 1} can't be read: {error}") from error
    if _is_disordered(lines):
        text = "\n".join(_rows(lines))
    else:
        text = _without_soft_hyphens("\n".join(line.text for line in _paired(lines)))
    return _Page(
        text="\n\n".join([text, *(written.notes if written else ())]), is_picture=is_picture
    )


def _without_soft_hyphens(text: str) -> str:
    return _SOFT_HYPHEN.sub(_hyphen, text)


def _hyphen(match: re.Match[str]) -> str:
    """Return a hyphen that was written, and nothing for one that only divides a word.

    It was written before a digit (M-414658), before a capital after a small letter (Anna-Lena),
    and in an address (office@blue-door.example).
    """
    text = match.string
    before = text[max(0, match.start() - _MOST_WORD) : match.start()]
    after = text[match.end() : match.end() + _MOST_WORD]
    is_written = (
        after[:1].isdigit()
        or (after[:1].isupper() and before[-1:].islower())
        or _ADDRESS.fullmatch(f"{before}x".split()[-1][:-1] + f"x{after}".split()[0][1:])
        is not None
    )
    return "-" if is_written else ""


def _written(page: pypdfium2.PdfPage) -> _Written | None:
    """Return what was filled in or written on a page besides its text; None for nothing."""
    count = pdfium.FPDFPage_GetAnnotCount(page)
    written: _Written | None = None
    for index in range(min(count, _MOST_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            if kind in _UNWRITTEN:
                continue
            written = written or _Written(notes=[], values=[])
            # What has an appearance becomes a part of the page; the rest has only a text.
            if kind == pdfium.FPDF_ANNOT_WIDGET:
                text = _string(annotation, b"V")
                box = pdfium.FS_RECTF()
                if (
                    text.strip()
                    and not _has_appearance(annotation)
                    and pdfium.FPDFAnnot_GetRect(annotation, box)
                ):
                    written.values.append(
                        _Line(
                            text=" ".join(text.split()),
                            left=box.left,
                            right=box.right,
                            bottom=box.bottom,
                            top=box.top,
                        )
                    )
            elif kind != pdfium.FPDF_ANNOT_FREETEXT or not _has_appearance(annotation):
                text = _string(annotation, b"Contents")
                if text.strip():
                    written.notes.append(text)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return written


def _has_appearance(annotation: Any) -> bool:
    # The size of an empty text is that of its final zero.
    size_bytes = pdfium.FPDFAnnot_GetAP(
        annotation, pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0
    )
    return bool(size_bytes > 2)


def _string(annotation: Any, key: bytes) -> str:
    size_bytes = pdfium.FPDFAnnot_GetStringValue(annotation, key, None, 0)
    if size_bytes <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size_bytes // 2))()
    pdfium.FPDFAnnot_GetStringValue(annotation, key, buffer, size_bytes)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _is_picture(page: pypdfium2.PdfPage) -> bool:
    """Return whether a picture covers most of the page."""
    width, height = page.get_size()
    for each in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = each.get_bounds()
        if (right - left) * (top - bottom) >= _MOST_OF_PAGE * width * height:
            return True
    return False


def _attached_files(document: pypdfium2.PdfDocument) -> list[Part]:
    """Return the files within the document, such as the XML of an electronic invoice."""
    parts = []
    for index in range(document.count_attachments()):
        try:
            file = document.get_attachment(index)
            parts.append(Part(name=" ".join(file.get_name().split()), data=bytes(file.get_data())))
        except pypdfium2.PdfiumError:
            parts.append(Part(name=f"attachment {index + 1}", data=b""))
    return parts


def _count_characters(page: pypdfium2.PdfPage) -> int:
    layer = page.get_textpage()
    try:
        return int(layer.count_chars())
    finally:
        layer.close()


def _text_lines(
    page: pypdfium2.PdfPage, values_from: int | None
) -> tuple[list[_Line], list[_Line]]:
    """Return the lines of a page, and those of its form values, which begin at a character."""
    layer = page.get_textpage()
    try:
        count = layer.count_chars()
        codes = [pdfium.FPDFText_GetUnicode(layer, index) for index in range(count)]
        if any(code > sys.maxunicode for code in codes):  # from a broken map of characters
            codes = [code if code <= sys.maxunicode else 0xFFFD for code in codes]
        end = count if values_from is None else min(values_from, count)
        breaks = [index for index, code in enumerate(codes) if code == 10]
        lines = _lines(layer, codes, [*(each for each in breaks if each < end), end])
        if end == count:
            return lines, []
        # PDFium has no line breaks between values; at a space, the height tells them apart.
        ends = [
            index
            for index in range(end, count)
            if codes[index] == 10 or (codes[index] == 32 and _is_break(layer, codes, index))
        ]
        return lines, _lines(layer, codes, [*ends, count], end)
    finally:
        layer.close()


def _is_break(layer: Any, codes: Sequence[int], index: int) -> bool:
    """Return whether the characters around a space are at different heights."""
    if index + 1 >= len(codes) or index == 0:
        return False
    _, bottom, _, top = layer.get_charbox(index - 1)
    _, next_bottom, _, next_top = layer.get_charbox(index + 1)
    return bool(next_top <= bottom or next_bottom >= top)


def _lines(layer: Any, codes: Sequence[int], ends: Sequence[int], start: int = 0) -> list[_Line]:
    """Return the lines in the order in which the page draws them, each with its box."""
    lines: list[_Line] = []
    # One call for each character: pypdfium2's own method is twice as slow.
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for end in ends:
        text = "".join(map(chr, codes[start:end])).strip("\r\n")
        boxes = []
        for index in range(start, end):
            if codes[index] not in _NO_BOX:
                pdfium.FPDFText_GetCharBox(layer, index, left, right, bottom, top)
                if top.value > bottom.value:  # generated characters have no box
                    boxes.append((left.value, right.value, bottom.value, top.value))
        start = end if end < len(codes) and codes[end] not in (10, 32) else end + 1
        if text.strip() and boxes:
            lefts, rights, bottoms, tops = zip(*boxes, strict=True)
            lines.append(
                _Line(
                    text=text,
                    left=min(lefts),
                    right=max(rights),
                    bottom=min(bottoms),
                    top=max(tops),
                )
            )
    return lines


def _with_values(lines: Sequence[_Line], values: Sequence[_Line]) -> list[_Line]:
    """Return the lines of a form, each value after what is to its left, or at its height."""
    if len(lines) * len(values) > _MOST_COMPARED:
        return [*lines, *values]
    placed = list(lines)
    for value in values:
        beside = [
            index
            for index, line in enumerate(placed)
            if line.bottom < value.middle < line.top and line.left < value.left
        ]
        if beside:
            at = max(beside, key=lambda index: placed[index].left)
            label = placed[at]
            placed[at] = _Line(
                text=f"{label.text.rstrip()}   {value.text.strip()}",
                left=label.left,
                right=max(label.right, value.right),
                bottom=min(label.bottom, value.bottom),
                top=max(label.top, value.top),
            )
        else:
            lower = (at for at, line in enumerate(placed) if line.middle < value.middle)
            placed.insert(next(lower, len(placed)), value)
    return placed


def _is_disordered(lines: Sequence[_Line]) -> bool:
    steps_up = sum(later.middle > earlier.top for earlier, later in itertools.pairwise(lines))
    return steps_up >= _LEAST_STEPS_UP and steps_up > _MOST_STEPS_UP * len(lines)


def _paired(lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines with labels and values side by side as rows.

    Where the page draws a column of values and then one of labels, or the other way round, the
    second column begins above the end of the first. Columns of running text stay as they are.
    """
    done: list[_Line] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if done and line.middle > done[-1].top:
            first = _column(done, line)
            second = _beside(lines, index, first)
            if _are_pairs(first, second):
                rows = _row_lines([*first, *second])
                done[len(done) - len(first) :] = rows
                index += len(second)
                continue
        done.append(line)
        index += 1
    return done


def _column(done: Sequence[_Line], start: _Line) -> list[_Line]:
    """Return the lines before a step up that are not above its line."""
    first: list[_Line] = []
    for line in reversed(done):
        if line.bottom > start.top or (first and line.middle <= first[-1].middle):
            break
        first.append(line)
    return first[::-1]


def _beside(lines: Sequence[_Line], index: int, first: Sequence[_Line]) -> list[_Line]:
    """Return the lines after a step up that are not below the column before it."""
    second: list[_Line] = []
    for line in lines[index:]:
        if line.top < first[-1].bottom or (second and line.middle >= second[-1].middle):
            break
        second.append(line)
    return second


def _are_pairs(first: Sequence[_Line], second: Sequence[_Line]) -> bool:
    fewest = min(len(first), len(second))
    if fewest < _LEAST_PAIRS or len(first) * len(second) > _MOST_COMPARED:
        return False
    beside = sum(any(line.bottom < other.middle < line.top for other in second) for line in first)
    if beside < _LEAST_BESIDE * max(len(first), len(second)):
        return False
    values_first = min(line.left for line in first) >= max(line.right for line in second)
    if values_first:
        first, second = second, first
    elif min(line.left for line in second) < max(line.right for line in first):
        return False
    if _share(_LABEL, first) >= _LEAST_LABELS:
        return True
    # Without colons, only numbers and dates that come before what is to their left are values.
    return (
        values_first
        and _share(_FIGURE, second) >= _LEAST_LABELS
        and _share(_LABELLED, first) <= 1 - _LEAST_LABELS
    )


def _share(pattern: re.Pattern[str], lines: Sequence[_Line]) -> float:
    return sum(pattern.search(line.text) is not None for line in lines) / len(lines)


def _row_lines(lines: Sequence[_Line]) -> list[_Line]:
    return [
        _Line(
            text="   ".join(line.text.strip() for line in row),
            left=row[0].left,
            right=max(line.right for line in row),
            bottom=min(line.bottom for line in row),
            top=max(line.top for line in row),
        )
        for row in _grouped(lines)
    ]


def _grouped(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Return the lines at one height, from top to bottom, each row from left to right."""
    rows: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: -line.middle):
        if rows and line.middle > min(rows[-1][0].bottom, rows[-1][-1].bottom):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.left) for row in rows]


def _rows(lines: Sequence[_Line]) -> list[str]:
    """Return the rows of lines at one height, from top to bottom, left to right."""
    return ["   ".join(line.text.strip() for line in row) for row in _grouped(lines)]


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
