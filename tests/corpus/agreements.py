"""Contracts of the second tranche: marked texts, and the formats that they are written in.

A contract is written out with its names, as a native writes them, in cases and with titles.
Marks tell what is what: `<a:...>` a company that is a party, `<A:...>` a person who is one,
`<o:...>` another form of a party's name, `<s:...>` who signs, `<p:...>` another person or
another form of a person's name, `<d:...>` an address, `<m:...>` mail, `<t:...>` a phone,
`<n:...>` a number of a person or company, `<c:...>` an account, `<i:...>` an IBAN, and
`<k:...>` what is to stay. `{iban}`, `{phone}`, `{pid}` (a person's number), `{cno}` and `{vat}`
(a company's) and `{account}` are drawn; a figure after the word draws another.
Lines: `## ` is a heading, `- ` an item, `| x | y` a row of a table, all others are paragraphs.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from random import Random
from typing import Literal

import msgspec
from docx.document import Document as WordDocument
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.shared import Cm, Pt
from tests.corpus import identifiers
from tests.corpus.fpdf_layouts import draft, new_pdf
from tests.corpus.languages import Agreement, Language
from tests.corpus.layout import Draft
from tests.corpus.office_layouts import LEAN, new_word, word_draft
from tests.corpus.prose import Contract, Redaction, Secret

_MARK = re.compile(r"<([aAospdmtncki]):([^<>]+)>")
_GAP = re.compile(r"\{([a-z]+)(\d?)\}")
_KINDS: dict[str, Secret] = {
    "a": "party", "A": "person", "o": "party", "s": "person", "p": "person", "d": "address",
    "m": "email", "t": "phone", "n": "id", "c": "account", "i": "iban",
}  # fmt: skip
_DRAWN: dict[str, Secret] = {
    "iban": "iban", "phone": "phone", "pid": "id", "cno": "id", "vat": "id", "account": "account",
}  # fmt: skip
_WIDTH = 78


class Piece(msgspec.Struct, frozen=True):
    """A title, a heading, a paragraph, an item, or the cells of a table's row."""

    kind: Literal["title", "heading", "text", "item", "row"]
    cells: tuple[str, ...]

    @property
    def text(self) -> str:
        """What the piece says, outside of tables."""
        return self.cells[0]


class Paper(msgspec.Struct, frozen=True):
    """A contract as it is printed."""

    header: str
    pieces: tuple[Piece, ...]


def _value(rng: Random, language: Language, gap: str) -> str:
    country = language.country[0]
    if gap == "iban":
        number = identifiers.bank_account(rng, country.code, rng.choice(country.banks)[1])
        return rng.choice([number, identifiers.grouped(number)]) if number else ""
    if gap == "phone":
        return identifiers.digits(rng, country.phone)
    if gap == "pid":
        return identifiers.person_number(rng, language.language)
    vat = identifiers.vat_id(rng, country.code)
    if gap == "vat":
        return vat or ""
    if gap == "account":
        return identifiers.digits(rng, "40702810############")
    return identifiers.company_number(rng, country.code, vat)


def draw_agreement(rng: Random, language: Language, agreement: Agreement) -> tuple[Paper, Contract]:
    """Fill a contract's gaps and take its marks away.

    Args:
        rng: The document's own generator.
        language: Whose main country's numbers fill the gaps.
        agreement: The marked text.

    Returns:
        The contract as printed, and its answers.
    """
    drawn: dict[str, str] = {}
    redact: dict[str, Redaction] = {}
    found: dict[str, list[str]] = {"party": [], "signatory": [], "keep": []}

    def fill(match: re.Match[str]) -> str:
        key = match.group(0)
        if key not in drawn:
            drawn[key] = _value(rng, language, match.group(1))
            redact[drawn[key]] = Redaction(drawn[key], _DRAWN[match.group(1)])
        return drawn[key]

    def unmark(match: re.Match[str]) -> str:
        mark, text = match.groups()
        if mark == "k":
            found["keep"].append(text)
            return text
        redact.setdefault(text, Redaction(text, _KINDS[mark]))
        if mark in "aA":
            found["party"].append(text)
        if mark == "s":
            found["signatory"].append(text)
        return text

    def plain(text: str) -> str:
        return _MARK.sub(unmark, _GAP.sub(fill, text))

    header = plain(agreement.header)
    pieces = [Piece("title", (plain(agreement.title),))]
    for line in agreement.body.strip().splitlines():
        if not line.strip():
            continue
        text = plain(line.strip())
        if text.startswith("## "):
            pieces.append(Piece("heading", (text[3:],)))
        elif text.startswith("- "):
            pieces.append(Piece("item", (text[2:],)))
        elif text.startswith("| "):
            pieces.append(Piece("row", tuple(re.split(r" +\|(?: +|$)", text[2:]))))
        else:
            pieces.append(Piece("text", (text,)))
    contract = Contract(
        parties=tuple(dict.fromkeys(found["party"])),
        signatories=tuple(dict.fromkeys(found["signatory"])),
        redact=tuple(redact.values()),
        keep=tuple(dict.fromkeys(found["keep"])),
    )
    return Paper(header, tuple(pieces)), contract


