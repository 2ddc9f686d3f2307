"""OpenDocument files, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import OperationError
from qtforge_sdk.messages import Table

TYPE = "application/vnd.oasis.opendocument."
Make = Callable[[dict[str, str | bytes]], bytes]
OASIS = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = " ".join(
    f'xmlns:{each}="{OASIS}:{uri}:1.0"'
    for each, uri in {
        "office": "office", "text": "text", "table": "table", "style": "style",
        "draw": "drawing", "meta": "meta", "presentation": "presentation",
    }.items()
)  # fmt: skip


def parts(body: str, kind: str = "text", styles: str = "") -> dict[str, str | bytes]:
    lists = (
        '<text:list-style style:name="L1"><text:list-level-style-number text:level="1"'
        ' style:num-format="1" style:num-suffix="."/></text:list-style>'
    )
    return {
        "mimetype": TYPE + kind,
        "content.xml": f"<office:document-content {SPACES}><office:automatic-styles>{lists}"
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}>"
        "</office:body></office:document-content>",
        "styles.xml": f"<office:document-styles {SPACES}>{styles}</office:document-styles>",
        "meta.xml": f'<office:document-meta {SPACES} xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<office:meta><dc:title>A report</dc:title><meta:initial-creator>Ann"
        "</meta:initial-creator><meta:creation-date>2026-05-02T18:00:00</meta:creation-date>"
        "</office:meta></office:document-meta>",
    }


def test_a_text_is_read_as_a_reader_sees_it(parse: Any, make_zip: Make) -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">Scope</text:h>'
        '<text:p>a<text:s text:c="2"/>b<text:tab/>c<text:line-break/>d <text:span>e</text:span>'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>the note"
        "</text:p></text:note-body></text:note></text:p>"
        '<text:list text:style-name="L1"><text:list-item><text:p>one</text:p></text:list-item>'
        "<text:list-item><text:p>two</text:p></text:list-item></text:list>"
        "<text:list><text:list-item><text:p>dot</text:p></text:list-item></text:list>"
        "<text:p>by<draw:frame><draw:text-box><text:p>in a box</text:p></draw:text-box>"
        "</draw:frame><draw:custom-shape><text:p>in a shape</text:p></draw:custom-shape></text:p>"
        '<table:table table:name="T"><table:table-row><table:table-cell><text:p>a</text:p>'
        '<text:p>b</text:p></table:table-cell><table:table-cell table:number-columns-repeated="2">'
        "<text:p>c</text:p></table:table-cell></table:table-row></table:table>"
    )
    styles = (
        "<style:header><text:p>the header</text:p></style:header>"
        "<style:footer><text:p>the footer</text:p></style:footer>"
    )
    response = parse(make_zip(parts(body, styles=styles)), "a.odt")
    assert response.parsed_content.split("\n\n") == [
        "the header", "Scope", "a  b\tc\nd e[1]", "1. one", "2. two", "- dot", "by", "in a box",
        "in a shape", "a b\tc\tc", "the footer", "[1] the note",
    ]  # fmt: skip
    assert response.tables == (Table(rows=(("a b", "c", "c"),), name="T"),)
    assert [(each.level, each.text) for each in response.sections] == [(2, "Scope")]
    metadata = response.metadata
    assert (metadata.title, metadata.author) == ("A report", "Ann")
    assert metadata.created == "2026-05-02T18:00:00"


def test_the_slides_of_a_presentation_are_read(parse: Any, make_zip: Make) -> None:
    body = (
        "<draw:page><draw:frame><draw:text-box><text:p>first</text:p></draw:text-box></draw:frame>"
        "<presentation:notes><draw:frame><draw:text-box><text:p>its note</text:p></draw:text-box>"
        "</draw:frame></presentation:notes></draw:page>"
    )
    response = parse(make_zip(parts(body, "presentation")))
    assert response.parsed_content == "first\n\nits note"


def test_an_encrypted_file_is_refused(parse: Any, make_zip: Make) -> None:
    encrypted = {**parts(""), "META-INF/manifest.xml": "<m><encryption-data/></m>"}
    with pytest.raises(OperationError) as caught:
        parse(make_zip(encrypted))
    assert caught.value.code == "document.encrypted"


def test_a_file_without_content_is_damaged(parse: Any, make_zip: Make) -> None:
    with pytest.raises(OperationError) as caught:
        parse(make_zip({"mimetype": TYPE + "text"}))
    assert caught.value.code == "document.damaged"
