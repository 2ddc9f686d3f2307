"""Books, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import OperationError

Make = Callable[[dict[str, str | bytes]], bytes]


def book() -> dict[str, str | bytes]:
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:c"><rootfiles><rootfile'
        ' full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="urn:opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<metadata><dc:title>The book</dc:title><dc:creator>Ann</dc:creator></metadata><manifest>"
        '<item id="a" href="text/a%20b.xhtml"/><item id="b" href="b.xhtml"/></manifest>'
        '<spine><itemref idref="b"/><itemref idref="a"/></spine></package>',
        "OEBPS/text/a b.xhtml": "<html><body><h1>Two</h1><p>last</p></body></html>",
        "OEBPS/b.xhtml": "<html><body><h1>One</h1><p>Grüße</p></body></html>",
    }


def test_chapters_are_read_in_the_order_of_reading(parse: Any, make_zip: Make) -> None:
    response = parse(make_zip(book()), "a.zip")
    assert response.parsed_content == "One\n\nGrüße\n\nTwo\n\nlast"
    assert [each.text for each in response.sections] == ["One", "Two"]
    assert (response.metadata.title, response.metadata.author) == ("The book", "Ann")


def test_the_tables_of_all_chapters_are_kept(parse: Any, make_zip: Make) -> None:
    tables: dict[str, str | bytes] = {
        f"OEBPS/{chapter}.xhtml": f"<table><tr><td>{chapter}</td><td>1</td></tr></table>"
        for chapter in ("text/a b", "b")
    }
    response = parse(make_zip(book() | tables))
    assert [each.rows for each in response.tables] == [(("b", "1"),), (("text/a b", "1"),)]


def test_a_missing_chapter_is_said(parse: Any, make_zip: Make) -> None:
    parts = book()
    del parts["OEBPS/b.xhtml"]
    response = parse(make_zip(parts))
    assert response.parsed_content == "Two\n\nlast"
    assert response.warnings == ("parts_missing",)


def test_a_book_with_rights_management_is_refused(parse: Any, make_zip: Make) -> None:
    with pytest.raises(OperationError) as caught:
        parse(make_zip({**book(), "META-INF/rights.xml": "<r/>"}))
    assert caught.value.code == "document.encrypted"
