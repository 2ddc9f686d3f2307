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
    page = b"<!doctype html>" + b"<div>" * 50_000 + b"the core"
    assert "the core" in parse(page).parsed_content
