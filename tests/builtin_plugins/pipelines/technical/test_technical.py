"""code-analyzer and diagram-extractor on documents made on the spot."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lizard", reason="the extra 'documents' is not installed")

from qtforge_builtin_plugins.pipelines.technical import languages, notations
from qtforge_builtin_plugins.pipelines.technical.code import CodeAnalyzer
from qtforge_builtin_plugins.pipelines.technical.diagrams import DiagramExtractor
from qtforge_builtin_plugins.pipelines.technical.messages import (
    CodeRequest,
    CodeResponse,
    DiagramRequest,
    DiagramResponse,
    Image,
    LineCounts,
)
from qtforge_sdk import Document, OperationContext, OperationError
from qtforge_sdk.messages import DocumentMetadata

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT.parent / "shared" / "documents"
TYPES = {".md": "text/markdown", ".html": "text/html"}


def asked(path: Path, text: str | None = None) -> dict[str, Any]:
    data = path.read_bytes()
    metadata = DocumentMetadata(
        name=path.name,
        media_type=TYPES.get(path.suffix, "text/plain"),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        words=len(data.split()),
        encoding="utf-8",
    )
    return {
        "parsed_content": data.decode() if text is None else text,
        "metadata": metadata,
        "document": Document(name=path.name, path=str(path)),
    }


def analyze(path: Path, **changes: Any) -> CodeResponse:
    context = OperationContext("code.analyze", "code-analyzer")
    return CodeAnalyzer().analyze(CodeRequest(**{**asked(path), **changes}), context)


def extract(path: Path, **changes: Any) -> DiagramResponse:
    context = OperationContext("diagram.extract", "diagram-extractor")
    return DiagramExtractor().extract(DiagramRequest(**{**asked(path), **changes}), context)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


MARKDOWN = """\
---
title: front matter
---
# A note

Text with `inline code`.

```python
# Adds.
def add(first, second):
    \"\"\"Return the sum.\"\"\"
    if first and second:

        return first + second  # both
    return 0
```

1. A list

   ```js
   function f(a) { return a ? 1 : 2 }
   ```

    import os
    print(os.name)

~~~
plain output
~~~

<pre><code class="language-rust">fn main() { println!("hi"); }</code></pre>

