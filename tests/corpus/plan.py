"""Which documents the set has: languages, layouts and wordings, open and held out."""

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
HELD_OUT = (
    *html_layouts.HELD_OUT,
    *fpdf_layouts.HELD_OUT,
    *office_layouts.HELD_OUT,
    *text_layouts.HELD_OUT,
)
OPEN_INVOICES = 7  # in each language
HELD_OUT_INVOICES = 4
_COUNTRIES = (0, 1, 2, 0)  # which of a language's countries an invoice in turn is from


class Planned(msgspec.Struct, frozen=True):
    """A document's source, its answer, whose `document` is the file's name to be, and its folder.

    The folder is set for what is not of the first tranche.
    """

    draft: Draft
    answer: Answer
    tranche: str = ""

    @property
    def folder(self) -> str:
        """The name of the document's folder."""
        return self.tranche or ("held_out" if self.answer.held_out else "open")


def file_suffix(draft: Draft) -> str:
    """Give the suffix of the file that a draft becomes."""
    return ".pdf" if draft.tool in {"chromium", "libreoffice"} else draft.suffix


def _invoice(words_language: Language, at: int, layout: Layout, *, held_out: bool) -> Planned:
    code = words_language.language
    wordings = words_language.held_out.wording if held_out else words_language.wording
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
        held_out=held_out,
        seed=seed,
        invoice=invoice_answer(invoice, shown, layout.omits),
        printed=invoice_evidence(sheet, layout.omits),
    )
    return Planned(draft, answer)


def _invoices(place: int, words_language: Language) -> Iterator[Planned]:
    for at in range(OPEN_INVOICES):
        layout = OPEN[(OPEN_INVOICES * place + at) % len(OPEN)]
        yield _invoice(words_language, at, layout, held_out=False)
    for at in range(HELD_OUT_INVOICES):
        layout = HELD_OUT[(HELD_OUT_INVOICES * place + at) % len(HELD_OUT)]
        yield _invoice(words_language, OPEN_INVOICES + at, layout, held_out=True)


def _receipt(place: int, words_language: Language) -> Planned:
    code = words_language.language
    held_out = place % 3 == 2
    makers = receipts.HELD_OUT if held_out else receipts.OPEN
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
        held_out=held_out,
        seed=seed,
        invoice=invoice_answer(receipt, frozenset(), frozenset({"unit", "tax_rate"})),
        printed=printed,
    )
    return Planned(draft, answer)


def _contract(
    words_language: Language, text: ContractText, layout: str, at: int, *, held_out: bool
) -> Planned:
    code = words_language.language
    seed = f"{code}-contract-{text.id}-{layout}"
    rng = Random(seed)
    parts, contract = prose.draw_contract(rng, words_language, text, signed=rng.random() < 0.4)
    makers = prose.HELD_OUT if held_out else prose.OPEN
    draft = makers[layout](parts)
    answer = Answer(
        document=f"{code}-contract-{at + 1:02}-{text.id}-{layout}{file_suffix(draft)}",
        type=TYPES["contract"],
        kind="contract",
        language=code,
        layout=f"contract-{layout}",
        wording=f"{code}-contract-{text.id}",
        tool=draft.tool,
        held_out=held_out,
        seed=seed,
        contract=contract,
        printed={f"redact {n}": entry.text for n, entry in enumerate(contract.redact)}
        | {f"keep {n}": kept for n, kept in enumerate(contract.keep)},
    )
    return Planned(draft, answer)


def _contracts(place: int, words_language: Language) -> Iterator[Planned]:
    if not words_language.contract:
        return
    shown, hidden = list(prose.OPEN)[:4], list(prose.HELD_OUT)[:2]
    services, other = words_language.contract
    secret = words_language.held_out.contract[0]
    layout = shown[place % 4]
    yield _contract(words_language, services, layout, 0, held_out=False)
    layout = shown[(place + 1) % 4]
    yield _contract(words_language, other, layout, 1, held_out=False)
    yield _contract(words_language, secret, hidden[place % 2], 2, held_out=True)
    if place % 2:
        yield _contract(words_language, secret, hidden[(place + 1) % 2], 3, held_out=True)
    else:
        layout = shown[(place + 2) % 4]
        yield _contract(words_language, services, layout, 3, held_out=False)


def _text(words_language: Language, text: PlainText, layout: str, *, held_out: bool) -> Planned:
    code = words_language.language
    draft = (prose.HELD_OUT if held_out else prose.OPEN)[layout](prose.text_parts(text))
    first = text.body.strip().splitlines()[0]
    answer = Answer(
        document=f"{code}-{text.kind}-{layout}{file_suffix(draft)}",
        type=TYPES[text.kind],
        kind=text.kind,
        language=code,
        layout=f"text-{layout}",
        wording=f"{code}-{text.kind}",
        tool=draft.tool,
        held_out=held_out,
        seed="",
        printed={"title": text.title or first, "first": first},
    )
    return Planned(draft, answer)


def _texts(place: int, words_language: Language) -> Iterator[Planned]:
    shown, hidden = list(prose.OPEN), list(prose.HELD_OUT)
    for at, text in enumerate(words_language.text):
        # A mail has a subject, a technical guide and a scrap of paper have none.
        layout = "mail" if text.kind == "letter" and place % 2 else shown[(place + at) % 4]
        yield _text(words_language, text, layout, held_out=False)
    for text in words_language.held_out.text:
        yield _text(words_language, text, hidden[place % len(hidden)], held_out=True)


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
