"""Presentations, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtforge_sdk.messages import Table

A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACES = f'xmlns:a="{A}" xmlns:p="{P}" xmlns:r="{R}"'


def relations(**targets: str) -> str:
    kinds = {"diagramData": "diagramData"}
    found = "".join(
        f'<Relationship Id="{key}" Type="{R}/{kinds.get(kind, kind)}" Target="{target}"/>'
        for key, (kind, _, target) in ((key, each.partition(" ")) for key, each in targets.items())
    )
    return f"<Relationships>{found}</Relationships>"


def text(*paragraphs: str) -> str:
    return "".join(f"<a:p><a:r><a:t>{each}</a:t></a:r></a:p>" for each in paragraphs)


def shape(kind: str, *paragraphs: str) -> str:
    place = f'<p:ph type="{kind}"/>' if kind else ""
    return (
        f"<p:sp><p:nvSpPr><p:nvPr>{place}</p:nvPr></p:nvSpPr>"
        f"<p:txBody>{text(*paragraphs)}</p:txBody></p:sp>"
    )


def slide(inner: str) -> str:
    return f"<p:sld {SPACES}><p:cSld><p:spTree>{inner}</p:spTree></p:cSld></p:sld>"


def presentation() -> dict[str, str | bytes]:
    rows = "".join(
        "<a:tr>" + "".join(f"<a:tc><a:txBody>{text(cell)}</a:txBody></a:tc>" for cell in row)
        + "</a:tr>"
        for row in ("ab", "cd")
    )  # fmt: skip
    table = f"<p:graphicFrame><a:graphic><a:tbl>{rows}</a:tbl></a:graphic></p:graphicFrame>"
    smart = '<p:graphicFrame><dgm:relIds xmlns:dgm="urn:dgm" r:dm="rId7"/></p:graphicFrame>'
    grouped = f"<p:grpSp>{shape('', 'in a group')}</p:grpSp>"
    return {
        "_rels/.rels": relations(rId1="officeDocument ppt/presentation.xml"),
        "ppt/presentation.xml": f'<p:presentation {SPACES}><p:sldIdLst><p:sldId r:id="rId2"/>'
        '<p:sldId r:id="rId1"/></p:sldIdLst></p:presentation>',
        "ppt/_rels/presentation.xml.rels": relations(
            rId1="slide slides/slide1.xml", rId2="slide slides/slide2.xml"
        ),
        "ppt/slides/slide1.xml": slide(shape("title", "Last") + table + smart),
        "ppt/slides/_rels/slide1.xml.rels": relations(
            rId7="diagramData ../diagrams/data1.xml", rId8="notesSlide ../notesSlides/n1.xml"
        ),
        "ppt/slides/slide2.xml": slide(
            shape("ctrTitle", "First") + shape("", "one", "two") + grouped
        ),
        "ppt/diagrams/data1.xml": f"<d {SPACES}>{text('in a diagram')}</d>",
        "ppt/notesSlides/n1.xml": slide(shape("sldNum", "9") + shape("body", "a note")),
    }


def test_slides_are_read_in_their_order_with_all_that_has_text(
    parse: Any, make_zip: Callable[[dict[str, str | bytes]], bytes]
) -> None:
    response = parse(make_zip(presentation()), "a.pptx")
    assert response.parsed_content.split("\n\n") == [
        "First", "one\ntwo", "in a group", "Last", "a\tb\nc\td", "in a diagram", "a note",
    ]  # fmt: skip
    assert response.tables == (Table(rows=(("a", "b"), ("c", "d"))),)
    assert [(each.text, each.line) for each in response.sections] == [("First", 1), ("Last", 8)]
    assert (response.metadata.title, response.metadata.pages) == ("First", 2)