```mermaid
flowchart LR
  A[Start] -->|go| B & C
```
"""


def test_blocks_of_markdown_are_found_with_language_line_and_lines(tmp_path: Path) -> None:
    found = analyze(write(tmp_path, "note.md", MARKDOWN))
    assert [(block.source, block.language, block.language_source) for block in found.blocks] == [
        ("fence", "python", "given"),
        ("fence", "javascript", "given"),
        ("fence", None, "unknown"),
        ("pre", "rust", "given"),
    ]
    python, script = found.blocks[:2]
    assert python.line == MARKDOWN.split("\n").index("# Adds.") + 1
    assert python.lines == LineCounts(code=4, comment=2, blank=1)
    assert [(each.name, each.complexity, each.parameters) for each in python.functions] == [
        ("add", 3, 2)
    ]
    assert (python.complexity, script.complexity, found.complexity) == (3, 2, 3)
    assert found.languages == {"python": 4, "javascript": 1, "rust": 1, "unknown": 1}
    assert found.lines.code == 7
    assert found.unchecked == []


def test_indented_blocks_are_code_in_markdown_but_not_in_plain_text(tmp_path: Path) -> None:
    text = "Text:\n\n    import os\n    for name in os.listdir():\n        print(name)\n\nEnd.\n"
    (block,) = analyze(write(tmp_path, "a.md", text)).blocks
    assert (block.source, block.language, block.language_source) == ("indent", "python", "parsed")
    assert block.line == 3
    assert analyze(write(tmp_path, "a.txt", text)).blocks == []


def test_fences_in_a_plain_text_are_code(tmp_path: Path) -> None:
    (block,) = analyze(write(tmp_path, "a.txt", "See:\n\n```sql\nSELECT 1;\n```\n")).blocks
    assert (block.language, block.line) == ("sql", 4)


def test_blocks_of_html_are_found(tmp_path: Path) -> None:
    page = (
        "<p>x <code>inline</code></p><pre class='brush: java'>int a = 1; // one\n</pre>"
        '<pre>{"a": [1, 2]}</pre><pre> \n </pre>'
    )
    found = analyze(write(tmp_path, "page.html", page))
    assert [(block.language, block.language_source) for block in found.blocks] == [
        ("java", "given"),
        ("json", "parsed"),
    ]
    assert found.blocks[0].line is None


def test_a_source_file_is_one_block(tmp_path: Path) -> None:
    (block,) = analyze(write(tmp_path, "tool.go", "package main\n\n// x\nfunc main() {}\n")).blocks
    assert (block.source, block.language, block.complexity) == ("file", "go", 1)
    assert block.lines == LineCounts(code=2, comment=1, blank=1)


def test_without_the_document_itself_what_is_missing_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "note.md", MARKDOWN)
    found = analyze(path, document=None, parsed_content="text only")
    assert found.blocks == []
    assert "document itself was not given" in found.unchecked[0]


def test_a_document_that_changed_since_it_was_parsed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "note.md", MARKDOWN)
    request = asked(path)
    path.write_text("changed")
    with pytest.raises(OperationError) as caught:
        CodeAnalyzer().analyze(
            CodeRequest(**request), OperationContext("code.analyze", "code-analyzer")
        )
    assert caught.value.code == "document.changed"


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ('{"a": 1}', "json"),
        ("[queue]\nurl = 'x'\nlease_s = 30\n", "toml"),
        ("import os\nprint(os.name)\n", "python"),
        ("#!/bin/sh\necho hi\n", "bash"),
        ("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "diff"),
        ("<?xml version='1.0'?>\n<a><b/></a>", "xml"),
        ('package main\nimport "fmt"\nfunc main() { fmt.Println(1) }\n', None),
        ("{name}:{version}@default\n", None),
        ("https://example.com/x\n", None),
        ("$ pip install x\n", None),
        ("hello", None),
        ("x = 1", "toml"),
        ("[" * 100_000, None),
    ],
)
def test_a_language_is_only_told_when_it_is_sure(code: str, language: str | None) -> None:
    assert languages.recognize(code).name == language


@pytest.mark.parametrize("name", ["text", "none", "plaintext"])
def test_what_is_given_as_no_language_is_none(name: str) -> None:
    assert languages.by_name(name).name is None


def test_a_language_that_nobody_knows_keeps_its_name(tmp_path: Path) -> None:
    (block,) = analyze(write(tmp_path, "a.md", "```klingon\n# qapla\n```\n")).blocks
    assert (block.language, block.language_source) == ("klingon", "given")
    assert block.lines == LineCounts(code=1, comment=0, blank=0)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + b"\0" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_images_are_found_and_those_beside_the_document_measured(tmp_path: Path) -> None:
    (tmp_path / "doc" / "img").mkdir(parents=True)
    (tmp_path / "doc" / "img" / "a b.png").write_bytes(png(7, 5))
    (tmp_path / "secret.png").write_bytes(png(1, 1))
    (tmp_path / "doc" / "img" / "bad.png").write_bytes(b"no image")
    text = (
        "# x\n\n![A *plan*](img/a%20b.png?raw=true)\ntext ![](../secret.png)\n\n"
        "<img src='https://example.com/x.png' alt='far'> ![](data:image/png;base64,"
        + "A" * 100
        + ")\n\n![no](img/none.png) ![bad](img/bad.png) ![f](img)\n"
    )
    found = extract(write(tmp_path / "doc", "note.md", text))
    assert found.images[0] == Image(
        alt="A plan", target="img/a%20b.png?raw=true", line=3, width_px=7, height_px=5
    )
    assert [(image.line, image.width_px, image.note) for image in found.images[1:]] == [
        (4, None, "it is outside the document's folder"),
        (6, None, "it is not a local file"),
        (6, None, "it is not a local file"),
        (8, None, "the file does not exist"),
        (8, None, "its format is not known"),
        (8, None, "the file does not exist"),
    ]
    assert len(found.images[3].target) < 60


def test_diagrams_are_found_with_kind_title_and_counts(tmp_path: Path) -> None:
    text = (
        MARKDOWN
        + "```plantuml\n@startuml\ntitle Login\nactor User\nUser -> Server : hello\n@enduml\n```\n"
        + '```dot\ndigraph g { rankdir=LR; a -> b -> c; a [label="x"] }\n```\n'
        + "```mermaid\n---\ntitle: A talk\n---\nsequenceDiagram\n  participant A as Ann\n"
        + "  A->>+B: hi\n  B-->>-A: hello\n  Note right of A: done\n```\n"
        + '```mermaid\npie title Pets\n"Dogs" : 3\n```\n'
    )
    found = extract(write(tmp_path, "note.md", text)).diagrams
    assert [(each.notation, each.kind, each.nodes, each.edges) for each in found] == [
        ("mermaid", "flowchart", 3, 2),
        ("plantuml", "sequence", None, None),
        ("graphviz", "directed graph", 3, 2),
        ("mermaid", "sequence", 2, 2),
        ("mermaid", "pie", None, None),
    ]
    assert [each.title for each in found[:4]] == [None, "Login", None, "A talk"]
    assert found[0].line == MARKDOWN.split("\n").index("flowchart LR") + 1


def test_diagrams_of_html_are_found(tmp_path: Path) -> None:
    page = "<pre class='mermaid'>graph TD; A--&gt;B; B--&gt;A</pre>"
    (diagram,) = extract(write(tmp_path, "page.html", page)).diagrams
    assert (diagram.kind, diagram.nodes, diagram.edges) == ("flowchart", 2, 2)


def test_plantuml_in_a_plain_text_is_found(tmp_path: Path) -> None:
    text = "Before\n@startmindmap\n* root\n@endmindmap\nAfter\n"
    (diagram,) = extract(write(tmp_path, "a.txt", text)).diagrams
    assert (diagram.notation, diagram.kind, diagram.line) == ("plantuml", "mindmap", 2)


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("graph TD\nA-->B\nB-.->C\nC==>D\nD---A", (4, 4)),
        ("flowchart TD\nA & B --> C & D", (4, 4)),
        ("flowchart TD\nA -- yes or no --> B{ok?}\nB -->|no| A", (2, 2)),
        ("flowchart TD\nsubgraph one [Group]\nA-->B\nend\nB-->C:::red\nclassDef red x:y", (3, 2)),
        ("flowchart TD\nsubgraph one\nA-->B\nend\none-->C", None),
        ("flowchart TD\nA@{ shape: rect } --> B", None),
        ("flowchart TD\nA[open --> B", None),
        ("flowchart TD", (0, 0)),
    ],
)  # fmt: skip
def test_a_flowchart_is_counted_or_not_at_all(text: str, counted: tuple[int, int] | None) -> None:
    found = notations.count("mermaid", "flowchart", text)
    assert (None if found is None else (found.nodes, found.edges)) == counted


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ('graph { a -- b; b -- "c d" [label="x"]\n e }', (4, 2)),
        ("digraph { a:port -> b }", (2, 1)),
        ("digraph { subgraph s { a } }", None),
        ("digraph { a -> {b c} }", None),
        ("digraph { /* a -> b */ }", None),
        ("no graph", None),
    ],
)
def test_a_graphviz_graph_is_counted_or_not_at_all(
    text: str, counted: tuple[int, int] | None
) -> None:
    found = notations.count("graphviz", None, text)
    assert (None if found is None else (found.nodes, found.edges)) == counted


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("@startuml\nclass A\nA <|-- B\n@enduml", "class"),
        ("@startuml\n[*] --> Idle\n@enduml", "state"),
        ("@startuml\nstart\n:work;\nstop\n@enduml", "activity"),
        ("@startuml\nAlice -> Bob: hi\n@enduml", "sequence"),
        ("@startgantt\n[x] lasts 3 days\n@endgantt", "gantt"),
        ("@startuml\n@enduml", None),
    ],
)
def test_a_plantuml_diagram_s_kind_is_told(text: str, kind: str | None) -> None:
    assert notations.kind_of("plantuml", text) == kind


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    ["```mermaid\nflowchart TD\n" + "A--" * 30_000 + "\n```\n", "```\n" + "(" * 50_000 + "\n```\n",
     "```mermaid\nflowchart TD\nA[" + "-" * 50_000 + "\n```\n", "@startuml\n" * 20_000,
     "```dot\ndigraph {" + "a -> " * 20_000 + "}\n```\n", "![" * 20_000,
     "```python\n" + "if x:\n " * 5_000 + "\n```\n", "```mermaid\n```\n", "```dot\n\n```\n"],
    ids=["links", "brackets", "shape", "starts", "edges", "images", "ifs", "empty", "blank"],
)  # fmt: skip
def test_foreign_texts_end_in_time(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "a.md", text)
    assert analyze(path).unchecked == []
    assert extract(path).unchecked == []
    plain = write(tmp_path, "a.txt", text)
    assert extract(plain).unchecked == []


def test_the_real_specification_is_read() -> None:
    path = SHARED / "technical-workflow-dsl.md"
    if not path.is_file():
        pytest.skip("the shared documents are not beside the checkout")
    found = analyze(path)
    assert found.languages["yaml"] > 50
    lines = path.read_text(encoding="utf-8").split("\n")
    for block in found.blocks:
        assert block.line is not None
        assert lines[block.line - 1].strip() == block.excerpt.split("\n")[0].strip()
    (diagram,) = extract(path).diagrams
    assert (diagram.kind, diagram.nodes) == ("flowchart", None)  # a link to a group
