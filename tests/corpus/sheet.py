"""The printed parts of an invoice, from which every layout chooses and arranges."""

from __future__ import annotations

from random import Random

import msgspec
from tests.corpus import identifiers
from tests.corpus.facts import Invoice, Party, Printer
from tests.corpus.languages import Language, Wording


class Line(msgspec.Struct, frozen=True):
    """A label and its value, and which field of the answers the value is (or is near)."""

    key: str
    label: str
    value: str


class Block(msgspec.Struct, frozen=True):
    """A party's printed name, address and numbers."""

    name: str
    address: tuple[str, ...]
    contact: tuple[str, ...]
    ids: tuple[Line, ...]


class Sheet(msgspec.Struct, frozen=True):
    """Everything that an invoice prints, in the words of one supplier."""

    language: Language
    words: Wording
    invoice: Invoice
    printer: Printer
    title: str
    title_line: str
    facts: tuple[Line, ...]
    seller: Block
    buyer: Block
    rows: tuple[dict[str, str], ...]
    bases: tuple[Line, ...]
    totals: tuple[Line, ...]
    bank: tuple[Line, ...]
    notes: tuple[str, ...]
    sentence: str
    columns: dict[str, str]

    def fact(self, key: str) -> Line | None:
        """Give one labelled fact, None where the invoice does not have it."""
        return next((line for line in self.facts if line.key == key), None)


def _block(party: Party, words: Wording, kpp: str) -> Block:
    ids = []
    if party.vat_id_printed:
        suffix = f"/{kpp}" if words.vat_id.endswith("/КПП") else ""
        ids.append(Line("vat_id", words.vat_id, party.vat_id_printed + suffix))
    if party.company_number:
        label = party.country.vat_label or words.company_no
        ids.append(Line("company_number", label, party.company_number))
    return Block(
        name=party.name,
        address=(party.street, party.city),
        contact=(f"{words.phone} {party.phone}", party.email),
        ids=tuple(ids),
    )


def _bank(invoice: Invoice, words: Wording, rng: Random) -> tuple[Line, ...]:
    if invoice.bank is None:
        return ()
    lines = [Line("bank", words.bank, invoice.bank)]
    if invoice.iban:
        grouped = identifiers.grouped(invoice.iban) if rng.random() < 0.7 else invoice.iban
        lines.append(Line("iban", words.iban, grouped))
    if invoice.bic:
        lines.append(Line("bic", words.bic, invoice.bic))
    if invoice.issuer.country.code == "RU":
        lines += [
            Line("bank_code", "БИК", invoice.bank_code or ""),
            Line(
                "",
                "К/с",  # noqa: RUF001
                identifiers.digits(rng, "30101810############"),
            ),
            Line("account", words.iban, invoice.account or ""),
        ]
    elif invoice.account:
        lines += [
            Line("bank_code", "Routing No.", invoice.bank_code or ""),
            Line("account", "Account No.", invoice.account),
        ]
    return tuple(lines)


def _totals(invoice: Invoice, words: Wording, printer: Printer) -> tuple[Line, ...]:
    money = printer.money
    lines = []
    if invoice.discount_rate:
        label = words.discount.format(rate=printer.short(invoice.discount_rate))
        lines.append(Line("discount", label, money(-invoice.discount)))
    if invoice.shipping:
        lines.append(Line("shipping", words.shipping, money(invoice.shipping)))
    lines.append(Line("net", words.net, money(invoice.net)))
    for tax in invoice.taxes:
        label = words.tax.format(rate=printer.short(tax.rate), tax=invoice.issuer.country.tax_name)
        lines.append(Line(f"tax {tax.rate}", label, money(tax.amount)))
    lines.append(Line("total", words.total, money(invoice.total)))
    if invoice.paid:
        lines.append(Line("paid", words.paid, money(-invoice.paid)))
        lines.append(Line("amount_due", words.payable, money(invoice.total - invoice.paid)))
    return tuple(lines)


