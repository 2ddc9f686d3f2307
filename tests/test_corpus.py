"""The accuracy set is consistent in itself: its answers stand in its documents, and add up."""

from __future__ import annotations

import email
import email.policy
import re
from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from itertools import chain, combinations
from pathlib import Path

import docx
import msgspec
import pypdfium2
import pytest
from selectolax.lexbor import LexborHTMLParser
from stdnum import bic, iban
from tests.corpus import plan, second, written_plan
from tests.corpus.answers import Answer, InvoiceAnswer
from tests.corpus.fpdf_layouts import FONTS
from tests.corpus.identifiers import is_vat_id
from tests.corpus.languages import CODES, Wording, language, second_tranche
from tests.corpus.plan import Planned

FOLDER = Path(__file__).parent / "data" / "documents"
ANSWERS = sorted(FOLDER.glob("*/*.json"))
SECOND = [path for path in ANSWERS if path.parent.name == "second"]
FIRST = [path for path in ANSWERS if path.parent.name in {"open", "third"}]
WRITTEN = [path for path in ANSWERS if path.parent.name in written_plan.FOLDERS]
CENT = Decimal("0.01")
# Drawing PDFs again wants the fonts of Debian's fonts-dejavu.
needs_fonts = pytest.mark.skipif(not FONTS.is_dir(), reason=f"no fonts in {FONTS}")


@cache
def answer(path: Path) -> Answer:
    return msgspec.json.decode(path.read_bytes(), type=Answer, strict=False)


@cache
def made_again() -> tuple[Planned, ...]:
    return tuple(chain(plan.documents(), second.documents(), written_plan.documents()))


def invoices() -> list[tuple[Path, InvoiceAnswer]]:
    return [(path, facts) for path in ANSWERS if (facts := answer(path).invoice) is not None]


def squeezed(text: str) -> str:
    """Give a text without white space and hyphens, which line breaks add and take away."""
    return re.sub(r"[\s\u00ad\ufffe\x02-]+", "", text)


def rendered(path: Path) -> str:
    """Give a document's text, read by a library that did not write it where there is one."""
    suffix = path.suffix
    if suffix == ".pdf":
        pdf = pypdfium2.PdfDocument(path)
        try:
            return "\n".join(page.get_textpage().get_text_range() for page in pdf)
        finally:
            pdf.close()
    if suffix == ".docx":
        word = docx.Document(str(path))
        section = word.sections[0]
        elements = (section.header._element, word.element.body, section.footer._element)
        nodes = (node for element in elements for node in element.iter())
        texts = [node.text or "" for node in nodes if node.tag.endswith("}t")]
        return "".join(texts)
    if suffix == ".eml":
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        bodies = [
            part.get_content() for part in message.walk() if part.get_content_maintype() == "text"
        ]
        heads = [str(message[name]) for name in ("Subject", "From", "To")]
        return "\n".join(
            [*heads, *bodies, *(LexborHTMLParser(body).text() or "" for body in bodies)]
        )
    text = path.read_text(encoding="utf-8")
    return LexborHTMLParser(text).text() if suffix == ".html" else text


def test_the_set_has_the_languages_layouts_and_kinds_that_it_promises() -> None:
    answers = [answer(path) for path in FIRST]
    assert len(answers) >= 200
    layouts: dict[str, set[str]] = defaultdict(set)
    for entry in answers:
        if entry.invoice is not None:
            layouts[entry.language].add(entry.layout)
    assert set(layouts) == set(CODES)
    assert all(len(found) >= 4 for found in layouts.values()), layouts
    assert len({entry.tool for entry in answers}) == 6
    third = sum(path.parent.name == "third" for path in FIRST)
    assert 0.3 <= third / len(answers) <= 0.4
    kinds = Counter(entry.kind for entry in answers)
    assert kinds["invoice"] + kinds["credit_note"] >= len(answers) / 2
    assert kinds["contract"] == 32
    assert {"receipt", "technical", "letter", "report", "minutes", "unknown"} <= set(kinds)


def test_the_second_tranche_has_words_and_layouts_of_its_own() -> None:
    answers = [answer(path) for path in SECOND]
    assert len(answers) >= 110
    known = {entry.layout for entry in map(answer, FIRST)}
    assert not {entry.layout for entry in answers} & known
    wordings: dict[str, set[str]] = defaultdict(set)
    contracts: dict[str, set[str]] = defaultdict(set)
    for entry in answers:
        (wordings if entry.invoice else contracts)[entry.language].add(entry.wording)
    assert set(wordings) == set(CODES)
    assert all(len(found) == 3 for found in wordings.values()), wordings
    assert set(contracts) == {"de", "en", "fr", "es", "it", "nl", "ru", "tr"}
    assert all(len(found) >= 6 for found in contracts.values()), contracts


@pytest.mark.parametrize("folder", written_plan.FOLDERS)
def test_a_folder_that_is_written_out_has_enough_of_each_language(folder: str) -> None:
    answers = [answer(path) for path in WRITTEN if path.parent.name == folder]
    bills = Counter(entry.language for entry in answers if entry.invoice is not None)
    deeds = Counter(entry.language for entry in answers if entry.contract is not None)
    assert set(bills) == set(CODES)
    assert min(bills.values()) >= 5, bills
    assert set(deeds) == {"de", "en", "fr", "es", "it", "nl", "ru", "tr"}
    assert min(deeds.values()) >= 2, deeds
    assert len({entry.kind for entry in answers}) >= 6


@pytest.mark.parametrize("code", CODES)
def test_the_labels_of_the_second_tranche_differ_from_those_before(code: str) -> None:
    keys = ("number", "due", "net", "total", "payable", "order_no", "payment_ref", "buyer")

    def labels(words: Wording) -> set[tuple[str, str]]:
        return {(key, getattr(words, key).lower()) for key in keys}

    before = {label for words in language(code).wording for label in labels(words)}
    for words in second_tranche(code).wording:
        assert not labels(words) & before, words.id


