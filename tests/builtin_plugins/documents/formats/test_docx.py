"""DOCX files, made on the spot."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.parser import ParserConfig
from qtforge_sdk import OperationError

MADE_AT = datetime.datetime(2026, 5, 2, 18, 0, tzinfo=datetime.UTC)


def fill(document: Any) -> None:
    document.core_properties.title = "A report"
    document.core_properties.author = "Ann"
    document.core_properties.created = MADE_AT
    document.sections[0].header.paragraphs[0].text = "the header"
    document.add_paragraph("before")
    table = document.add_table(rows=2, cols=3)
    for number, cell in enumerate(table.rows[0].cells):
        cell.text = f"cell {number}"
    table.rows[1].cells[0].merge(table.rows[1].cells[1]).text = "wide"
    table.rows[1].cells[2].text = "last"
    document.add_paragraph("after")


def test_paragraphs_and_tables_keep_their_order(parse: Any, make_docx: Any) -> None:
    response = parse(make_docx(fill), "a.zip")
    assert response.parsed_content == (
        "the header\n\nbefore\n\ncell 0\tcell 1\tcell 2\nwide\tlast\n\nafter"
    )
    metadata = response.metadata
    assert (metadata.title, metadata.author) == ("A report", "Ann")
    assert metadata.created is not None
    assert datetime.datetime.fromisoformat(metadata.created) == MADE_AT


def test_without_a_title_the_first_heading_is_it(parse: Any, make_docx: Any) -> None:
    def with_heading(document: Any) -> None:
        document.add_paragraph("before")
        document.add_heading("The heading", 1)

    assert parse(make_docx(with_heading)).metadata.title == "The heading"


def test_a_truncated_docx_is_damaged(parse: Any, make_docx: Any) -> None:
    whole = make_docx(fill)
    with pytest.raises(OperationError) as caught:
        parse(whole[: len(whole) // 2], "a.docx")
    assert caught.value.code == "document.damaged"


def test_a_docx_with_a_broken_part_is_damaged(parse: Any, make_docx: Any) -> None:
    broken = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(make_docx(fill))) as whole,
        zipfile.ZipFile(broken, "w") as copy,
    ):
        for name in whole.namelist():
            copy.writestr(name, b"<w:" if name == "word/document.xml" else whole.read(name))
    with pytest.raises(OperationError) as caught:
        parse(broken.getvalue(), "a.docx")
    assert caught.value.code == "document.damaged"
    assert caught.value.__cause__ is not None


NAMESPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "v": "urn:schemas-microsoft-com:vml",
    }.items()
)


def run(text: str, properties: str = "") -> str:
    return f'<w:r>{properties}<w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(inner: str) -> str:
    return f"<w:p>{inner}</w:p>"


def box(kind: str, text: str) -> str:
    return f"<{kind}><w:txbxContent>{paragraph(run(text))}</w:txbxContent></{kind}>"


def add(document: Any, markup: str) -> None:
    """Append blocks, as Word writes them, before the section's properties."""
    from docx.oxml import parse_xml

    body = document.element.body
    for child in parse_xml(f"<w:body {NAMESPACES}>{markup}</w:body>"):
        body.insert(len(body) - 1, child)


