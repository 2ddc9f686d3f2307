"""Messages of the financial pipeline: ``fraud.*`` and ``audit.*``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from qtforge_builtin_plugins.documents.messages import Invoice
from qtforge_sdk.messages import DocumentMetadata

__all__ = [
    "AuditEntry",
    "AuditListRequest",
    "AuditListResponse",
    "AuditRecordRequest",
    "AuditRecordResponse",
    "AuditVerifyRequest",
    "AuditVerifyResponse",
    "AuditWithdrawRequest",
    "AuditWithdrawResponse",
    "BrokenEntry",
    "Evidence",
    "FraudCheck",
    "FraudFinding",
    "FraudForgetRequest",
    "FraudForgetResponse",
    "FraudRequest",
    "FraudResponse",
    "LineItem",
    "Severity",
]

Severity = Literal["low", "medium", "high"]


class FraudRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a check of whether an invoice contradicts itself or an earlier one.

    Attributes:
        parsed_content: The invoice's text.
        metadata: Its document's; ``sha256`` identifies the content.
        language: ISO 639-1, or None; decides how its dates are read.
        now: ISO 8601; the time that dates are compared with. The caller gives it, so that
            the answer is repeatable.
        issuer: The issuer, if the caller knows it; None to search the text.
        request_id: Identifies this request, so that `FraudForgetRequest` can undo it.
    """

    parsed_content: str
    metadata: DocumentMetadata
    now: str
    language: str | None = None
    issuer: str | None = None
    request_id: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the text that supports a finding.

    Attributes:
        line: 1 is the first.
        text: The line, shortened when it is very long.
    """

    line: int
    text: str


class LineItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an invoice's table; numbers are decimal text, never floats.

    Attributes:
        line: The row's line in the text, from 1.
        text: The row.
        amount: The row's total price.
        quantity: None where it can't be distinguished from other numbers.
        unit_price: None as for ``quantity``.
    """

    line: int
    text: str
    amount: str
    quantity: str | None = None
    unit_price: str | None = None


class FraudFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction.

    Attributes:
        check: The check that found it.
        code: A stable code, such as ``items.sum``.
        severity: ``high`` for a contradiction that an honest invoice hardly ever has.
        message: A sentence for the reader.
        evidence: The lines that show it.
        stated: The value in the invoice, or None.
        computed: The value that follows from the evidence, or None.
    """

    check: str
    code: str
    severity: Severity
    message: str
    evidence: list[Evidence] = []
    stated: str | None = None
    computed: str | None = None


class FraudCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check.

    Attributes:
        name: ``line_items``, ``totals``, ``tax``, ``duplicate``, ``dates`` or ``iban``.
        outcome: ``passed``, ``finding``, or ``unchecked`` when the check was not possible.
        detail: The values that were compared, or why the check was not possible.
    """

    name: str
    outcome: Literal["passed", "finding", "unchecked"]
    detail: str


class FraudResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of all checks.

    Attributes:
        risk: The highest severity of the findings, or ``none``.
        findings: Most severe first; empty when nothing was found.
        checks: Every check, in a fixed order.
        items: The rows of the table that were read with certainty.
        invoice: Number, date and total; None when the document is no invoice.
        issuer: The issuer, or None.
    """

    risk: Literal["none", "low", "medium", "high"]
    findings: list[FraudFinding]
    checks: list[FraudCheck]
    items: list[LineItem] = []
    invoice: Invoice | None = None
    issuer: str | None = None


class FraudForgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Undo a registration; a second request changes nothing.

    Attributes:
        request_id: The ``request_id`` of the `FraudRequest`.
    """

    request_id: str


class FraudForgetResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of `FraudForgetRequest`.

    Attributes:
        forgotten: The number of registrations removed.
    """

    forgotten: int


class AuditRecordRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Add an entry to the audit trail.

    Attributes:
        event: What happened, such as ``invoice.processed``.
        content: Any JSON object.
        idempotency_key: The same key is recorded once; None for the calling step's own key.
    """

    event: str
    content: dict[str, Any] = {}
    idempotency_key: str | None = None


class AuditRecordResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a recorded entry.

    Attributes:
        sequence: 1 is the first entry.
        hash: The entry's hash, 64 hexadecimal digits.
        new_entry: False when the key had been recorded before.
    """

    sequence: int
    hash: str
    new_entry: bool


class AuditWithdrawRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Mark an entry as withdrawn; no entry is ever removed.

    Attributes:
        idempotency_key: The entry's key; an unknown key is no error.
        reason: A sentence for the reader.
    """

    idempotency_key: str
    reason: str = ""


class AuditWithdrawResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of `AuditWithdrawRequest`.

    Attributes:
        withdrawn: The entry's sequence, or None when there was no such entry.
    """

    withdrawn: int | None


class AuditVerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a check of the audit trail's integrity.

    Attributes:
        contains: A hash that was noted elsewhere and that an entry must have, or None.
    """

    contains: str | None = None


class BrokenEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry that fails the check.

    Attributes:
        line: The line of the file, from 1.
        sequence: The sequence that the entry should have.
        reason: Why it fails.
    """

    line: int
    sequence: int
    reason: str


class AuditVerifyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a check of the audit trail.

    Attributes:
        valid: Whether every entry is intact, and the requested hash is there.
        entries: The number of intact entries before the first broken one.
        path: The file.
        head: The hash of the last intact entry, or None when there is none.
        broken: The first entry that is not intact, or None.
        contains: Whether an entry has the requested hash; None when none was requested.
        torn_bytes: The length of an incomplete entry that a crash left, and that was never
            confirmed to a caller; the next record removes it.
    """

    valid: bool
    entries: int
    path: str
    head: str | None = None
    broken: BrokenEntry | None = None
    contains: bool | None = None
    torn_bytes: int = 0


class AuditListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the latest entries.

    Attributes:
        limit: The most entries to return, 1 to 10,000.
        event: Only entries of this event, or None.
    """

    limit: int = 20
    event: str | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit trail.

    Attributes:
        sequence: 1 is the first.
        time: ISO 8601, UTC.
        event: What happened.
        content: The recorded JSON object.
        idempotency_key: The key, or None.
        previous: The hash of the entry before; 64 zeros for the first.
        hash: The hash of this entry.
    """

    sequence: int
    time: str
    event: str
    content: dict[str, Any]
    previous: str
    hash: str
    idempotency_key: str | None = None


class AuditListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The latest entries.

    Attributes:
        entries: Oldest first.
        total: The number of all entries, also beyond the limit.
    """

    entries: list[AuditEntry]
    total: int
