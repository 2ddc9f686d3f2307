"""HTML pages."""

from __future__ import annotations

from typing import Any

import pytest

PAGE = """<!DOCTYPE html>
<html><head><title> The  title </title><meta name="author" content="Ann">
<meta name="date" content="not a date">
<meta property="article:published_time" content="2026-03-09T10:00:00Z">
<style>p { color: red }</style><script>var hidden = 1;</script></head>
<body><h1>A heading</h1><p>Some <b>bold</b>
   words.<br>A new line.</p><ul><li>one</li><li>two</li></ul>
<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>
<pre>  keep
    this</pre><noscript>no script</noscript></body></html>"""


def test_the_visible_text_is_read_in_blocks(parse: Any) -> None:
    response = parse(PAGE.encode())
    assert response.parsed_content == (
        "A heading\n\nSome bold words.\nA new line.\n\none\ntwo\n\na\tb\nc\td\n\n  keep\n    this"
    )


def test_title_author_and_date_are_read(parse: Any) -> None:
    metadata = parse(PAGE.encode()).metadata
    assert (metadata.title, metadata.author) == ("The title", "Ann")
    assert metadata.created == "2026-03-09T10:00:00+00:00"
    assert metadata.media_type == "text/html"


def test_without_a_title_the_first_heading_is_it(parse: Any) -> None:
    assert parse(b"<!doctype html><p>x</p><h1>The heading</h1>").metadata.title == "The heading"


@pytest.mark.parametrize(
    ("encoding", "declaration"),
    [
        ("windows-1251", '<meta charset="windows-1251">'),
        (
            "koi8-r",
            '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
        ),
        ("utf-8", '<meta charset="windows-1251x">'),
        ("utf-16", ""),
    ],
)
def test_the_declared_encoding_is_used(parse: Any, encoding: str, declaration: str) -> None:
    page = f"<!doctype html>{declaration}<p>Привет, мир</p>".encode(encoding)
    assert parse(page).parsed_content == "Привет, мир"


@pytest.mark.timeout(120)
def test_deep_nesting_does_no_harm(parse: Any) -> None:
    page = b"<!doctype html>" + b"<div>" * 20_000 + b"the core"
    assert "the core" in parse(page).parsed_content


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<p>a</p><p style="color:red; Display : NONE">b</p>', "a"),
        ("<p>a</p><div hidden><p>b</p></div>", "a"),
        ('<p>a</p><div style="visibility:hidden">b</div>', "a"),
        ("<p>a</p><dialog>b</dialog><dialog open>c</dialog>", "a\n\nc"),
        ('<p style="display:block">a</p>', "a"),
        ('<p>Name: <input value="typed"><input type="hidden" value="b"></p>', "Name: typed"),
        ("<select><option>a<option selected>b</select>", "b"),
        ("<select><option>a<option>b</select>", "a"),
    ],
)
def test_what_a_browser_does_not_show_is_left_out(parse: Any, markup: str, expected: str) -> None:
    assert parse(f"<!doctype html>{markup}".encode()).parsed_content == expected


def test_tables_have_their_rows_with_spans_filled(parse: Any) -> None:
    page = (
        "<!doctype html><table><tr><th>Item</th><th colspan=2>Price</th></tr>"
        "<tr><td rowspan=2>A</td><td>1</td><td>EUR</td></tr><tr><td>2</td><td>USD</td></tr></table>"
    )
    (table,) = parse(page.encode()).tables
    assert table.rows == (("Item", "Price", ""), ("A", "1", "EUR"), ("", "2", "USD"))


def test_a_table_that_lays_out_a_page_is_none(parse: Any) -> None:
    inner = "<table><tr><td>a</td><td>b</td></tr></table>"
    page = f"<!doctype html><table><tr><td>{inner}</td></tr></table>"
    (table,) = parse(page.encode()).tables
    assert table.rows == (("a", "b"),)


@pytest.mark.timeout(120)
def test_tables_nested_deeply_do_no_harm(parse: Any) -> None:
    page = b"<!doctype html>" + b"<table><tr><td>" * 10_000 + b"the core"
    response = parse(page)
    assert "the core" in response.parsed_content
    assert response.tables == ()
