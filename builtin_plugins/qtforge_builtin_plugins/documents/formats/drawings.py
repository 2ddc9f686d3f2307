"""The text in drawings, diagrams and charts of Office documents (DrawingML)."""

from __future__ import annotations

from typing import Final

from lxml import etree

from qtforge_builtin_plugins.documents.formats.packages import local_name

__all__ = ["A", "diagram_part_id", "diagram_text", "drawing_text"]

A: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


def drawing_text(element: etree._Element) -> str:
    """Return the paragraphs of a shape, a line each."""
    lines = []
    for paragraph in element.iter(f"{A}p"):
        pieces = []
        for child in paragraph.iter():
            name = local_name(child)
            if name == "t":
                pieces.append(child.text or "")
            elif name in ("br", "tab"):
                pieces.append("\n" if name == "br" else "\t")
        lines.append("".join(pieces))
    return "\n".join(line for line in lines if line.strip())


def diagram_part_id(element: etree._Element) -> str:
    """Return the relationship of a diagram's data (``relIds``) or of a ``chart``; "" for none."""
    return element.get(f"{_R}dm") or element.get(f"{_R}id") or ""


def diagram_text(root: etree._Element) -> str:
    """Return the text of a diagram, or the titles and categories of a chart."""
    labels = [each.text or "" for each in root.iterfind(".//{*}strCache//{*}v")]
    return "\n".join(text for text in (drawing_text(root), *dict.fromkeys(labels)) if text.strip())
