"""document.outline: headings from the format where it has them, with lines of the parsed text."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from fpdf import FPDF

from qtforge_builtin_plugins.documents.parser import DocumentParser, ParserConfig
from qtforge_builtin_plugins.pipelines.general.messages import Outline, OutlineRequest
from qtforge_builtin_plugins.pipelines.general.plugin import GeneralConfig, GeneralPipeline
from qtforge_sdk import Document, OperationContext
from qtforge_sdk.messages import ParseRequest

MARKDOWN = """---
title: A note
---

# The `queue`

Text with a # in it.

```
# no heading
```

Reading
-------

- Reading

### Twice

Text.

### Twice
"""

HTML = """<html><body><h1>One</h1><p>Text.</p><h2>Two <em>and</em> more</h2><p>Text.</p>
<h2> </h2><h3>Three</h3></body></html>"""


def outline(source: bytes, media_type: str, change: Callable[[bytes], bytes] = bytes) -> Outline:
    parser = DocumentParser()
    parser.config = ParserConfig()
    context = OperationContext("document.parse")
    document = Document(name="d", content=source, media_type=media_type)
    parsed = parser.parse(ParseRequest(document=document), context)
    plugin = GeneralPipeline()
    plugin.config = GeneralConfig()
    request = OutlineRequest(
        parsed_content=parsed.parsed_content,
        document=Document(name="d", content=change(source)),
        metadata=parsed.metadata,
    )
    answer = plugin.outline(request, context)
    lines = parsed.parsed_content.split("\n")
    for heading in answer.headings:
        assert heading.text.casefold() in " ".join(lines[heading.line - 1].split()).casefold()
    return answer


def headings(answer: Outline) -> list[tuple[int, str]]:
    return [(each.level, each.text) for each in answer.headings]


def test_markdown_says_what_its_headings_are() -> None:
    answer = outline(MARKDOWN.encode(), "text/markdown")
    assert answer.source == "document"
    assert headings(answer) == [(1, "The queue"), (2, "Reading"), (3, "Twice"), (3, "Twice")]
    assert len({each.line for each in answer.headings}) == 4


def test_html_says_what_its_headings_are() -> None:
    answer = outline(HTML.encode(), "text/html")
    assert headings(answer) == [(1, "One"), (2, "Two and more"), (3, "Three")]


def test_docx_says_what_its_headings_are() -> None:
    document = docx.Document()
    document.add_heading("The whole", 0)
    document.add_heading("A part", 1)
    document.add_paragraph("Text.")
    document.add_heading("A smaller part", 2)
    target = io.BytesIO()
    document.save(target)
    media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    answer = outline(target.getvalue(), media_type)
    assert answer.source == "document"
    assert headings(answer) == [(1, "The whole"), (1, "A part"), (2, "A smaller part")]


def test_a_pdf_with_bookmarks_says_what_its_headings_are() -> None:
    pdf = FPDF()
    pdf.set_font("helvetica", size=12)
    for level, title in enumerate(["The whole", "A part"]):
        pdf.add_page()
        pdf.start_section(title, level=level)
        pdf.multi_cell(0, 8, f"{title}\nText below it.")
    answer = outline(bytes(pdf.output()), "application/pdf")
    assert answer.source == "document"
    assert headings(answer) == [(1, "The whole"), (2, "A part")]


def test_a_document_that_has_changed_since_is_not_trusted() -> None:
    answer = outline(MARKDOWN.encode(), "text/markdown", lambda data: data + b"\n# More\n")
    assert answer.source == "text"
    assert "More" not in [each.text for each in answer.headings]


def test_a_document_that_is_gone_or_plain_gives_headings_from_the_text(tmp_path: Path) -> None:
    text = "1. First\n\nText of it.\n\n2. Second\n\nMore.\n"
    answer = outline(text.encode(), "text/plain")
    assert (answer.source, headings(answer)) == ("text", [(1, "1. First"), (1, "2. Second")])
    plugin = GeneralPipeline()
    plugin.config = GeneralConfig()
    gone = OutlineRequest(
        parsed_content=text, document=Document(name="d", path=str(tmp_path / "gone.md"))
    )
    assert headings(plugin.outline(gone, OperationContext("document.outline"))) == headings(answer)


@pytest.mark.parametrize("text", ["", "\n\n", "One sentence, and nothing else."])
def test_a_text_without_headings_has_none(text: str) -> None:
    plugin = GeneralPipeline()
    plugin.config = GeneralConfig()
    answer = plugin.outline(
        OutlineRequest(parsed_content=text), OperationContext("document.outline")
    )
    assert answer == Outline(headings=[], source="text")