def _row(at: int, invoice: Invoice, printer: Printer, with_currency: bool) -> dict[str, str]:
    item = invoice.items[at]
    amount = printer.money if with_currency else printer.number
    price = amount(item.unit_price)
    if item.discount_percent:
        price += f" (-{printer.short(item.discount_percent)}%)"
    return {
        "pos": str(at + 1),
        "description": item.description,
        "quantity": printer.short(item.quantity),
        "unit": item.unit,
        "price": price,
        "rate": printer.percent(item.tax_rate),
        "amount": amount(item.amount),
    }


def _facts(invoice: Invoice, words: Wording, printer: Printer, rng: Random) -> tuple[Line, ...]:
    number = Line("number", words.number, invoice.number)
    others = [Line("date", words.date, printer.date(invoice.date))]
    if rng.random() < 0.5:
        others.append(Line("service_date", words.service_date, printer.date(invoice.service_date)))
    if invoice.due_date:
        others.append(Line("due_date", words.due, printer.date(invoice.due_date)))
    near = [
        Line(key, label, value)
        for key, label, value in (
            ("customer_number", words.customer_no, invoice.customer_number),
            ("order_reference", words.order_no, invoice.order_reference),
            ("delivery_note", words.delivery_note, invoice.delivery_note),
            ("original_number", words.original, invoice.original_number),
        )
        if value
    ]
    rng.shuffle(near)
    payment = (
        [Line("payment_reference", words.payment_ref, invoice.payment_reference)]
        if invoice.payment_reference
        else []
    )
    arrangements = (
        [number, *others, *near, *payment],
        [*near, number, *others, *payment],
        [number, *near, *others, *payment],
        [*others[:1], number, *near, *others[1:], *payment],
    )
    return tuple(rng.choice(arrangements))


def print_invoice(
    rng: Random, language: Language, words: Wording, invoice: Invoice, *, hard_spaces: bool
) -> Sheet:
    """Print an invoice's values in one supplier's words.

    Args:
        rng: The document's own generator.
        language: The invoice's language.
        words: The supplier's wording.
        invoice: The values.
        hard_spaces: Whether numbers keep together by no-break spaces, as word processors do.

    Returns:
        The printed parts.
    """
    country = invoice.issuer.country
    if hard_spaces:
        group = country.group.replace(" ", "\u00a0")
        country = msgspec.structs.replace(country, group=group)
        words = msgspec.structs.replace(words, money=words.money.replace(" ", "\u00a0"))
    printer = Printer(language, country, words, rng.choice(words.dates), invoice.currency)
    kpp = "781201001"
    with_currency = rng.random() < 0.4
    credit = invoice.kind == "credit_note"
    when = printer.date(invoice.date)
    due = printer.date(invoice.due_date) if invoice.due_date else None
    sentence = words.sentence.format(
        number=invoice.number, date=when, total=printer.money(invoice.total), due=due or ""
    )
    keys = ("pos", "description", "quantity", "unit", "price", "rate", "amount")
    return Sheet(
        language=language,
        words=words,
        invoice=invoice,
        printer=printer,
        title=words.credit_title if credit else words.title,
        title_line=f"{words.credit_title} {invoice.number}, {when}"
        if credit
        else words.title_line.format(number=invoice.number, date=when),
        facts=_facts(invoice, words, printer, rng),
        seller=_block(invoice.issuer, words, kpp),
        buyer=_block(invoice.customer, words, "526001001"),
        rows=tuple(_row(at, invoice, printer, with_currency) for at in range(len(invoice.items))),
        bases=tuple(
            Line(
                f"base {tax.rate}",
                words.base.format(rate=printer.short(tax.rate)),
                printer.money(tax.base),
            )
            for tax in invoice.taxes
        ),
        totals=_totals(invoice, words, printer),
        bank=_bank(invoice, words, rng),
        notes=(words.reverse, words.thanks) if invoice.reverse_charge else (words.thanks,),
        sentence=sentence,
        columns=dict(zip(keys, words.columns, strict=True)),
    )