def _runs(paper: Paper) -> Iterator[tuple[str, list[Piece]]]:
    """Give the pieces, rows that follow each other together."""
    for kind, group in groupby(paper.pieces, key=lambda piece: piece.kind):
        if kind == "row":
            yield kind, list(group)
        else:
            for piece in group:
                yield kind, [piece]


def _wrap(text: str, first: str = "", later: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def as_wrapped_text(paper: Paper) -> Draft:
    """Write plain text in 78 columns, tables with their cells side by side."""
    lines = [paper.header.rjust(_WIDTH), ""] if paper.header else []
    for kind, group in _runs(paper):
        text = group[0].text
        if kind == "title":
            lines += [text.center(_WIDTH).rstrip(), ""]
        elif kind == "heading":
            lines += ["", text, ""]
        elif kind == "item":
            lines += _wrap(text, "  - ", "    ")
        elif kind == "row":
            wide = 2 + max(len(row.cells[0]) for row in group)
            for row in group:
                first, *rest = row.cells
                lines.append((first.ljust(wide) + "  ".join(rest)).rstrip())
        else:
            lines += _wrap(text)
    return Draft(("\n".join(lines) + "\n").encode(), ".txt", "text")


def _word(paper: Paper, *, tables: bool) -> WordDocument:
    document = new_word()
    if paper.header:
        document.sections[0].header.paragraphs[0].text = paper.header
    styles = {"title": "Title", "heading": "Heading 2", "item": "List Bullet", "text": "Normal"}
    for kind, group in _runs(paper):
        if kind != "row":
            paragraph = document.add_paragraph(group[0].text, style=styles[kind])
            paragraph.paragraph_format.space_after = Pt(3)
        elif tables:
            wide = max(len(row.cells) for row in group)
            table = document.add_table(rows=len(group), cols=wide)
            for cells, row in zip(table.rows, group, strict=True):
                for cell, text in zip(cells.cells, row.cells, strict=False):
                    cell.text = text
            document.add_paragraph()
        else:
            for row in group:
                paragraph = document.add_paragraph("\t".join(row.cells))
                paragraph.paragraph_format.tab_stops.add_tab_stop(Cm(8))
                paragraph.paragraph_format.space_after = Pt(0)
    return document


def as_word_table(paper: Paper) -> Draft:
    """Write a Word file with real tables and a running header."""
    return word_draft(_word(paper, tables=True), without=LEAN)


def as_word_tabs(paper: Paper) -> Draft:
    """Write a Word file whose columns are set with tabulators."""
    return word_draft(_word(paper, tables=False), without=LEAN)


def as_office_header(paper: Paper) -> Draft:
    """Write a Word file that LibreOffice prints, with a header and a footer on each page."""
    document = _word(paper, tables=True)
    footer = document.sections[0].footer.paragraphs[0]
    footer.text = paper.pieces[0].text
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    return word_draft(document, "libreoffice", without=LEAN)


def as_page(paper: Paper) -> Draft:
    """Write a page for Chromium to print, in one column of justified text."""
    tags = {"title": "h2", "heading": "h4", "item": "li", "text": "p"}
    body = f"<div class=head>{escape(paper.header)}</div>" if paper.header else ""
    for kind, group in _runs(paper):
        if kind == "row":
            rows = "".join(
                f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells)}</tr>"
                for row in group
            )
            body += f"<table>{rows}</table>"
        else:
            body += f"<{tags[kind]}>{escape(group[0].text)}</{tags[kind]}>"
    html = (
        '<!doctype html><html><head><meta charset="utf-8"><style>@page{size:A4;margin:22mm 25mm}'
        "body{font:10.5pt 'Liberation Serif';text-align:justify}h2{text-align:center}"
        ".head{text-align:right;font-size:8pt;color:#444}table{width:100%;margin:3mm 0}"
        "td{padding:1mm 3mm 1mm 0;text-align:left;vertical-align:top}p{margin:1.5mm 0}"
        f"</style></head><body>{body}</body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


def as_drawn(paper: Paper) -> Draft:
    """Draw pages with fpdf2, signatures in two columns."""
    pdf = new_pdf()
    pdf.set_auto_page_break(auto=True, margin=20)
    pdf.set_margins(24, 18, 24)
    pdf.set_xy(24, 18)
    if paper.header:
        pdf.set_font("body", "", 7)
        pdf.multi_cell(0, 4, paper.header, new_x="LMARGIN", new_y="NEXT")
    for kind, group in _runs(paper):
        if kind == "row":
            pdf.set_font("body", "", 9)
            for row in group:
                y = pdf.get_y() + 6
                if y > 275:
                    pdf.add_page()
                    y = 24
                for at, cell in enumerate(row.cells):
                    pdf.text(24 + 84 * at, y, cell)
                pdf.set_y(y)
            pdf.ln(3)
            continue
        text = f"• {group[0].text}" if kind == "item" else group[0].text
        sizes = {"title": 14, "heading": 10, "item": 9, "text": 9}
        pdf.set_font("body", "B" if kind in {"title", "heading"} else "", sizes[kind])
        if kind != "text":
            pdf.ln(1.5)
        pdf.multi_cell(
            0, 5 if kind != "title" else 8, text, align="C" if kind == "title" else "L",
            new_x="LMARGIN", new_y="NEXT",
        )  # fmt: skip
    return draft(pdf)


FORMATS: dict[str, Callable[[Paper], Draft]] = {
    "word-table": as_word_table,
    "page": as_page,
    "wrapped-text": as_wrapped_text,
    "drawn": as_drawn,
    "word-tabs": as_word_tabs,
    "office-header": as_office_header,
}


def as_deed(paper: Paper) -> Draft:
    """Write a page whose clauses hang beside their numbers, the title ruled above and below."""
    body = ""
    for kind, group in _runs(paper):
        if kind == "row":
            for row in group:
                cells = "".join(f"<span>{escape(cell)}</span>" for cell in row.cells)
                body += f"<div class=row>{cells}</div>"
            continue
        text = group[0].text
        number, _, rest = text.partition(" ")
        if kind == "text" and re.fullmatch(r"\(?\d[\d.]*\)?", number):
            body += f"<div class=clause><i>{escape(number)}</i><p>{escape(rest)}</p></div>"
        else:
            body += f"<p class={kind}>{escape(text)}</p>"
    html = (
        '<!doctype html><html><head><meta charset="utf-8"><style>@page{size:A4;margin:25mm 30mm}'
        "body{font:11pt/1.35 'Liberation Serif'}.title{border-top:1px solid;"
        "border-bottom:1px solid;text-align:center;font-variant:small-caps;font-size:15pt;"
        "padding:3mm}.heading{font-weight:bold;margin:4mm 0 1mm}p{margin:0 0 2mm}"
        ".clause{display:flex}.clause i{flex:0 0 12mm;"
        "font-style:normal}.row{display:flex;margin:1mm 0}.row span{flex:1}.item{padding-left:12mm}"
        f"</style></head><body><p>{escape(paper.header)}</p>{body}</body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


def as_lines(paper: Paper) -> Draft:
    """Write a Word file in one style, where headings are bold lines and rows have wide gaps."""
    document = new_word()
    for piece in paper.pieces:
        paragraph = document.add_paragraph()
        text = "        ".join(piece.cells)
        run = paragraph.add_run(text)
        run.bold = piece.kind in {"title", "heading"}
        paragraph.paragraph_format.space_after = Pt(0 if piece.kind == "row" else 5)
    if paper.header:
        document.sections[0].footer.paragraphs[0].text = paper.header
    return word_draft(document, without=LEAN)


def as_booklet(paper: Paper) -> Draft:
    """Write small pages for Chromium to print, the header on each, blocks of signatures ruled."""
    body = ""
    for kind, group in _runs(paper):
        if kind == "row":
            wide = max(len(row.cells) for row in group)
            cells = "".join(
                f"<div>{escape(cell)}</div>"
                for row in group
                for cell in [*row.cells, *[""] * (wide - len(row.cells))]
            )
            body += (
                f"<div class=rows style='grid-template-columns:repeat({wide},1fr)'>{cells}</div>"
            )
        else:
            body += f"<div class={kind}>{escape(group[0].text)}</div>"
    html = (
        '<!doctype html><html><head><meta charset="utf-8"><style>@page{size:A5;margin:14mm 15mm}'
        "body{font:8.5pt/1.4 'DejaVu Serif'}.head{text-align:right;font-size:6pt}"
        ".title{font-size:13pt;text-transform:uppercase;margin-bottom:5mm}.heading{font-style:"
        "italic;margin:3mm 0 1mm}.text{margin-bottom:1.5mm;text-align:justify;hyphens:none}"
        ".rows{display:grid;gap:2mm 8mm;margin:4mm 0}.rows div{border-top:1px solid #999}"
        f"</style></head><body><div class=head>{escape(paper.header)}</div>{body}</body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


def as_typescript(paper: Paper) -> Draft:
    """Write plain text as of a typewriter: 64 columns, double hyphens, an empty line between."""
    lines: list[str] = []
    for kind, group in _runs(paper):
        text = group[0].text
        if kind == "title":
            lines += [text, "=" * min(64, len(text)), ""]
        elif kind == "row":
            wide = 3 + max(len(cell) for row in group for cell in row.cells[:-1] or ("",))
            for row in group:
                line = "".join(cell.ljust(wide) for cell in row.cells[:-1]) + row.cells[-1]
                lines.append(line.rstrip())
            lines.append("")
        else:
            lines += textwrap.wrap(text, 64, break_on_hyphens=False, break_long_words=False)
            lines.append("")
    return Draft(("\n".join(lines) + "\n").encode(), ".txt", "text")


def as_columns(paper: Paper) -> Draft:
    """Write small print in two columns for Chromium to print, rows and title over both."""
    body = ""
    for kind, group in _runs(paper):
        if kind == "row":
            rows = "".join(
                f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells)}</tr>"
                for row in group
            )
            body += f"<table>{rows}</table>"
        else:
            body += f"<div class={kind}>{escape(group[0].text)}</div>"
    html = (
        '<!doctype html><html><head><meta charset="utf-8"><style>@page{size:A4;margin:16mm 15mm}'
        "body{font:8.5pt/1.3 'Liberation Sans';columns:2;column-gap:8mm}.title{column-span:all;"
        "font-size:14pt;margin-bottom:3mm}table{column-span:all;width:100%;margin:3mm 0}"
        "td{padding:1mm 3mm 1mm 0;vertical-align:top;width:50%}.heading{font-weight:bold;"
        "margin-top:2mm}.text,.item{margin-bottom:1.2mm}.head{column-span:all;font-size:7pt}"
        f"</style></head><body><div class=head>{escape(paper.header)}</div>{body}</body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


def as_web_page(paper: Paper) -> Draft:
    """Write a web page, as a portal for contracts gives it to be kept."""
    tags = {"title": "h1", "heading": "h3", "item": "li", "text": "p"}
    body = f"<header>{escape(paper.header)}</header>" if paper.header else ""
    for kind, group in _runs(paper):
        if kind == "row":
            rows = "".join(
                f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells)}</tr>"
                for row in group
            )
            body += f"<table><tbody>{rows}</tbody></table>\n"
        else:
            body += f"<{tags[kind]}>{escape(group[0].text)}</{tags[kind]}>\n"
    html = (
        '<!doctype html>\n<html><head><meta charset="utf-8"><style>body{max-width:44em;margin:auto;'
        f"font-family:serif}}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )
    return Draft(html.encode(), ".html", "text")


def as_folio(paper: Paper) -> Draft:
    """Write a Word file in serif type that LibreOffice prints, headings centred."""
    document = _word(paper, tables=False)
    normal = document.styles["Normal"].font
    normal.name, normal.size = "Liberation Serif", Pt(11)
    for paragraph in document.paragraphs:
        if str(getattr(paragraph.style, "name", "")).startswith("Heading"):
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    return word_draft(document, "libreoffice", without=LEAN)


DEEDS: dict[str, Callable[[Paper], Draft]] = {
    "deed": as_deed,
    "lines": as_lines,
    "booklet": as_booklet,
    "typescript": as_typescript,
    "page": as_page,
    "office": as_office_header,
    "tabs": as_word_tabs,
    "wrapped": as_wrapped_text,
    "columns": as_columns,
    "web-page": as_web_page,
    "folio": as_folio,
    "word": as_word_table,
    "drawn": as_drawn,
}
