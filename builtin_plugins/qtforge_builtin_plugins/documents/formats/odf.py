"""OpenDocument text and presentations (ODT, ODP), by lxml: the text with notes and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lxml import etree

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error
from qtforge_builtin_plugins.documents.formats.packages import (
    Package,
    local_name,
)
from qtforge_sdk import OperationError
from qtforge_sdk.messages import Table

__all__ = ["extract"]

_OFFICE: Final = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT: Final = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW: Final = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_STYLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_UNSEEN: Final = frozenset(
    {"tracked-changes", "annotation", "annotation-end", "forms", "sequence-decls", "scripts",
     "variable-decls", "user-field-decls", "title", "desc", "settings"}
)  # fmt: skip
_MOST_REPEATED: Final = 100
_MOST_SPACES: Final = 100
_MOST_MORE_CELLS: Final = 100_000  # cells that only a number of repeats makes, in a document


def extract(source: Source) -> Extracted:
    """Return the text with headers, footers, notes and tables, and the properties.

    Raises:
        OperationError: ``document.encrypted``, ``document.too_large`` for a too large
            uncompressed size, ``document.damaged``.
    """
    package = Package(source)
    with damage_as_error(source):
        manifest = package.read("META-INF/manifest.xml") or b""
        if b"encryption-data" in manifest:
            raise OperationError(
                "document.encrypted", f"{source.name} is encrypted",
                "it opens with a password only", "save it without a password first",
            )  # fmt: skip
        content, styles = package.xml("content.xml"), package.xml("styles.xml")
        body = None if content is None else content.find(f"{_OFFICE}body")
        if content is None or body is None:
            raise ValueError("it has no content")
        reader = _Reader(content, styles)
        blocks = [block for block in reader.read(body) if block.strip()]
        properties = _properties(package.xml("meta.xml"))
    return Extracted(
        text="\n\n".join(blocks),
        title=properties.get("title") or next((text for _, text in reader.headings), None),
        author=properties.get("initial-creator") or properties.get("creator"),
        created=properties.get("creation-date"),
        headings=reader.headings,
        tables=reader.tables,
    )


class _Reader:
    def __init__(self, content: etree._Element, styles: etree._Element | None) -> None:
        self._styles = styles
        self._numbered = {
            (each.get(f"{_STYLE}name"), level.get(f"{_TEXT}level")): level
            for root in (content, styles)
            if root is not None
            for each in root.iter(f"{_TEXT}list-style")
            for level in each.iterfind(f"{_TEXT}list-level-style-number")
            if level.get(f"{_STYLE}num-format")
        }
        self._notes: list[etree._Element] = []
        self._tables = 0
        self._more_cells = _MOST_MORE_CELLS
        self.headings: list[tuple[int, str]] = []
        self.tables: list[Table] = []

    def read(self, body: etree._Element) -> Iterator[str]:
        yield from self._margins("header")
        yield from self._blocks(body, ())
        yield from self._margins("footer")
        number = 0
        while number < len(self._notes):
            note = self._notes[number]
            number += 1
            yield f"[{number}] " + "\n".join(self._blocks(note, ()))

    def _margins(self, kind: str) -> Iterator[str]:
        seen: set[str] = set()
        for name in ("", "-first", "-left"):
            found = () if self._styles is None else self._styles.iter(f"{_STYLE}{kind}{name}")
            for each in found:
                for block in self._blocks(each, ()):
                    if block not in seen:
                        seen.add(block)
                        yield block

    def _blocks(self, element: etree._Element, lists: tuple[str, ...]) -> Iterator[str]:
        """Yield the blocks within an element; ``lists`` are the styles of the lists around it."""
        for child in element:
            name = local_name(child)
            if name in ("p", "h") and child.tag.startswith(_TEXT):
                boxes: list[etree._Element] = []
                text = self._inline(child, boxes)
                if name == "h" and text.strip():
                    level = child.get(f"{_TEXT}outline-level", "1")
                    self.headings.append((int(level), " ".join(text.split())))
                yield text
                for box in boxes:
                    yield from self._blocks(box, ())
            elif name == "list":
                yield from self._list(child, lists)
            elif name == "table" and child.tag.startswith(_TABLE):
                rows = self._rows(child)
                if self._tables == 0:
                    self.tables.append(Table(rows=tuple(rows), name=child.get(f"{_TABLE}name")))
                yield "\n".join(map("\t".join, rows))
            elif name and name not in _UNSEEN:
                yield from self._blocks(child, lists)

    def _list(self, element: etree._Element, lists: tuple[str, ...]) -> Iterator[str]:
        style = element.get(f"{_TEXT}style-name") or (lists[-1] if lists else "")
        inner = (*lists, style)
        level = self._numbered.get((style, str(len(inner))))
        count = int(level.get(f"{_TEXT}start-value", "1")) if level is not None else 1
        for item in element:
            blocks = [block for block in self._blocks(item, inner) if block.strip()]
            if local_name(item) == "list-item" and blocks and local_name(item[0]) != "list":
                if level is None:
                    blocks[0] = f"- {blocks[0]}"
                else:
                    before, after = (level.get(f"{_STYLE}num-{each}fix", "") for each in
                                     ("pre", "suf"))  # fmt: skip
                    blocks[0] = f"{before}{count}{after} {blocks[0]}"
                    count += 1
            yield from blocks

    def _rows(self, table: etree._Element) -> list[tuple[str, ...]]:
        self._tables += 1
        rows = []
        for row in table.iter(f"{_TABLE}table-row"):
            if next(row.iterancestors(f"{_TABLE}table")) is not table:
                continue  # of a table within a cell
            cells: list[str] = []
            for cell in row:
                if local_name(cell) in ("table-cell", "covered-table-cell"):
                    blocks = " ".join(block for block in self._blocks(cell, ()) if block.strip())
                    cells.append(" ".join(blocks.split()))
                    repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
                    more = max(min(repeated - 1, _MOST_REPEATED, self._more_cells), 0)
                    self._more_cells -= more
                    cells += [cells[-1]] * more
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                rows.append(tuple(cells))
        self._tables -= 1
        return rows

    def _inline(self, element: etree._Element, boxes: list[etree._Element]) -> str:
        pieces = [element.text or ""]
        for child in element:
            name = local_name(child)
            if not name:
                pass
            elif name == "s":
                count = child.get(f"{_TEXT}c", "1")
                pieces.append(" " * min(int(count), _MOST_SPACES))
            elif name in ("tab", "line-break"):
                pieces.append("\t" if name == "tab" else "\n")
            elif name == "note":
                self._notes.extend(child.iterfind(f"{_TEXT}note-body"))
                pieces.append(f"[{len(self._notes)}]")
            elif child.tag.startswith(_DRAW) and name not in ("frame", "a"):
                boxes.append(child)  # a box or a shape with paragraphs in it
            elif name not in _UNSEEN:
                pieces.append(self._inline(child, boxes))
            pieces.append(child.tail or "")
        # White space is what HTML makes of it; spaces that count are elements.
        return "".join(pieces)


def _properties(meta: etree._Element | None) -> dict[str, str]:
    found: Iterable[etree._Element] = () if meta is None else meta.iter()
    return {
        local_name(each): each.text.strip()
        for each in found
        if len(each) == 0 and each.text and each.text.strip()
    }
