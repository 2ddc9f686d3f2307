"""Extract an invoice's values, by the labels of its language and by its own arithmetic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from qtforge_builtin_plugins.documents.facts.businesses import (
    Business,
    find_businesses,
    find_recipient,
)
from qtforge_builtin_plugins.documents.facts.fields import (
    GUESSED,
    Field,
    find_day_of_payment,
    find_fields,
)
from qtforge_builtin_plugins.documents.facts.ibans import iterate_ibans
from qtforge_builtin_plugins.documents.facts.item_lists import complete_rows
from qtforge_builtin_plugins.documents.facts.items import (
    Row,
    find_rows,
    find_sum_of_rows,
)
from qtforge_builtin_plugins.documents.facts.labels import fold, load_labels, tokenize
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sentences import with_sentence_sums
from qtforge_builtin_plugins.documents.facts.sum_lines import SumLine, Sums
from qtforge_builtin_plugins.documents.facts.sums import find_sums
from qtforge_builtin_plugins.documents.messages import (
    Amount,
    FactEvidence,
    Invoice,
    InvoiceItem,
    InvoiceTax,
)

__all__ = ["find_invoice", "looks_like_invoice"]

# Number and date are at the beginning, the total often at the end.
_HEAD_CHARACTERS: Final = 60_000
_TAIL_CHARACTERS: Final = 60_000
_MOST_LINE_CHARACTERS: Final = 400
_TITLE_CHARACTERS: Final = 2_000
_AGREED: Final = 0.95
_SAID: Final = 0.7
_BIC: Final = re.compile(r"[\s:.#-]{0,6}(?P<bic>[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)(?!\w)")
_BARE_BIC: Final = re.compile(r"(?<!\w)[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?(?!\w)")


def looks_like_invoice(text: str, language: str | None = None, folder: str | None = None) -> bool:
    """Return whether a text names itself an invoice or a receipt at its beginning.

    Args:
        text: Only its first 2,000 characters are used.
        language: ISO 639-1, or None for all languages.
        folder: A folder with labels of further languages, or None.
    """
    labels = load_labels(language, folder)
    folded = fold(text[:_TITLE_CHARACTERS])
    tokens = tokenize(folded)
    return next(labels.find_titles(folded, tokens), None) is not None or labels.has_mention(
        folded, tokens
    )


def find_invoice(
    text: str,
    language: str | None,
    folder: str | None = None,
    recipients: Sequence[str] = (),
    sender: str | None = None,
) -> Invoice | None:
    """Return an invoice's values; None when there is none of number and total.

    Args:
        text: Only its first and last 60,000 characters are used.
        language: ISO 639-1, or None.
        folder: A folder with labels of further languages, or None.
        recipients: Those whom the mail with the invoice is addressed to; the first one that is
            not the issuer is the customer of a text that names none.
        sender: Who has sent the mail, as in its header; None for another document.
    """
    if len(text) > _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        text = f"{text[:_HEAD_CHARACTERS]}\n{text[-_TAIL_CHARACTERS:]}"
    text = "\n".join(line[:_MOST_LINE_CHARACTERS] for line in text.split("\n"))
    page = Page(text, load_labels(language, folder))
    fields = _best_fields(find_fields(page, language))
    rows = find_rows(page, language)
    sums = find_sums(page, language, [row.amount.value for row in rows], {row.line for row in rows})
    sums = with_sentence_sums(page, language, sums, _value(fields, "number"))
    if sums.total is None and sums.due is None:
        whole = find_sum_of_rows(page, language, rows)
        sums = replace(sums, total=whole, currency=whole.amount.currency) if whole else sums
    payment = sums.due or sums.total
    if "due_date" not in fields and "date" in fields and payment is not None:
        accounts = [iban.text for _, iban in iterate_ibans(page.text) if iban.valid]
        day = find_day_of_payment(
            page, language, fields["date"].value, [payment.amount.text, *accounts]
        )
        fields |= {"due_date": day} if day else {}
    number = fields.get("number")
    if sums.total is None and (number is None or number.confidence <= GUESSED):
        return None
    businesses = find_businesses(page, sender, language)
    evidence: dict[str, FactEvidence] = {}
    for name, each in fields.items():
        evidence[name] = _evidence(page, each.evidence, each.start, each.confidence)
    money = _money(page, sums, evidence)
    issuer, customer = businesses.issuer, businesses.customer
    _business_evidence(page, "issuer", issuer, evidence)
    _business_evidence(page, "customer", customer, evidence)
    recipient = None if customer else find_recipient(recipients, issuer)
    if recipient is not None:
        evidence["customer"] = FactEvidence(text=f"To: {recipient}"[:200], line=0, confidence=0.5)
    bank = _bank(page, evidence)
    kept = _items(complete_rows(page, language, rows, sums), sums)
    return Invoice(
        number=_value(fields, "number"),
        date=_value(fields, "date"),
        total=money.get("total"),
        kind=_kind(page),
        due_date=_value(fields, "due_date"),
        net=money.get("net"),
        taxes=[_tax(line, sums) for line in sums.taxes],
        paid=money.get("paid"),
        amount_due=money.get("amount_due"),
        issuer=issuer.name if issuer else None,
        vat_id=issuer.vat_id if issuer else None,
        company_number=issuer.company_number if issuer else None,
        customer=customer.name if customer else recipient,
        customer_vat_id=customer.vat_id if customer else None,
        iban=bank.get("iban"),
        bic=bank.get("bic"),
        order_reference=_value(fields, "order_reference"),
        payment_reference=_value(fields, "payment_reference"),
        items=[_item(row, sums) for row in kept],
        evidence=evidence,
    )


def _value(fields: dict[str, Field], kind: str) -> str | None:
    return fields[kind].value if kind in fields else None


def _best_fields(found: Iterable[Field]) -> dict[str, Field]:
    """Return the surest value of each kind; of several equally sure ones the first."""
    best: dict[str, Field] = {}
    for each in sorted(found, key=lambda field: (-round(field.confidence, 2), field.start)):
        if each.kind not in best:
            best[each.kind] = each
    return best


def _evidence(page: Page, text: str, position: int, confidence: float) -> FactEvidence:
    return FactEvidence(
        text=" ".join(text.split()),
        line=page.text.count("\n", 0, position) + 1,
        confidence=round(min(max(confidence, 0.0), 1.0), 2),
    )


def _money(page: Page, sums: Sums, evidence: dict[str, FactEvidence]) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    # Sums of sentences have no score.
    sure = sums.confidence or (_AGREED if sums.agrees else _SAID)
    for name, line in (
        ("total", sums.total or sums.due), ("net", sums.net), ("paid", sums.paid),
        ("amount_due", sums.due),
    ):  # fmt: skip
        if line is not None:
            found[name] = _amount(line, sums)
            evidence[name] = _evidence(page, line.evidence, line.amount.start, sure)
    for number, tax in enumerate(sums.taxes):
        evidence[f"taxes.{number}"] = _evidence(page, tax.evidence, tax.amount.start, sure)
    return found


def _amount(line: SumLine, sums: Sums) -> Amount:
    return Amount(
        text=line.amount.text,
        value=format(line.amount.value, "f"),
        currency=line.amount.currency or sums.currency,
    )


def _tax(line: SumLine, sums: Sums) -> InvoiceTax:
    base = None
    if line.base is not None:
        base = Amount(text=line.base.text, value=format(line.base.value, "f"),
                      currency=line.base.currency or sums.currency)  # fmt: skip
    return InvoiceTax(
        rate=None if line.rate is None else format(line.rate.normalize(), "f"),
        amount=_amount(line, sums),
        base=base,
    )


def _items(rows: Sequence[Row], sums: Sums) -> list[Row]:
    """Return the rows that are not sums, such as ``Tax 15% on 112.90 16.94``.

    A row without the label of a sum stays one when the only item is the net sum, too.
    """
    chosen = (*sums.taxes, sums.net, sums.total, sums.due, sums.paid)
    used = {
        line.line for line in chosen
        if line and (line.kind not in (None, "other") or line in sums.taxes)
    }  # fmt: skip
    return [row for row in rows if row.line not in used]


def _item(row: Row, sums: Sums) -> InvoiceItem:
    return InvoiceItem(
        description=row.description,
        quantity=None if row.quantity is None else format(row.quantity, "f"),
        unit_price=None if row.price is None else format(row.price, "f"),
        amount=Amount(
            text=row.amount.text,
            value=format(row.amount.value, "f"),
            currency=row.amount.currency or sums.currency,
        ),
        evidence=row.evidence,
    )


def _business_evidence(
    page: Page, role: str, business: Business | None, evidence: dict[str, FactEvidence]
) -> None:
    if business is None:
        return
    prefix = "" if role == "issuer" else "customer_"
    evidence[role] = _evidence(page, business.evidence, business.start, business.confidence)
    for name, text in (("vat_id", business.vat_evidence),
                       ("company_number", business.company_evidence)):  # fmt: skip
        if text:
            evidence[f"{prefix}{name}"] = _evidence(
                page, text, max(0, page.text.find(text[:20])), business.confidence - 0.1
            )


def _bank(page: Page, evidence: dict[str, FactEvidence]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start, iban in iterate_ibans(page.text):
        if iban.valid:
            found["iban"] = iban.iban
            line = page.line(page.line_at(start))
            evidence["iban"] = _evidence(page, line[:160], start, 0.95)
            break
    for hit in page.hits:
        if "bic" in hit.kinds:
            match = _BIC.match(page.text, hit.end)
            if match is not None:
                found["bic"] = match["bic"]
                evidence["bic"] = _evidence(
                    page, page.text[hit.start : match.end()], hit.start, 0.9
                )
                return found
    # Beside an account, or in a column of values, eight or eleven capitals of its country.
    if "iban" in found:
        for match in _BARE_BIC.finditer(page.text):
            if match[0][4:6] == found["iban"][:2] and any(map(str.isupper, match[0])):
                found["bic"] = match[0]
                evidence["bic"] = _evidence(page, match[0], match.start(), 0.7)
                break
    return found


def _kind(page: Page) -> str:
    """Return the kind by the title that comes first; a credit note has an invoice's words too."""
    head = page.tokens_between(0, _TITLE_CHARACTERS)
    titles = [
        (kind, start)
        for kind, start, end in page.labels.find_titles(page.folded, head)
        if not _has_letters(page, page.cell_of(start)[2].start, start)
    ]
    return titles[0][0] if titles else "invoice"


def _has_letters(page: Page, start: int, end: int) -> bool:
    return any(map(str.isalpha, page.text[start:end]))
