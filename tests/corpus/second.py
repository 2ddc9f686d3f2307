"""The second tranche: more wordings, layouts and contracts to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec
from tests.corpus import agreements, second_files, second_html
from tests.corpus.answers import TYPES, Answer, invoice_answer, invoice_evidence
from tests.corpus.facts import Invoice, Party, draw_invoice
from tests.corpus.languages import (
    CODES,
    Language,
    Tranche,
    Wording,
    language,
    second_tranche,
)
from tests.corpus.layout import Draft, Layout
from tests.corpus.plan import Planned, file_suffix
from tests.corpus.sheet import Sheet, print_invoice

_HTML, _FILES = second_html.LAYOUTS, second_files.LAYOUTS
# Tools take turns, so that each language has layouts of several.
LAYOUTS = (
    _HTML[0], _FILES[2], _HTML[1], _FILES[0], _FILES[5], _HTML[2], _FILES[3], _FILES[1], _HTML[3],
    _FILES[4], _FILES[6],
)  # fmt: skip
INVOICES = 6  # in each language, two of each wording


def _language(code: str, tranche: Tranche) -> Language:
    words_language = language(code)
    return msgspec.structs.replace(
        words_language,
        companies=tranche.companies,
        persons=tranche.persons,
        items=(*words_language.items, *tranche.items),
    )


def _without_form(rng: Random, invoice: Invoice, names: tuple[str, ...]) -> Invoice:
    """Sell to somebody whose name has no legal form, such as a school, now and then."""
    if invoice.customer.vat_id is None or invoice.reverse_charge or rng.random() < 0.6:
        return invoice
    customer: Party = msgspec.structs.replace(
        invoice.customer,
        name=rng.choice(names),
        vat_id=None,
        vat_id_printed=None,
        company_number=None,
    )
    return msgspec.structs.replace(invoice, customer=customer)


def _labelled(words: Wording, tranche: Tranche, at: int, invoice: Invoice) -> Wording:
    labels = tranche.labels[invoice.issuer.country.code]
    return msgspec.structs.replace(
        words,
        vat_id=labels.vat[at % len(labels.vat)],
        company_no=labels.company[at % len(labels.company)],
    )


def _with_labels(sheet: Sheet) -> Sheet:
    """Leave the customer no number but that for tax, whose label has no gap."""
    ids = tuple(
        msgspec.structs.replace(line, label=line.label.replace("{}", "").strip(" :·/,"))
        for line in sheet.buyer.ids
        if line.key == "vat_id"
    )
    seller = tuple(
        msgspec.structs.replace(line, label=sheet.words.company_no)
        if line.key == "company_number"
        else line
        for line in sheet.seller.ids
    )
    return msgspec.structs.replace(
        sheet,
        buyer=msgspec.structs.replace(sheet.buyer, ids=ids),
        seller=msgspec.structs.replace(sheet.seller, ids=seller),
    )


def _invoice(code: str, at: int, layout: Layout) -> Planned:
    tranche = second_tranche(code)
    words_language = _language(code, tranche)
    wording_at = at % len(tranche.wording)
    countries = words_language.country
    country = countries[at // 2 % len(countries)]
    attempt = 0
    while True:
        seed = f"{code}-second-{at}-{layout.id}-{attempt}"
        rng = Random(seed)
        invoice = draw_invoice(rng, words_language, country)
        if not layout.sentence or (invoice.due_date and invoice.kind == "invoice"):
            break
        attempt += 1
    invoice = _without_form(rng, invoice, tranche.customers)
    words = _labelled(tranche.wording[wording_at], tranche, wording_at, invoice)
    if invoice.customer.company_number is None:
        words = msgspec.structs.replace(words, salute="", attention="")
    sheet = _with_labels(
        print_invoice(rng, words_language, words, invoice, hard_spaces=layout.hard_spaces)
    )
    drawn = layout.make(sheet, rng)
    shown = frozenset(line.key for line in sheet.facts)
    answer = Answer(
        document=f"{code}-second-{at + 1:02}-{layout.id}{file_suffix(drawn)}",
        type=TYPES[invoice.kind],
        kind=invoice.kind,
        language=code,
        layout=layout.id,
        wording=f"{code}-{words.id}",
        tool=drawn.tool,
        held_out=False,
        seed=seed,
        invoice=invoice_answer(invoice, shown, layout.omits),
        printed=invoice_evidence(sheet, layout.omits),
    )
    return Planned(drawn, answer, "second")


def _agreements(place: int, code: str) -> Iterator[Planned]:
    names = list(agreements.FORMATS)
    for at, agreement in enumerate(second_tranche(code).agreement):
        layout = names[(at + place) % len(names)]
        seed = f"{code}-agreement-{agreement.id}"
        paper, contract = agreements.draw_agreement(Random(seed), language(code), agreement)
        drawn: Draft = agreements.FORMATS[layout](paper)
        answer = Answer(
            document=f"{code}-agreement-{at + 1:02}-{agreement.id}-{layout}{file_suffix(drawn)}",
            type=TYPES["contract"],
            kind="contract",
            language=code,
            layout=f"contract-{layout}",
            wording=f"{code}-agreement-{agreement.id}",
            tool=drawn.tool,
            held_out=False,
            seed=seed,
            contract=contract,
            printed={f"redact {n}": entry.text for n, entry in enumerate(contract.redact)}
            | {f"keep {n}": kept for n, kept in enumerate(contract.keep)},
        )
        yield Planned(drawn, answer, "second")


def documents() -> Iterator[Planned]:
    """Give every document of the second tranche, the same each time.

    Returns:
        Sources and answers, language by language.
    """
    for place, code in enumerate(CODES):
        for at in range(INVOICES):
            yield _invoice(code, at, LAYOUTS[(INVOICES * place + at) % len(LAYOUTS)])
        yield from _agreements(place, code)
