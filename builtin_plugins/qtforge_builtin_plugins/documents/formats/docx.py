"""DOCX, DOCM and DOTX, also Strict, as a reader sees them, by lxml.

No library reads all of it; docs/documents.md has a comparison.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Final

from lxml import etree

from qtforge_builtin_plugins.documents.formats import Extracted, Part, Source
from qtforge_builtin_plugins.documents.formats.drawings import diagram_part_id, diagram_text
from qtforge_builtin_plugins.documents.formats.equations import equation_text
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error
from qtforge_builtin_plugins.documents.formats.numbering import Numbering
from qtforge_builtin_plugins.documents.formats.packages import (
    Package,
    local_name,
)
from qtforge_builtin_plugins.documents.formats.styles import Styles, W, is_on, value
from qtforge_sdk.messages import Table

__all__ = ["extract", "find_headings"]

_R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
# Elements that only group others; all that is not named below is read through as well.
_GROUPS: Final = frozenset(
    {"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "dir", "bdo", "hyperlink"}
)
_EMBEDDED: Final = frozenset({"package", "aFChunk"})
_UNSEEN: Final = frozenset(
    {"del", "moveFrom", "pPr", "rPr", "sdtPr", "sdtEndPr", "tblPr", "tblGrid", "trPr", "tcPr",
     "instrText", "delText", "delInstrText", "Fallback", "docPr", "smartTagPr", "customXmlPr",
     "fldData", "commentReference", "annotationRef"}
)  # fmt: skip
_CHARACTERS: Final = {
    "tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-",
}  # fmt: skip
# Characters of the fonts Symbol and Wingdings, which Word writes with codes of its own.
_SYMBOLS: Final = {"B7": "•", "A7": "▪", "A8": "☐", "6F": "☐", "FE": "☒", "FD": "☒", "FC": "✓",
                   "E0": "→", "D8": "➢", "B0": "°", "B1": "±", "A3": "≤", "B3": "≥"}  # fmt: skip


def extract(source: Source) -> Extracted:
    """Return the text with headers, footers and notes, headings, tables and properties.

    Insertions are read and deletions are not, as if all changes were accepted; hidden text is
    left out.

    Raises:
        OperationError: ``document.too_large`` for a too large uncompressed size,
            ``document.damaged``.
    """
    package = Package(source)
    with damage_as_error(source):
        reader = _Reader(package)
        blocks = [block for block in reader.read() if block.strip()]
        properties = package.properties()
        parts = list(reader.parts())
    first = next((text for _, text in reader.headings), None)
    return Extracted(
        text="\n\n".join(blocks),
        title=properties["title"] or first,
        author=properties["author"],
        created=properties["created"],
        headings=reader.headings,
        tables=reader.tables,
        parts=parts,
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each heading's level, from 1, and its text on one line.

    These are the paragraphs in the styles Title and Heading 1 to 9, and those with an outline
    level.

    Raises:
        OperationError: ``document.too_large``, ``document.damaged``.
    """
    return list(extract(source).headings)


