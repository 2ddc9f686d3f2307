"""Which documents the first tranche has: languages, layouts and wordings, open and third."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec
from tests.corpus import (
    fpdf_layouts,
    html_layouts,
    office_layouts,
    prose,
    receipts,
    text_layouts,
)
from tests.corpus.answers import TYPES, Answer, invoice_answer, invoice_evidence
from tests.corpus.facts import Printer, draw_invoice, draw_receipt
from tests.corpus.languages import CODES, ContractText, Language, PlainText, language
from tests.corpus.layout import Draft, Layout
from tests.corpus.sheet import print_invoice

OPEN = (*html_layouts.OPEN, *fpdf_layouts.OPEN, *office_layouts.OPEN, *text_layouts.OPEN)
THIRD = (
    *html_layouts.THIRD,
    *fpdf_layouts.THIRD,
    *office_layouts.THIRD,
    *text_layouts.THIRD,
)
OPEN_INVOICES = 7  # in each language
THIRD_INVOICES = 4
_COUNTRIES = (0, 1, 2, 0)  # which of a language's countries an invoice in turn is from


class Planned(msgspec.Struct, frozen=True):
    """A document's source, its answer, whose `document` is the file's name, and its folder."""

    draft: Draft
    answer: Answer
    folder: str


def file_suffix(draft: Draft) -> str:
    """Give the suffix of the file that a draft becomes."""
    return ".pdf" if draft.tool in {"chromium", "libreoffice"} else draft.suffix


def _invoice(words_language: Language, at: int, layout: Layout, *, third: bool) -> Planned:
    code = words_language.language
    wordings = words_language.third.wording if third else words_language.wording
    words = wordings[at % len(wordings)]
    countries = words_language.country
    country = countries[_COUNTRIES[at % len(_COUNTRIES)] % len(countries)]
    attempt = 0
    while True:
        seed = f"{code}-invoice-{at}-{layout.id}-{attempt}"
        rng = Random(seed)
        invoice = draw_invoice(rng, words_language, country, many_items=layout.many_items)
        # A sentence that names the due date needs one, and speaks of no credit note.
        if not layout.sentence or (invoice.due_date and invoice.kind == "invoice"):
            break
        attempt += 1
    sheet = print_invoice(rng, words_language, words, invoice, hard_spaces=layout.hard_spaces)
    draft = layout.make(sheet, rng)
    shown = frozenset(line.key for line in sheet.facts)
    answer = Answer(
        document=f"{code}-invoice-{at + 1:02}-{layout.id}{file_suffix(draft)}",
        type=TYPES[invoice.kind],
        kind=invoice.kind,
        language=code,
        layout=layout.id,
        wording=f"{code}-{words.id}",
        tool=draft.tool,
        held_out=False,
        seed=seed,
        invoice=invoice_answer(invoice, shown, layout.omits),
        printed=invoice_evidence(sheet, layout.omits),
    )
    return Planned(draft, answer, "third" if third else "open")


def _invoices(place: int, words_language: Language) -> Iterator[Planned]:
    for at in range(OPEN_INVOICES):
        layout = OPEN[(OPEN_INVOICES * place + at) % len(OPEN)]
        yield _invoice(words_language, at, layout, third=False)
    for at in range(THIRD_INVOICES):
        layout = THIRD[(THIRD_INVOICES * place + at) % len(THIRD)]
        yield _invoice(words_language, OPEN_INVOICES + at, layout, third=True)


def _receipt(place: int, words_language: Language) -> Planned:
    code = words_language.language
    third = place % 3 == 2
    makers = receipts.THIRD if third else receipts.OPEN
    layout = list(makers)[place // 3 % len(makers)]
    seed = f"{code}-receipt-{layout}"
    rng = Random(seed)
    country = words_language.country[0]
    receipt = draw_receipt(rng, words_language, country)
    words = words_language.wording[0]
    printer = Printer(words_language, country, words, words.dates[0], country.currency)
    lines, printed = receipts.receipt_lines(rng, words_language, receipt, printer)
    draft = makers[layout](lines)
    answer = Answer(
        document=f"{code}-receipt-{layout}{file_suffix(draft)}",
        type=TYPES["receipt"],
        kind="receipt",
        language=code,
        layout=layout,
        wording=f"{code}-receipt",
        tool=draft.tool,
        held_out=False,
        seed=seed,
        invoice=invoice_answer(receipt, frozenset(), frozenset({"unit", "tax_rate"})),
        printed=printed,
    )
    return Planned(draft, answer, "third" if third else "open")


def _contract(
    words_language: Language, text: ContractText, layout: str, at: int, *, third: bool
) -> Planned:
    code = words_language.language
    seed = f"{code}-contract-{text.id}-{layout}"
    rng = Random(seed)
    parts, contract = prose.draw_contract(rng, words_language, text, signed=rng.random() < 0.4)
    makers = prose.THIRD if third else prose.OPEN
    draft = makers[layout](parts)
    answer = Answer(
        document=f"{code}-contract-{at + 1:02}-{text.id}-{layout}{file_suffix(draft)}",
        type=TYPES["contract"],
        kind="contract",
        language=code,
        layout=f"contract-{layout}",
        wording=f"{code}-contract-{text.id}",
        tool=draft.tool,
        held_out=False,
        seed=seed,
        contract=contract,
        printed={f"redact {n}": entry.text for n, entry in enumerate(contract.redact)}
        | {f"keep {n}": kept for n, kept in enumerate(contract.keep)},
    )
    return Planned(draft, answer, "third" if third else "open")


def _contracts(place: int, words_language: Language) -> Iterator[Planned]:
    if not words_language.contract:
        return
    shown, hidden = list(prose.OPEN)[:4], list(prose.THIRD)[:2]
    services, other = words_language.contract
    secret = words_language.third.contract[0]
    layout = shown[place % 4]
    yield _contract(words_language, services, layout, 0, third=False)
    layout = shown[(place + 1) % 4]
    yield _contract(words_language, other, layout, 1, third=False)
    yield _contract(words_language, secret, hidden[place % 2], 2, third=True)
    if place % 2:
        yield _contract(words_language, secret, hidden[(place + 1) % 2], 3, third=True)
    else:
        layout = shown[(place + 2) % 4]
        yield _contract(words_language, services, layout, 3, third=False)


def _text(words_language: Language, text: PlainText, layout: str, *, third: bool) -> Planned:
    code = words_language.language
    draft = (prose.THIRD if third else prose.OPEN)[layout](prose.text_parts(text))
    first = text.body.strip().splitlines()[0]
    answer = Answer(
        document=f"{code}-{text.kind}-{layout}{file_suffix(draft)}",
        type=TYPES[text.kind],
        kind=text.kind,
        language=code,
        layout=f"text-{layout}",
        wording=f"{code}-{text.kind}",
        tool=draft.tool,
        held_out=False,
        seed="",
        printed={"title": text.title or first, "first": first},
    )
    return Planned(draft, answer, "third" if third else "open")


def _texts(place: int, words_language: Language) -> Iterator[Planned]:
    shown, hidden = list(prose.OPEN), list(prose.THIRD)
    for at, text in enumerate(words_language.text):
        # A mail has a subject, a technical guide and a scrap of paper have none.
        layout = "mail" if text.kind == "letter" and place % 2 else shown[(place + at) % 4]
        yield _text(words_language, text, layout, third=False)
    for text in words_language.third.text:
        yield _text(words_language, text, hidden[place % len(hidden)], third=True)


def documents() -> Iterator[Planned]:
    """Give every document of the set, the same each time.

    Returns:
        Sources and answers, language by language.
    """
    for place, code in enumerate(CODES):
        words_language = language(code)
        yield from _invoices(place, words_language)
        yield _receipt(place, words_language)
        yield from _contracts(place, words_language)
        yield from _texts(place, words_language)
