"""Contracts and other running texts: their parts, and the formats that they are written in."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import date, timedelta
from html import escape
from random import Random
from typing import Literal

import msgspec
from tests.corpus import identifiers
from tests.corpus.facts import Party, Printer, company, person
from tests.corpus.languages import ContractText, Language, PlainText
from tests.corpus.layout import Draft
from tests.corpus.office_layouts import new_word, odf, odf_paragraph, odf_table, word_draft
from tests.corpus.text_layouts import mail

Secret = Literal["party", "person", "address", "phone", "email", "id", "iban", "account"]
Kind = Literal["title", "heading", "text", "item", "signers"]


class Part(msgspec.Struct, frozen=True):
    """A part of a text; of `signers` each inner tuple is one party's block."""

    kind: Kind
    text: str = ""
    signers: tuple[tuple[str, ...], ...] = ()


class Redaction(msgspec.Struct, frozen=True):
    """A printed text that must not survive redaction, and what it is."""

    text: str
    kind: Secret


class Contract(msgspec.Struct, frozen=True):
    """The values of a contract."""

    parties: tuple[str, ...]
    signatories: tuple[str, ...]
    redact: tuple[Redaction, ...]
    keep: tuple[str, ...]


def parts(title: str, body: str) -> list[Part]:
    """Split a text as the language files write it: `##` a heading, `-` an item."""
    found = [Part("title", title)] if title else []
    for line in body.strip().splitlines():
        if line.startswith("## "):
            found.append(Part("heading", line[3:]))
        elif line.startswith("- "):
            found.append(Part("item", line[2:]))
        else:
            found.append(Part("text", line))
    return found


def draw_contract(
    rng: Random, language: Language, text: ContractText, *, signed: bool
) -> tuple[list[Part], Contract]:
    """Fill a contract's gaps.

    Args:
        rng: The document's own generator.
        language: Names, places and banks to draw from.
        text: The contract.
        signed: Whether names stand on the signature's line itself, rather than under it.

    Returns:
        The contract's parts, and what must and must not be redacted in them.
    """
    country = language.country[0]
    stems = rng.sample(language.companies, 2)
    names = rng.sample(language.persons, 3)
    first = company(rng, language, country, stems[0])
    second: Party = (
        person(rng, country, names[1])
        if text.individual
        else company(rng, language, country, stems[1])
    )
    _, bic = rng.choice(country.banks)
    iban = identifiers.bank_account(rng, country.code, bic)
    printed_iban = rng.choice([iban, identifiers.grouped(iban), _french(iban)]) if iban else ""
    printer = Printer(
        language, country, language.wording[0], "{d}. {month} {yyyy}"
        if language.language in {"de", "da"} else "{d} {month} {yyyy}", country.currency,
    )  # fmt: skip
    address = {party.name: f"{party.street}, {party.city}" for party in (first, second)}
    values = {
        "a": first.name,
        "b": second.name,
        "a_no": first.company_number or "",
        "a_address": address[first.name],
        "b_address": address[second.name],
        "b_id": identifiers.person_number(rng, language.language),
        "pa": names[0],
        "pb": names[1],
        "pc": names[2],
        "phone": first.phone,
        "email": f"{rng.choice(['notices', 'contracts', 'legal'])}@{first.email.split('@')[1]}",
        "iban": printed_iban,
        "account": identifiers.digits(rng, "40702810############"),
        "date": printer.date(_date(rng)),
    }
    body = text.body.format_map(values)
    kinds: dict[str, Secret] = {
        "a": "party", "b": "person" if text.individual else "party", "a_no": "id",
        "a_address": "address", "b_address": "address", "b_id": "id", "pa": "person",
        "pb": "person", "pc": "person", "phone": "phone", "email": "email", "iban": "iban",
        "account": "account",
    }  # fmt: skip
    redact: dict[str, Redaction] = {}
    for key, kind in kinds.items():
        if f"{{{key}}}" in text.body or key in {"pa", "pb"}:
            redact[values[key]] = Redaction(values[key], kind)
    blocks = tuple(
        _signer(text, party, name, title, signed=signed)
        for party, name, title in (
            (first.name, names[0], text.titles[0]),
            (second.name, names[1], text.titles[1]),
        )
    )
    contract = Contract(
        parties=(first.name, second.name),
        signatories=(names[0], names[1]),
        redact=tuple(redact.values()),
        keep=text.keep,
    )
    return [*parts(text.title, body), Part("signers", signers=blocks)], contract


def _date(rng: Random) -> date:
    return date(2024, 2, 1) + timedelta(days=rng.randrange(600))


def _french(iban: str) -> str:
    return f"{iban[:4]} {identifiers.grouped(iban[4:], 5)}"


def _signer(
    text: ContractText, party: str, name: str, title: str, *, signed: bool
) -> tuple[str, ...]:
    head, by, printed_name, capacity, when = text.sign
    if text.individual and title == text.titles[1]:
        head = title  # a lender's or landlord's word is no head for the other party
    if signed:
        return (f"{head} {party}", f"{by}: {name}", f"{capacity}: {title}", f"{when}: __________")
    return (
        f"{head} {party}",
        f"{by}: ______________________",
        f"{printed_name}: {name}",
        f"{capacity}: {title}",
        f"{when}: __________",
    )