def rewritten(content: bytes, change: Callable[[str, bytes], bytes], **added: bytes) -> bytes:
    """Return a package with changed parts; names of added parts have __ for a slash."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(target, "w") as copy:
        for name in whole.namelist():
            copy.writestr(name, change(name, whole.read(name)))
        for name, part in added.items():
            copy.writestr(name.replace("__", "/") + ".xml", part)
    return target.getvalue()


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (
            run("pays ") + f'<w:del w:id="1">{run("500")}</w:del>'
            f'<w:ins w:id="2">{run("900")}</w:ins>' + run(" EUR"),
            "pays 900 EUR",
        ),
        (f'<w:moveFrom w:id="1">{run("from")}</w:moveFrom>{run("stays")}', "stays"),
        (f"<w:sdt><w:sdtContent>{run('C-4711')}</w:sdtContent></w:sdt>", "C-4711"),
        (f'<w:smartTag w:uri="u" w:element="e">{run("Lisbon")}</w:smartTag>', "Lisbon"),
        (f'<w:fldSimple w:instr="DATE">{run("5 May")}</w:fldSimple>', "5 May"),
        (
            '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>IF </w:instrText></w:r>'
            f'{run("code")}<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("result")}'
            '<w:r><w:fldChar w:fldCharType="end"/></w:r>' + run(" after"),
            "result after",
        ),
        (
            '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:default w:val="1"/>'
            '</w:checkBox></w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
            + run(" agreed"),
            "☒ agreed",
        ),
        (
            "<w:r><mc:AlternateContent><mc:Choice>" + box("wps:txbx", "once")
            + "</mc:Choice><mc:Fallback>" + box("v:textbox", "once")
            + "</mc:Fallback></mc:AlternateContent></w:r>" + run("beside"),
            "beside\n\nonce",
        ),
        (f"<w:r><w:pict>{box('v:textbox', 'old box')}</w:pict></w:r>", "old box"),
        (run("hidden", "<w:rPr><w:vanish/></w:rPr>") + run("shown"), "shown"),
        (
            run("shown", '<w:rPr><w:vanish w:val="0"/></w:rPr>'),
            "shown",
        ),
        ("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r>", "a\tb\nc"),
        (
            "<m:oMath><m:r><m:t>x=</m:t></m:r><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den>"
            "<m:r><m:t>2</m:t></m:r></m:den></m:f><m:rad><m:deg/><m:e><m:sSup><m:e><m:r><m:t>c"
            "</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:e></m:rad>"
            "</m:oMath>",
            "x=(a+b)/2√(c^2)",
        ),
    ],
)  # fmt: skip
def test_a_paragraph_is_read_as_a_reader_sees_it(
    parse: Any, make_docx: Any, markup: str, expected: str
) -> None:
    content = make_docx(lambda document: add(document, paragraph(markup)))
    assert parse(content).parsed_content == expected


def test_a_field_that_never_ends_hides_no_later_paragraph(parse: Any, make_docx: Any) -> None:
    opened = '<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + run("code")
    content = make_docx(lambda document: add(document, paragraph(opened) + paragraph(run("after"))))
    assert parse(content).parsed_content == "after"


def test_tables_have_their_rows_also_nested_and_in_controls(parse: Any, make_docx: Any) -> None:
    def cell(inner: str) -> str:
        return f"<w:tc>{inner}</w:tc>"

    nested = f"<w:tbl><w:tr>{cell(paragraph(run('nested')))}</w:tr></w:tbl>"
    rows = (
        f"<w:tr>{cell(paragraph(run('two')) + paragraph(run('lines')))}{cell(nested)}</w:tr>"
        f"<w:sdt><w:sdtContent><w:tr>{cell(paragraph(run('controlled')))}</w:tr></w:sdtContent>"
        f"</w:sdt><w:tr><w:trPr><w:del w:id='1'/></w:trPr>{cell(paragraph(run('gone')))}</w:tr>"
    )
    response = parse(make_docx(lambda document: add(document, f"<w:tbl>{rows}</w:tbl>")))
    assert response.parsed_content == "two lines\tnested\ncontrolled"
    (table,) = response.tables
    assert table.rows == (("two lines", "nested"), ("controlled",))


def test_headings_are_sections_with_their_lines(parse: Any, make_docx: Any) -> None:
    def fill(document: Any) -> None:
        document.add_paragraph("before")
        document.add_heading("Scope", 1)
        document.add_paragraph("words")
        document.add_heading("Details", 2)

    response = parse(make_docx(fill))
    lines = response.parsed_content.split("\n")
    found = [(each.level, each.text, lines[each.line - 1]) for each in response.sections]
    assert found == [(1, "Scope", "Scope"), (2, "Details", "Details")]


def test_lists_are_read_with_their_numbers(parse: Any, make_docx: Any) -> None:
    from docx.oxml import parse_xml

    def level(number: int, kind: str, text: str) -> str:
        return (
            f'<w:lvl w:ilvl="{number}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/>'
            f'<w:lvlText w:val="{text}"/></w:lvl>'
        )

    def item(number: int, text: str, list_id: int = 77) -> str:
        numbered = f'<w:numPr><w:ilvl w:val="{number}"/><w:numId w:val="{list_id}"/></w:numPr>'
        return paragraph(f"<w:pPr>{numbered}</w:pPr>{run(text)}")

    def fill(document: Any) -> None:
        levels = (
            level(0, "decimal", "%1.") + level(1, "decimal", "%1.%2")
            + level(2, "lowerRoman", "(%3)") + level(3, "upperLetter", "%4)")
        )  # fmt: skip
        numbering = document.part.numbering_part.element
        abstract = f'<w:abstractNum {NAMESPACES} w:abstractNumId="777">{levels}</w:abstractNum>'
        numbering.insert(0, parse_xml(abstract))
        for list_id, start in ((77, ""), (78, '<w:startOverride w:val="5"/>')):
            override = f'<w:lvlOverride w:ilvl="0">{start}</w:lvlOverride>' if start else ""
            numbering.append(
                parse_xml(
                    f'<w:num {NAMESPACES} w:numId="{list_id}"><w:abstractNumId w:val="777"/>'
                    f"{override}</w:num>"
                )
            )
        add(
            document,
            item(0, "one") + item(1, "below") + item(1, "below too") + item(2, "deep")
            + paragraph(run("between")) + item(0, "two") + item(1, "again") + item(3, "letter")
            + item(0, "five", 78) + item(0, "none", 0),
        )  # fmt: skip

    assert parse(make_docx(fill)).parsed_content.split("\n\n") == [
        "1. one", "1.1 below", "1.2 below too", "(i) deep", "between", "2. two", "2.1 again",
        "A) letter", "5. five", "none",
    ]  # fmt: skip


def test_numbers_that_a_style_gives_are_read(parse: Any, make_docx: Any) -> None:
    def fill(document: Any) -> None:
        document.add_paragraph("first clause", style="List Number")
        document.add_paragraph("second clause", style="List Number")
        document.add_paragraph("a point", style="List Bullet")

    text = parse(make_docx(fill)).parsed_content
    assert text == "1. first clause\n\n2. second clause\n\n- a point"


def test_headers_and_footers_of_every_section_are_read_once(parse: Any, make_docx: Any) -> None:
    def fill(document: Any) -> None:
        first = document.sections[0]
        first.different_first_page_header_footer = True
        first.first_page_header.paragraphs[0].text = "first page"
        first.header.paragraphs[0].text = "header"
        first.footer.paragraphs[0].text = "footer"
        document.add_paragraph("one")
        second = document.add_section()
        second.header.is_linked_to_previous = False
        second.header.paragraphs[0].text = "second header"
        second.footer.is_linked_to_previous = False
        second.footer.paragraphs[0].text = "footer"
        second.even_page_header.paragraphs[0].text = "not used without the setting"
        document.add_paragraph("two")

    assert parse(make_docx(fill)).parsed_content.split("\n\n") == [
        "first page", "header", "one", "footer", "second header", "two",
    ]  # fmt: skip


def test_notes_follow_the_text(parse: Any, make_docx: Any) -> None:
    kinds = ("footnote", "endnote")
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

    def change(name: str, part: bytes) -> bytes:
        if name == "word/_rels/document.xml.rels":
            for kind in kinds:
                new = f'<Relationship Id="r{kind}" Type="{office}/{kind}s" Target="{kind}s.xml"/>'
                part = part.replace(b"</Relationships>", f"{new}</Relationships>".encode())
        return part

    def note(kind: str) -> bytes:
        body = f'<w:{kind} w:id="2">{paragraph(run(f"the {kind}"))}</w:{kind}>'
        return f"<w:{kind}s {NAMESPACES}>{body}</w:{kind}s>".encode()

    references = "".join(f'<w:r><w:{kind}Reference w:id="2"/></w:r>' for kind in kinds)
    plain = make_docx(lambda document: add(document, paragraph(run("words") + references)))
    content = rewritten(
        plain, change, word__footnotes=note("footnote"), word__endnotes=note("endnote")
    )
    text = parse(content).parsed_content
    assert text == "words[1][2]\n\n[1] the footnote\n\n[2] the endnote"


def test_diagrams_and_embedded_files_are_read(parse: Any, make_docx: Any) -> None:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/main"

    def change(name: str, part: bytes) -> bytes:
        if name != "word/_rels/document.xml.rels":
            return part
        new = "".join(
            f'<Relationship Id="{kind}" Type="{office}/{kind}" Target="{target}"/>'
            for kind, target in (("diagramData", "data.xml"), ("aFChunk", "chunk.xml"))
        )
        return part.replace(b"</Relationships>", f"{new}</Relationships>".encode())

    diagram = (
        f'<w:r><w:drawing><dgm:relIds xmlns:dgm="d" xmlns:r="{office}" r:dm="diagramData"/>'
        "</w:drawing></w:r>"
    )
    data = f'<d xmlns:a="{drawing}"><a:p><a:r><a:t>in a diagram</a:t></a:r></a:p></d>'
    plain = make_docx(lambda document: add(document, paragraph(run("words") + diagram)))
    response = parse(
        rewritten(plain, change, word__data=data.encode(), word__chunk=b"<html>a page</html>")
    )
    assert response.parsed_content == "words\n\nin a diagram"
    (attachment,) = response.attachments
    assert attachment.response.parsed_content == "a page"


def test_a_note_that_refers_to_itself_is_read_once(parse: Any, make_docx: Any) -> None:
    reference = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"

    def change(name: str, part: bytes) -> bytes:
        new = f'<Relationship Id="n" Type="{kind}" Target="footnotes.xml"/></Relationships>'
        is_list = name == "word/_rels/document.xml.rels"
        return part.replace(b"</Relationships>", new.encode()) if is_list else part

    note = f'<w:footnote w:id="2">{paragraph(run("note") + reference)}</w:footnote>'
    notes = f"<w:footnotes {NAMESPACES}>{note}</w:footnotes>".encode()
    plain = make_docx(lambda document: add(document, paragraph(run("words") + reference)))
    text = parse(rewritten(plain, change, word__footnotes=notes)).parsed_content
    assert text == "words[1]\n\n[1] note[2]"


OPEN = b"http://schemas.openxmlformats.org"
MAIN = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def strict(_: str, part: bytes) -> bytes:
    for subject in (b"wordprocessingml", b"officeDocument", b"drawingml"):
        part = part.replace(
            b"%s/%s/2006/" % (OPEN, subject), b"http://purl.oclc.org/ooxml/%s/" % subject
        )
    return part


def template(_: str, part: bytes) -> bytes:
    return part.replace(MAIN, MAIN.replace(b"document.main", b"template.main"))


def macros(_: str, part: bytes) -> bytes:
    return part.replace(MAIN, b"application/vnd.ms-word.document.macroEnabled.main+xml")


@pytest.mark.parametrize("change", [strict, template, macros])
def test_strict_files_templates_and_files_with_macros_are_read(
    parse: Any, make_docx: Any, change: Callable[[str, bytes], bytes]
) -> None:
    content = make_docx(fill)
    assert parse(rewritten(content, change)).parsed_content == parse(content).parsed_content


def test_external_entities_are_not_read(parse: Any, make_docx: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("top secret")

    def change(name: str, part: bytes) -> bytes:
        if name != "word/document.xml":
            return part
        entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'
        body = paragraph(run("before")) + paragraph(run("&e;"))
        root = f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>"
        return (entity + root).encode()

    text = parse(rewritten(make_docx(fill), change)).parsed_content
    assert "before" in text
    assert "secret" not in text


@pytest.mark.timeout(120)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(parse: Any, make_docx: Any) -> None:
    bomb = io.BytesIO(make_docx(fill))
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image1.png", bytes(20_000_000))
    packed = bomb.getvalue()
    assert len(packed) < 200_000
    with pytest.raises(OperationError, match="is too large uncompressed") as caught:
        parse(packed, config=ParserConfig(max_unpacked_bytes=10_000_000))
    assert caught.value.code == "document.too_large"
