"""Parts of an invoice that the layouts of the second tranche share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from tests.corpus.sheet import Line, Sheet

# Every order has these columns, so that no answer depends on it.
_COLUMNS = (
    ("pos", "description", "quantity", "unit", "price", "rate", "amount"),
    ("quantity", "unit", "description", "price", "rate", "amount"),
    ("description", "quantity", "unit", "price", "rate", "amount"),
    ("pos", "quantity", "unit", "description", "rate", "price", "amount"),
    ("description", "rate", "price", "quantity", "unit", "amount"),
)


def tell(label: str, value: str, colon: str) -> str:
    """Join a label and a value; a label with `{}` says itself where the value stands."""
    if "{}" in label:
        return label.format(value)
    return f"{label}{colon} {value}"


def capitals(text: str, sheet: Sheet) -> str:
    """Write in capitals, of which Turkish has two for i."""
    if sheet.language.language == "tr":
        text = text.replace("i", "İ")
    return text.upper()


def pairs(lines: Iterable[Line], colon: str) -> list[str]:
    """Give a text for each labelled value."""
    return [tell(line.label, line.value, colon) for line in lines]


def columns(rng: Random) -> Sequence[str]:
    """Draw an order of the table's columns."""
    return rng.choice(_COLUMNS)


def split_facts(
    sheet: Sheet, rng: Random, *, sentences: bool = True
) -> tuple[list[Line], list[str]]:
    """Give the facts for a list, and sentences for those that the supplier writes out.

    Args:
        sheet: The printed parts.
        rng: The document's own generator.
        sentences: Whether there may be sentences at all.

    Returns:
        The labelled facts, and the sentences around the due date and the payment reference.
    """
    invoice, words = sheet.invoice, sheet.words
    written: dict[str, str] = {}
    due = sheet.fact("due_date")
    if due and words.terms and invoice.due_date and rng.random() < 0.6:
        days = (invoice.due_date - invoice.date).days
        written["due_date"] = words.terms.format(due=due.value, days=days)
    reference = sheet.fact("payment_reference")
    if reference and words.quote and rng.random() < 0.5:
        written["payment_reference"] = words.quote.format(ref=reference.value)
    if not sentences:
        written = {}
    facts = [line for line in sheet.facts if line.key not in written]
    return facts, list(written.values())


def company_lines(sheet: Sheet) -> list[str]:
    """Give the supplier's numbers with their labels."""
    return pairs(sheet.seller.ids, sheet.words.colon)


def bank_lines(sheet: Sheet) -> list[str]:
    """Give the bank account with its labels."""
    return pairs(sheet.bank, sheet.words.colon)


def buyer_lines(sheet: Sheet) -> list[str]:
    """Give the customer's address and tax number."""
    return [
        sheet.buyer.name,
        *([sheet.words.attention] if sheet.words.attention else []),
        *sheet.buyer.address,
        *pairs(sheet.buyer.ids, sheet.words.colon),
    ]


def address_block(sheet: Sheet) -> list[str]:
    """Give the customer as in a letter's window, under a salutation where there is one."""
    return [*([sheet.words.salute] if sheet.words.salute else []), *buyer_lines(sheet)]


def payable(sheet: Sheet) -> Line:
    """Give what is still to be paid, the total where nothing has been paid."""
    last = sheet.totals[-1]
    if last.key == "amount_due" or sheet.invoice.kind == "credit_note":
        return last
    return Line("total", sheet.words.payable, last.value)


def tax_rows(sheet: Sheet) -> list[tuple[str, str, str, str]]:
    """Give the table of taxes: rate, base, amount, and both together."""
    printer = sheet.printer
    heads = sheet.words.tax_heads
    if heads is None:
        raise ValueError(f"wording {sheet.words.id} has no heads for a table of taxes")
    return [
        heads,
        *(
            (
                printer.percent(tax.rate),
                printer.number(tax.base),
                printer.number(tax.amount),
                printer.number(tax.base + tax.amount),
            )
            for tax in sheet.invoice.taxes
        ),
    ]
