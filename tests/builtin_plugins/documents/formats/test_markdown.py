"""Markdown files."""

from __future__ import annotations

from typing import Any

import pytest

TEXT = """---
title: From the front matter
---
intro with [a link](https://example.com) and <b>html</b>

# The *first* heading

1. one
2. two
   - inner

```python
def f():
    return 1
```

| a | b |
|---|---|
| c | d |

<div><p>a block of html</p></div>
"""


def test_the_text_is_read_without_its_marks(parse: Any) -> None:
    assert parse(TEXT.encode(), "a.md").parsed_content == (
        "title: From the front matter\n\n"
        "intro with a link and html\n\n"
        "The first heading\n\n"
        "1. one\n2. two\n- inner\n\n"
        "def f():\n    return 1\n\n"
        "a\tb\nc\td\n\n"
        "a block of html"
    )


@pytest.mark.parametrize(
    "front",
    [
        '---\ntitle: "Heating report"\nauthor: Jane Roe\ndate: 2025-03-04\ntags: [a]\n---\n',
        "+++\ntitle = 'Heating report'\nauthor = \"Jane Roe\"\ndate = 2025-03-04\n+++\n",
    ],
)
def test_the_front_matter_has_the_properties(parse: Any, front: str) -> None:
    metadata = parse(f"{front}\n# The heading\n".encode(), "a.md").metadata
    assert (metadata.title, metadata.author) == ("Heating report", "Jane Roe")
    assert metadata.created == "2025-03-04T00:00:00"


def test_headings_and_tables_are_marked(parse: Any) -> None:
    response = parse(TEXT.encode(), "a.md")
    assert [(each.level, each.text, each.line) for each in response.sections] == [
        (1, "The first heading", 5)
    ]
    assert [table.rows for table in response.tables] == [(("a", "b"), ("c", "d"))]


def test_the_first_heading_is_the_title(parse: Any) -> None:
    text = TEXT.partition("---\n")[2].partition("---\n")[2]
    assert parse(text.encode(), "a.md").metadata.title == "The first heading"


def test_a_text_without_a_heading_has_no_title(parse: Any) -> None:
    assert parse(b"words", "a.md").metadata.title is None
