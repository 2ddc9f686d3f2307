"""The right answers beside each document, as `tests/corpus/README.md` describes them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Literal

import msgspec
from tests.corpus.facts import Invoice
from tests.corpus.prose import Contract
from tests.corpus.sheet import Sheet

# What the pipelines route on, by what the document is.
TYPES = {
    "invoice": "financial",
    "credit_note": "financial",
    "receipt": "financial",
    "contract": "legal",
    "technical": "technical",
    "letter": "general",
    "report": "general",
    "minutes": "general",
    "cv": "general",
    "delivery_note": "general",
    "order": "financial",
    "reminder": "financial",
    "statement": "financial",
    "unknown": "unknown",
}


class ItemAnswer(msgspec.Struct, frozen=True):
    """A line of the invoice; null where its layout has no such column."""

    description: str
    quantity: Decimal
    unit: str | None
    unit_price: Decimal
    discount_percent: Decimal | None
    tax_rate: Decimal | None
    amount: Decimal


class TaxAnswer(msgspec.Struct, frozen=True):
    """Tax of one rate, in percent."""

    rate: Decimal
    base: Decimal
    amount: Decimal


class InvoiceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts of an invoice; null where the document does not print them."""

    number: str
    date: dt.date
    due_date: dt.date | None
    service_date: dt.date | None
    currency: str
    prices_include_tax: bool
    net: Decimal | None
    taxes: tuple[TaxAnswer, ...] | None
    total: Decimal
    paid: Decimal | None
    amount_due: Decimal | None
    discount: Decimal | None
    shipping: Decimal | None
    issuer: str
    issuer_country: str
    vat_id: str | None
    company_number: str | None
    customer: str | None
    customer_country: str | None
    customer_vat_id: str | None
    customer_number: str | None
    order_reference: str | None
    delivery_note: str | None
    payment_reference: str | None
    original_number: str | None
    reverse_charge: bool
    bank: str | None
    iban: str | None
    bic: str | None
    account: str | None
    bank_code: str | None
    items: tuple[ItemAnswer, ...] | None
    # What is added to net and taxes so that the total can be paid in coins.
    rounding: Decimal | None = None


class Answer(msgspec.Struct, frozen=True):
    """Everything that is known about one document."""

    document: str
    type: str
    kind: str
    language: str
    layout: str
    wording: str
    tool: Literal["chromium", "fpdf2", "libreoffice", "python-docx", "email", "text"]
    held_out: bool
    seed: str
    invoice: InvoiceAnswer | None = None
    contract: Contract | None = None
    printed: dict[str, str] = {}


def invoice_answer(
    invoice: Invoice, shown: frozenset[str], hidden: frozenset[str]
) -> InvoiceAnswer:
    """Give an invoice's answers.

    Args:
        invoice: The values.
        shown: Facts that the document prints with a label.
        hidden: Fields that the layout leaves out.

    Returns:
        The answers, null for what is not printed.
    """
    included = invoice.kind == "receipt" and invoice.issuer.country.code != "US"
    items = tuple(
        ItemAnswer(
            item.description,
            item.quantity,
            None if "unit" in hidden else item.unit,
            item.unit_price,
            item.discount_percent,
            None if "tax_rate" in hidden else item.tax_rate,
            item.amount,
        )
        for item in invoice.items
    )
    receipt = invoice.kind == "receipt"

    def fact(key: str, value: str | None) -> str | None:
        return value if key in shown and key not in hidden else None

    return InvoiceAnswer(
        number=invoice.number,
        date=invoice.date,
        due_date=invoice.due_date,
        service_date=invoice.service_date
        if "service_date" in shown and "service_date" not in hidden
        else None,
        currency=invoice.currency,
        prices_include_tax=included,
        net=invoice.net,
        taxes=tuple(TaxAnswer(tax.rate, tax.base, tax.amount) for tax in invoice.taxes),
        total=invoice.total,
        paid=invoice.paid or None,
        amount_due=invoice.total - invoice.paid if invoice.paid else None,
        discount=invoice.discount or None,
        shipping=invoice.shipping or None,
        issuer=invoice.issuer.name,
        issuer_country=invoice.issuer.country.code,
        vat_id=invoice.issuer.vat_id,
        company_number=None if receipt else invoice.issuer.company_number,
        customer=None if receipt else invoice.customer.name,
        customer_country=None if receipt else invoice.customer.country.code,
        customer_vat_id=None if receipt or "customer_vat_id" in hidden else invoice.customer.vat_id,
        customer_number=fact("customer_number", invoice.customer_number),
        order_reference=fact("order_reference", invoice.order_reference),
        delivery_note=fact("delivery_note", invoice.delivery_note),
        payment_reference=fact("payment_reference", invoice.payment_reference),
        original_number=fact("original_number", invoice.original_number),
        reverse_charge=invoice.reverse_charge,
        bank=invoice.bank,
        iban=invoice.iban,
        bic=invoice.bic,
        account=invoice.account,
        bank_code=invoice.bank_code,
        items=None if "items" in hidden else items,
    )


def invoice_evidence(sheet: Sheet, hidden: frozenset[str]) -> dict[str, str]:
    """Give the printed text of each answer, by field."""
    printed = {"issuer": sheet.seller.name, "customer": sheet.buyer.name}
    for line in (*sheet.facts, *sheet.totals, *sheet.bank):
        if line.key and line.key not in hidden:
            printed[line.key] = line.value
    for line in sheet.seller.ids:
        printed[line.key] = line.value
    if "customer_vat_id" not in hidden:
        for line in sheet.buyer.ids:
            if line.key == "vat_id":
                printed["customer_vat_id"] = line.value
    if "items" not in hidden:
        for at, row in enumerate(sheet.rows):
            printed[f"item {at} description"] = row["description"]
            printed[f"item {at} amount"] = row["amount"]
    return printed
