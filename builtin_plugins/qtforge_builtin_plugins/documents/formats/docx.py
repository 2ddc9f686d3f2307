"""DOCX, by python-docx: paragraphs and tables in the document's order."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Final

import docx
from docx.table import Table
from docx.text.paragraph import Paragraph

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_sdk import OperationError

__all__ = ["extract", "find_headings"]

_HEADING_STYLE: Final = re.compile(r"Title|Heading ([1-9])")


def extract(source: Source) -> Extracted:
    """Return the body's text with the first section's header and footer, and the properties.

    Raises:
        OperationError: ``document.too_large`` for a too large uncompressed size,
            ``document.damaged``.
    """
    _check_unpacked_size(source)
    try:
        document = docx.Document(io.BytesIO(source.data))
        section = document.sections[0] if document.sections else None
        blocks = [
            *(_blocks(section.header.iter_inner_content()) if section else ()),
            *_blocks(document.iter_inner_content()),
            *(_blocks(section.footer.iter_inner_content()) if section else ()),
        ]
        properties = document.core_properties
        title, author, created = properties.title, properties.author, properties.created
    except Exception as error:
        raise _damaged(source, f"{type(error).__name__}: {error}") from error
    return Extracted(
        text="\n\n".join(blocks),
        title=title.strip() or _first_heading(document.paragraphs),
        author=author.strip() or None,
        created=created.isoformat() if created else None,
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each heading's level, from 1, and its text on one line.

    These are the paragraphs in the styles Title and Heading 1 to 9.

    Raises:
        OperationError: ``document.too_large``, ``document.damaged``.
    """
    _check_unpacked_size(source)
    try:
        paragraphs = docx.Document(io.BytesIO(source.data)).paragraphs
        styled = [
            (paragraph.style.name or "" if paragraph.style else "", paragraph.text)
            for paragraph in paragraphs
        ]
    except Exception as error:
        raise _damaged(source, f"{type(error).__name__}: {error}") from error
    found = []
    for style, text in styled:
        match = _HEADING_STYLE.fullmatch(style)
        if match is not None and text.strip():
            found.append((int(match[1] or 1), " ".join(text.split())))
    return found


def _check_unpacked_size(source: Source) -> None:
    # zipfile never returns more than an entry declares, so the declared sizes are a true limit.
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            size_bytes = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise _damaged(source, str(error)) from error
    if size_bytes > source.max_unpacked_bytes:
        raise OperationError(
            "document.too_large", f"{source.name} is too large uncompressed",
            f"its parts have {size_bytes} bytes, and {source.max_unpacked_bytes} are allowed",
            "raise max_unpacked_bytes in the configuration of document-parser, if you trust it",
        )  # fmt: skip


def _damaged(source: Source, why: str) -> OperationError:
    return OperationError(
        "document.damaged", f"{source.name} is damaged", why, "get a complete copy of it"
    )


def _blocks(content: Iterable[Paragraph | Table]) -> Iterator[str]:
    for block in content:
        text = block.text if isinstance(block, Paragraph) else "\n".join(_table_rows(block))
        if text.strip():
            yield text


def _table_rows(table: Table) -> Iterator[str]:
    for row in table.rows:
        # A merged cell comes once for each column that it spans.
        cells = {id(cell._tc): cell.text.replace("\n", " ").strip() for cell in row.cells}
        yield "\t".join(cells.values())


def _first_heading(paragraphs: Iterable[Paragraph]) -> str | None:
    for paragraph in paragraphs:
        style = paragraph.style.name if paragraph.style else None
        if style and style.startswith(("Heading", "Title")) and paragraph.text.strip():
            return paragraph.text.strip()
    return None