class _Reader:
    """Reads one document, from its first block to its last."""

    def __init__(self, package: Package) -> None:
        self._package = package
        main = package.related_part("", "officeDocument")
        if main is None:
            raise ValueError("it has no main part")
        self._main = main
        self._related = package.related(main)
        self._styles = Styles(self._part("styles"))
        self._numbering = Numbering(self._part("numbering"), self._styles)
        self._notes: list[tuple[str, str]] = []  # kind and id, in the order of their references
        self._fields: list[bool] = []  # for each open field, whether its result has begun
        self._parts_read: set[str] = set()  # many sections may share one
        self._tables = 0
        self.headings: list[tuple[int, str]] = []
        self.tables: list[Table] = []

    def read(self) -> Iterator[str]:
        root = self._package.xml(self._main)
        body = None if root is None else root.find(f"{W}body")
        if body is None:
            raise ValueError("its main part has no body")
        settings = self._part("settings")
        has_even = settings is not None and is_on(settings.find(f"{W}evenAndOddHeaders"))
        seen: set[str] = set()
        blocks: list[str] = []
        for child in body:
            if child.tag == f"{W}sectPr":
                section = child
            else:
                blocks.extend(self._blocks([child]))
                # The paragraph that ends a section has its properties.
                found = child.find(f"{W}pPr/{W}sectPr") if child.tag == f"{W}p" else None
                if found is None:
                    continue
                section = found
            yield from self._margins(section, "header", has_even, seen)
            yield from blocks
            yield from self._margins(section, "footer", has_even, seen)
            blocks = []
        yield from blocks
        yield from self._read_notes()

    def parts(self) -> Iterator[Part]:
        """Yield the files that are embedded in the text, such as workbooks and pages of HTML."""
        for kind, part in self._related.values():
            data = self._package.read(part) if kind in _EMBEDDED else None
            if data is not None:
                yield Part(name=posixpath.basename(part), data=data)

    def _part(self, kind: str) -> etree._Element | None:
        part = next((part for each, part in self._related.values() if each == kind), None)
        return self._package.xml(part) if part else None

    def _margins(
        self, section: etree._Element, kind: str, has_even: bool, seen: set[str]
    ) -> Iterator[str]:
        """Yield the headers or footers of a section that were not there before."""
        has_first = is_on(section.find(f"{W}titlePg"))
        shown = {"default": True, "first": has_first, "even": has_even}
        found = {
            value(each, "type"): each.get(f"{_R}id", "")
            for each in section.findall(f"{W}{kind}Reference")
        }
        for each in ("first", "default", "even"):
            _, part = self._related.get(found.get(each, ""), ("", ""))
            if not part or not shown[each] or part in self._parts_read:
                continue
            self._parts_read.add(part)
            root = self._package.xml(part)
            for block in () if root is None else self._blocks(root):
                if block not in seen:
                    seen.add(block)
                    yield block

    def _read_notes(self) -> Iterator[str]:
        notes: dict[tuple[str, str], etree._Element] = {}
        for kind in ("footnote", "endnote"):
            root = self._part(f"{kind}s")
            notes.update(
                ((kind, note.get(f"{W}id", "")), note) for note in (() if root is None else root)
            )
        number = 0
        # A note may refer to another one, so that the list grows; each is read once.
        while number < len(self._notes):
            note = notes.pop(self._notes[number], None)
            number += 1
            if note is not None:
                text = "\n".join(block for block in self._blocks(note) if block.strip())
                yield f"[{number}] {text.strip()}"

    def _blocks(self, elements: Iterable[etree._Element]) -> Iterator[str]:
        for element in elements:
            name = local_name(element)
            if name == "p":
                yield from self._paragraph(element)
            elif name == "tbl":
                rows = self._rows(element)
                if self._tables == 0:
                    self.tables.append(Table(rows=tuple(map(tuple, rows))))
                yield "\n".join("\t".join(row) for row in rows)
            elif name in _UNSEEN:
                continue
            elif name == "oMathPara":
                yield equation_text(element)
            else:
                yield from self._blocks(element)

    def _paragraph(self, element: etree._Element) -> Iterator[str]:
        pieces: list[str] = []
        boxes: list[etree._Element] = []
        properties = element.find(f"{W}pPr")
        self._inline(element, pieces, boxes)
        # The code of a field ends in its paragraph; a mark that is missing must not hide the rest.
        self._fields = [True] * len(self._fields)
        text = "".join(pieces)
        if text.strip():
            text = self._numbering.label(properties) + text
            level = self._styles.heading_level(properties)
            if level is not None:
                self.headings.append((level, " ".join(text.split())))
        yield text
        for box in boxes:
            if local_name(box) == "txbxContent":
                yield from self._blocks(box)
                continue
            _, part = self._related.get(diagram_part_id(box), ("", ""))
            root = self._package.xml(part) if part and part not in self._parts_read else None
            if root is not None:
                self._parts_read.add(part)
                yield diagram_text(root)

    def _rows(self, table: etree._Element) -> list[list[str]]:
        self._tables += 1
        rows = []
        for row in _through_groups(table, "tr"):
            properties = row.find(f"{W}trPr")
            if properties is not None and (
                properties.find(f"{W}del") is not None or is_on(properties.find(f"{W}hidden"))
            ):
                continue
            cells = []
            for cell in _through_groups(row, "tc"):
                text = " ".join(block for block in self._blocks(cell) if block.strip())
                cells.append(" ".join(text.replace("\t", " ").split("\n")).strip())
            rows.append(cells)
        self._tables -= 1
        return rows

    def _inline(
        self, element: etree._Element, pieces: list[str], boxes: list[etree._Element]
    ) -> None:
        for child in element:
            name = local_name(child)
            if name == "t":
                if all(self._fields):
                    pieces.append(child.text or "")
            elif name == "r":
                if not self._styles.is_hidden(child.find(f"{W}rPr")):
                    self._inline(child, pieces, boxes)
            elif name == "fldChar":
                self._field(child, pieces)
            elif name in _CHARACTERS:
                if all(self._fields):
                    pieces.append(_CHARACTERS[name])
            elif name in ("oMath", "oMathPara"):
                pieces.append(equation_text(child))
            elif name in ("footnoteReference", "endnoteReference"):
                self._notes.append((name.removesuffix("Reference"), child.get(f"{W}id", "")))
                pieces.append(f"[{len(self._notes)}]")
            elif name == "sym":
                code = value(child, "char").upper()
                pieces.append(_SYMBOLS.get(code[-2:], "") if code.startswith(("F0", "00")) else "")
            elif name == "txbxContent" or name in ("relIds", "chart"):
                boxes.append(child)
            elif name == "rt":  # the reading of Asian characters, above them
                ruby: list[str] = []
                self._inline(child, ruby, boxes)
                pieces.append(f"({''.join(ruby)})")
            elif name == "AlternateContent":
                choice = child.find("{*}Choice")
                self._inline(child.find("{*}Fallback") if choice is None else choice, pieces, boxes)
            elif name and name not in _UNSEEN:
                self._inline(child, pieces, boxes)

    def _field(self, mark: etree._Element, pieces: list[str]) -> None:
        """Follow a field: between its beginning and its separator is its code."""
        kind = value(mark, "fldCharType")
        if kind == "begin":
            self._fields.append(False)
            box = mark.find(f"{W}ffData/{W}checkBox")
            choice = mark.find(f"{W}ffData/{W}ddList")
            if box is not None:
                checked = box.find(f"{W}checked")
                is_checked = is_on(box.find(f"{W}default") if checked is None else checked)
                pieces.append("☒" if is_checked else "☐")
            elif choice is not None:
                entries = choice.findall(f"{W}listEntry")
                result = choice.find(f"{W}result")
                index = int(value(result, "val") or 0) if result is not None else 0
                pieces.append(value(entries[index], "val") if index < len(entries) else "")
        elif self._fields and kind == "separate":
            self._fields[-1] = True
        elif self._fields and kind == "end":
            self._fields.pop()


def _through_groups(element: etree._Element, wanted: str) -> Iterator[etree._Element]:
    """Yield the elements of a name, also within content controls and insertions."""
    for child in element:
        name = local_name(child)
        if name == wanted:
            yield child
        elif name in _GROUPS:
            yield from _through_groups(child, wanted)
