"""All checks of one invoice, in a fixed order."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal

from qtforge_builtin_plugins.documents.facts.ibans import find_ibans
from qtforge_builtin_plugins.documents.facts.invoices import find_invoice, looks_like_invoice
from qtforge_builtin_plugins.documents.messages import Iban, Invoice
from qtforge_builtin_plugins.pipelines.financial.date_check import check_dates, issued_on
from qtforge_builtin_plugins.pipelines.financial.issuer import find_issuer
from qtforge_builtin_plugins.pipelines.financial.item_checks import check_items
from qtforge_builtin_plugins.pipelines.financial.messages import (
    FraudFinding,
    FraudRequest,
    FraudResponse,
    LineItem,
    Severity,
)
from qtforge_builtin_plugins.pipelines.financial.numbers import TextLine, number_lines
from qtforge_builtin_plugins.pipelines.financial.register import Register, Registered
from qtforge_builtin_plugins.pipelines.financial.second_reading import read_otherwise
from qtforge_builtin_plugins.pipelines.financial.table import Table, find_table
from qtforge_builtin_plugins.pipelines.financial.total_checks import check_tax, check_totals
from qtforge_builtin_plugins.pipelines.financial.totals import SumLine, find_sums
from qtforge_builtin_plugins.pipelines.financial.verdicts import (
    Paper,
    Verdict,
    evidence,
    found,
    passed,
    plain,
    unchecked,
)

__all__ = ["CHECKS", "inspect_invoice"]

CHECKS: Final = ("line_items", "totals", "tax", "duplicate", "dates", "iban")
_SEVERITIES: Final = MappingProxyType({"high": 0, "medium": 1, "low": 2})
_NO_LINE: Final = 1_000_000_000
# These documents repeat an invoice's number legitimately.
_ABOUT_ANOTHER: Final = re.compile(
    r"(?<!\w)(?:reminder|credit note|credit memo|statement of account|remittance|mahnung|gutschrift"
    r"|zahlungserinnerung|stornorechnung|avoir|акт сверки|напоминание)(?!\w)",
    re.IGNORECASE,
)
_HEAD_CHARACTERS: Final = 400


def inspect_invoice(
    request: FraudRequest, today: datetime.date, register: Register
) -> FraudResponse:
    """Return the findings of all checks; a text that is no invoice is unchecked.

    Args:
        request: The invoice.
        today: The day that its dates are compared with.
        register: The register of earlier invoices, to which it is added.

    Raises:
        OperationError: ``fraud.register_unusable``.
    """
    text, language = request.parsed_content, request.language
    if not looks_like_invoice(text):
        why = "the text does not call itself an invoice or a receipt"
        return _response([unchecked(name, why) for name in CHECKS])
    lines = number_lines(text)
    table = find_table(lines, language)
    paper = Paper(lines=lines, table=table, sums=_sums(lines, table, language))
    invoice = find_invoice(text, language)
    issuer = request.issuer or find_issuer(lines)
    ibans = find_ibans(text)
    other = read_otherwise(text, language)
    verdicts = [
        other.confirm(check_items(paper)),
        other.confirm(check_totals(paper)),
        other.confirm(check_tax(paper)),
        _check_duplicate(request, lines, invoice, issuer, ibans, register),
        check_dates(lines, language, today),
        _check_ibans(lines, ibans),
    ]
    return _response(verdicts, table=table, invoice=invoice, issuer=issuer)


def _sums(
    lines: Sequence[TextLine], table: Table | None, language: str | None
) -> Sequence[SumLine]:
    items = frozenset(item.line.number for item in table.items) if table else frozenset()
    return find_sums(lines, language, items=items, start=max(items, default=_NO_LINE))


def _response(
    verdicts: Sequence[Verdict],
    *,
    table: Table | None = None,
    invoice: Invoice | None = None,
    issuer: str | None = None,
) -> FraudResponse:
    findings = sorted(
        (finding for verdict in verdicts for finding in verdict.findings),
        key=lambda finding: _SEVERITIES[finding.severity],
    )
    risk: Literal["none"] | Severity = findings[0].severity if findings else "none"
    return FraudResponse(
        risk=risk,
        findings=findings,
        checks=[verdict.check for verdict in verdicts],
        items=_items(table),
        invoice=invoice,
        issuer=issuer,
    )


def _items(table: Table | None) -> list[LineItem]:
    return [
        LineItem(
            line=item.line.number,
            text=item.line.text.strip(),
            amount=plain(item.amount.value),
            quantity=format(item.quantity.value, "f") if item.quantity else None,
            unit_price=plain(item.price.value) if item.price else None,
        )
        for item in (table.items if table else ())
        if item.firm
    ]


def _check_duplicate(
    request: FraudRequest,
    lines: Sequence[TextLine],
    invoice: Invoice | None,
    issuer: str | None,
    ibans: Sequence[Iban],
    register: Register,
) -> Verdict:
    name = "duplicate"
    if invoice is None or invoice.number is None:
        return unchecked(name, "no invoice number was found")
    if _ABOUT_ANOTHER.search(request.parsed_content[:_HEAD_CHARACTERS]):
        return unchecked(name, "it is about an invoice, such as a reminder, not an invoice itself")
    issued = issued_on(lines, request.language)
    entry = Registered(
        number=invoice.number,
        sha256=request.metadata.sha256,
        name=request.metadata.name,
        issuer=issuer,
        iban=next((iban.iban for iban in ibans if iban.valid), None),
        total=_total(invoice),
        currency=invoice.total.currency if invoice.total else None,
        issued_on=issued.isoformat() if issued else None,
    )
    before = register.enter(entry, request.request_id)
    if before:
        number = invoice.number
        places = [line for line in lines if number in line.text][:3]
        return found(name, *(_duplicate(entry, other, places) for other in before[:10]))
    if issuer is None and entry.iban is None:
        return unchecked(
            name, "the issuer was not found; one of the same number, date and total would be found"
        )
    return passed(name, f"no other invoice {invoice.number} of {issuer or entry.iban} was seen")


def _total(invoice: Invoice) -> str | None:
    """Return the total in a canonical form, for comparisons."""
    return plain(Decimal(invoice.total.value)) if invoice.total else None


def _duplicate(entry: Registered, other: Registered, places: Sequence[TextLine]) -> FraudFinding:
    differences = [
        f"{what} {theirs} there and {ours} here"
        for what, theirs, ours in (
            ("the total is", other.total, entry.total),
            ("the account is", other.iban, entry.iban),
        )
        if theirs != ours
    ]
    rest = ", with " + ", ".join(differences) if differences else ", with the same total"
    return FraudFinding(
        check="duplicate",
        code="invoice.duplicate",
        severity="high" if differences else "medium",
        message=f"invoice {entry.number} was seen before in '{other.name}'{rest}",
        evidence=evidence(*places),
        stated=entry.total,
        computed=other.total,
    )


def _check_ibans(lines: Sequence[TextLine], ibans: Sequence[Iban]) -> Verdict:
    name = "iban"
    wrong = [iban for iban in ibans if not iban.valid]
    findings = []
    for iban in wrong:
        # Another kind of account number may start with letters too.
        label = re.compile(r"iban[\s:.]{0,5}" + re.escape(iban.text), re.IGNORECASE)
        places = [line for line in lines if label.search(line.text)]
        if places:
            finding = FraudFinding(
                check=name,
                code="iban.checksum",
                severity="high",
                message=f"the IBAN {iban.text} is wrong: its checksum or length is not valid",
                evidence=evidence(*places[:3]),
                stated=iban.iban,
            )
            findings.append(finding)
    if findings:
        return found(name, *findings)
    if len(ibans) > len(wrong):
        return passed(name, "the checksums of " + ", ".join(i.iban for i in ibans if i.valid))
    return unchecked(name, "no IBAN was found")