def test_every_document_has_an_answer_and_every_answer_a_document() -> None:
    files = {path for path in FOLDER.glob("*/*") if path.suffix != ".json"}
    assert files == {path.parent / answer(path).document for path in ANSWERS}
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.*")) < 18_000_000


def test_layouts_and_wordings_of_a_folder_occur_in_no_other() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for path in ANSWERS:
        entry = answer(path)
        used[path.parent.name] |= {entry.layout}
        if not entry.wording.endswith("-receipt"):
            used[path.parent.name] |= {entry.wording}
        assert (path.parent.name == "held_out") == entry.held_out
    for one, other in combinations(used.values(), 2):
        assert not one & other


@pytest.mark.parametrize("code", CODES)
def test_labels_of_third_are_words_of_their_own(code: str) -> None:
    keys = ("title", "number", "due", "net", "total", "order_no", "payment_ref")
    open_labels = {getattr(words, key) for words in language(code).wording for key in keys}
    third = {getattr(words, key) for words in language(code).third.wording for key in keys}
    assert third
    assert not {label.lower() for label in open_labels} & {label.lower() for label in third}


@needs_fonts
@pytest.mark.soak
def test_the_answers_are_those_that_the_script_gives() -> None:
    made = {Path(entry.answer.document).stem: entry.answer for entry in made_again()}
    assert len(made) == len(made_again())
    assert made.keys() == {path.stem for path in ANSWERS}
    for path in ANSWERS:
        again = msgspec.json.decode(msgspec.json.encode(made[path.stem]), type=Answer, strict=False)
        assert answer(path) == again, path.name


@needs_fonts
@pytest.mark.soak
def test_plain_text_is_written_byte_by_byte_again() -> None:
    for planned in made_again():
        entry = planned.answer
        if entry.tool == "text":
            path = FOLDER / planned.folder / entry.document
            assert path.read_bytes() == planned.draft.content, path.name


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_every_answer_stands_in_its_document(path: Path) -> None:
    entry = answer(path)
    text = squeezed(rendered(path.parent / entry.document))
    missing = {
        key: printed
        for key, printed in entry.printed.items()
        if squeezed(printed).lower() not in text.lower()
    }
    assert not missing
    assert entry.printed


def test_every_fact_has_its_printed_text() -> None:
    fields = (
        "number", "date", "due_date", "service_date", "net", "total", "paid", "amount_due",
        "discount", "shipping", "issuer", "vat_id", "company_number", "customer",
        "customer_vat_id", "customer_number", "order_reference", "delivery_note",
        "payment_reference", "original_number", "bank", "iban", "bic", "account", "bank_code",
    )  # fmt: skip
    for path, facts in invoices():
        printed = answer(path).printed
        for field in fields:
            assert (getattr(facts, field) is None) == (field not in printed), (path.name, field)
        for tax in facts.taxes or ():
            assert f"tax {tax.rate}" in printed


def test_the_amounts_of_every_invoice_add_up() -> None:
    for path, facts in invoices():
        taxes = sum((tax.amount for tax in facts.taxes or ()), Decimal(0))
        if facts.net is not None and facts.taxes is not None:
            assert facts.net + taxes + (facts.rounding or 0) == facts.total, path.name
        if facts.items is not None:
            sums = sum((item.amount for item in facts.items), Decimal(0))
            goal = facts.total if facts.prices_include_tax or facts.net is None else facts.net
            assert sums - (facts.discount or 0) + (facts.shipping or 0) == goal, path.name
            for item in facts.items:
                rest = 100 - (item.discount_percent or 0)
                amount = item.quantity * item.unit_price * rest / 100
                assert amount.quantize(CENT, ROUND_HALF_UP) == item.amount, path.name
        for tax in facts.taxes or ():
            exact = tax.base * tax.rate / 100
            assert abs(exact - tax.amount) <= CENT / 2 + CENT / 2 * facts.prices_include_tax
        if facts.taxes and facts.net is not None:
            assert sum(tax.base for tax in facts.taxes) == facts.net
        if facts.paid is not None:
            assert facts.total - facts.paid == facts.amount_due
        assert facts.due_date is None or facts.due_date > facts.date


def test_every_number_with_check_digits_is_valid() -> None:
    seen = Counter[str]()
    for path, facts in invoices():
        if facts.iban is not None:
            assert iban.is_valid(facts.iban), path.name
            seen["iban"] += 1
        if facts.bic is not None:
            assert bic.is_valid(facts.bic), path.name
            seen["bic"] += 1
        for number, country in (
            (facts.vat_id, facts.issuer_country),
            (facts.customer_vat_id, facts.customer_country),
        ):
            if number is not None:
                assert is_vat_id(number, str(country)), path.name
                seen["vat"] += 1
    assert min(seen["iban"], seen["bic"], seen["vat"]) > 50


def test_what_a_contract_keeps_is_no_part_of_what_it_redacts() -> None:
    for path in ANSWERS:
        contract = answer(path).contract
        if contract is None:
            continue
        hidden = [entry.text for entry in contract.redact]
        kinds = {entry.kind for entry in contract.redact}
        assert {"person", "phone"} <= kinds, path.name
        assert "iban" in kinds or "account" in kinds, path.name
        assert set(contract.parties) | set(contract.signatories) <= set(hidden), path.name
        for kept in contract.keep:
            clash = [text for text in hidden if text in kept or kept in text]
            assert not clash, (path.name, kept, clash)
        for entry in contract.redact:
            if entry.kind == "iban":
                assert iban.is_valid(entry.text), path.name