def text_parts(text: PlainText) -> list[Part]:
    """Give the parts of a document that is neither invoice nor contract."""
    return parts(text.title, text.body)


def _plain(texts: list[Part], width: int = 88) -> str:
    lines: list[str] = []
    for part in texts:
        if part.kind == "title":
            lines += [part.text.upper(), ""]
        elif part.kind == "heading":
            lines += ["", part.text]
        elif part.kind == "item":
            lines.append(f"  * {part.text}")
        elif part.kind == "text":
            lines += textwrap.wrap(part.text, width, break_on_hyphens=False, break_long_words=False)
        else:
            for block in part.signers:
                lines += ["", *block]
    return "\n".join(lines) + "\n"


def as_text(texts: list[Part]) -> Draft:
    """Write plain text, wrapped."""
    return Draft(_plain(texts, 10_000).encode(), ".txt", "text")


def as_markdown(texts: list[Part]) -> Draft:
    """Write Markdown."""
    marks = {"title": "# ", "heading": "## ", "item": "- ", "text": ""}
    lines: list[str] = []
    for part in texts:
        if part.kind == "signers":
            for block in part.signers:
                lines += [*(f"{line}  " for line in block), ""]
        else:
            lines += [f"{marks[part.kind]}{part.text}", ""]
    return Draft("\n".join(lines).encode(), ".md", "text")


def as_mail(texts: list[Part]) -> Draft:
    """Write a mail whose only part is plain text."""
    title = next((part.text for part in texts if part.kind == "title"), "")
    rest = [part for part in texts if part.kind != "title"]
    return mail(
        title, ("Post", "post@office.example"), ("Box", "box@office.example"),
        plain=_plain(rest, 10_000),
    )  # fmt: skip


def _word(texts: list[Part], tool: str, *, table: bool) -> Draft:
    document = new_word()
    styles = {"title": "Title", "heading": "Heading 2", "item": "List Bullet", "text": "Normal"}
    for part in texts:
        if part.kind != "signers":
            document.add_paragraph(part.text, style=styles[part.kind])
        elif table:
            cells = document.add_table(rows=1, cols=2).rows[0].cells
            for cell, block in zip(cells, part.signers, strict=True):
                cell.text = "\n".join(block)
        else:
            for block in part.signers:
                document.add_paragraph("\n".join(block))
    return word_draft(document, tool)


def as_word(texts: list[Part]) -> Draft:
    """Write a Word file whose signatures stand side by side in a table."""
    return _word(texts, "python-docx", table=True)


def as_office_pdf(texts: list[Part]) -> Draft:
    """Write a Word file that LibreOffice prints."""
    return _word(texts, "libreoffice", table=False)


def _html(texts: list[Part], css: str) -> bytes:
    tags = {"title": "h1", "heading": "h3", "item": "li", "text": "p"}
    body = ""
    for part in texts:
        if part.kind == "signers":
            cells = "".join(f"<td>{'<br>'.join(map(escape, block))}</td>" for block in part.signers)
            body += f"<table><tr>{cells}</tr></table>"
        else:
            body += f"<{tags[part.kind]}>{escape(part.text)}</{tags[part.kind]}>"
    return (
        '<!doctype html><html><head><meta charset="utf-8"><style>@page{size:A4;margin:20mm}'
        f"body{{font:10pt 'Liberation Serif'}}td{{padding:5mm}}{css}</style></head>"
        f"<body>{body}</body></html>"
    ).encode()


def as_printed_page(texts: list[Part]) -> Draft:
    """Write a page in two columns for Chromium to print."""
    css = "body{columns:2;column-gap:9mm}h1{column-span:all}table{break-inside:avoid}"
    return Draft(_html(texts, css), ".html", "chromium")


def as_html(texts: list[Part]) -> Draft:
    """Write an HTML file."""
    return Draft(_html(texts, ""), ".html", "text")


def as_open_document_pdf(texts: list[Part]) -> Draft:
    """Write an OpenDocument text that LibreOffice prints, signatures in a bordered table."""
    body = ""
    for part in texts:
        if part.kind == "signers":
            body += odf_table(
                [["".join(odf_paragraph(line) for line in block) for block in part.signers]]
            )
        else:
            body += odf_paragraph(part.text, "H" if part.kind in {"title", "heading"} else "P")
    return odf(body)


Format = Callable[[list[Part]], Draft]
OPEN: dict[str, Format] = {
    "word": as_word,
    "markdown": as_markdown,
    "office-pdf": as_office_pdf,
    "text": as_text,
    "mail": as_mail,
}
THIRD: dict[str, Format] = {
    "two-column-page": as_printed_page,
    "open-document-pdf": as_open_document_pdf,
    "html": as_html,
}
