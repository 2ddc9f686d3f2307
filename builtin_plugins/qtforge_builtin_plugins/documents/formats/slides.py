"""PowerPoint (PPTX, PPTM, PPSX), by lxml: the text of the slides in order, and their notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.drawings import (
    A,
    diagram_part_id,
    diagram_text,
    drawing_text,
)
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error
from qtforge_builtin_plugins.documents.formats.packages import Package
from qtforge_sdk.messages import Table

__all__ = ["extract"]

_P: Final = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES: Final = frozenset({"title", "ctrTitle"})
# Of a page of notes, the picture of the slide, its number and the like are no notes.
_NOTES: Final = "body"


def extract(source: Source) -> Extracted:
    """Return the text of each slide, with its tables, diagrams, charts and notes.

    Raises:
        OperationError: ``document.too_large`` for a too large uncompressed size,
            ``document.damaged``.
    """
    package = Package(source)
    with damage_as_error(source):
        reader = _Reader(package)
        blocks = [block for block in reader.read() if block.strip()]
        properties = package.properties()
    return Extracted(
        text="\n\n".join(blocks),
        title=properties["title"] or next((text for _, text in reader.headings), None),
        author=properties["author"],
        pages=reader.slides,
        created=properties["created"],
        headings=reader.headings,
        tables=reader.tables,
    )


class _Reader:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._read: set[str] = set()
        self.slides = 0
        self.headings: list[tuple[int, str]] = []
        self.tables: list[Table] = []

    def read(self) -> Iterator[str]:
        main = self._package.related_part("", "officeDocument") or "ppt/presentation.xml"
        root = self._package.xml(main)
        if root is None:
            raise ValueError("it has no main part")
        related = self._package.related(main)
        for each in root.iterfind(f"{_P}sldIdLst/{_P}sldId"):
            _, part = related.get(each.get(f"{_R}id", ""), ("", ""))
            slide = self._once(part)
            if slide is None:
                continue
            self.slides += 1
            yield from self._shapes(slide, part)
            notes = self._package.related_part(part, "notesSlide")
            page = self._once(notes)
            for shape in () if page is None else page.iter(f"{_P}sp"):
                if _placeholder(shape) == _NOTES:
                    yield drawing_text(shape)

    def _once(self, part: str | None) -> etree._Element | None:
        """Return a part's root element; None if it has been read: a part may be named often."""
        if not part or part in self._read:
            return None
        self._read.add(part)
        return self._package.xml(part)

    def _shapes(self, root: etree._Element, part: str) -> Iterator[str]:
        related = self._package.related(part)
        for element in root.iter(f"{_P}sp", f"{_P}graphicFrame"):
            if element.tag == f"{_P}sp":
                text = drawing_text(element)
                if _placeholder(element) in _TITLES and text.strip():
                    self.headings.append((1, " ".join(text.split())))
                    text = self.headings[-1][1]
                yield text
                continue
            for table in element.iter(f"{A}tbl"):
                rows = [
                    tuple(" ".join(drawing_text(cell).split()) for cell in row.iterfind(f"{A}tc"))
                    for row in table.iterfind(f"{A}tr")
                ]
                self.tables.append(Table(rows=tuple(rows)))
                yield "\n".join(map("\t".join, rows))
            for data in element.iter("{*}relIds", "{*}chart"):
                _, target = related.get(diagram_part_id(data), ("", ""))
                diagram = self._once(target)
                if diagram is not None:
                    yield diagram_text(diagram)


def _placeholder(shape: etree._Element) -> str:
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return "" if found is None else found.get("type", "")
