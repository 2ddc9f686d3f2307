"""What the financial pipeline's topics are asked and answer."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from qtforge_sdk.messages.enrichment import Invoice
from qtforge_sdk.messages.parsing import DocumentMetadata

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
    """Asks whether an invoice contradicts itself, or one that came before.

    Attributes:
        parsed_content: The invoice's text.
        metadata: Of its document; its ``sha256`` is the content's identity.
        language: ISO 639-1, or None; for its dates.
        now: ISO 8601; what dates are held against. Given, so that the answer is repeatable.
        issuer: Who issued it, where the caller knows; else it is looked for in the text.
        request_id: Names this work, so that `FraudForgetRequest` can undo what it registered.
    """

    parsed_content: str
    metadata: DocumentMetadata
    now: str
    language: str | None = None
    issuer: str | None = None
    request_id: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the text that a finding rests on.

    Attributes:
        line: 1 is the first.
        text: The line, shortened when it is very long.
    """

    line: int
    text: str


class LineItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an invoice's table; numbers are decimal text, never floats.

    Attributes:
        line: Where it stands; 1 is the text's first line.
        text: The row.
        amount: What it costs.
        quantity: None where it could not be told from other numbers.
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
        check: Which check found it.
        code: What it is, stable, such as ``items.sum``.
        severity: ``high`` for what an honest invoice hardly has.
        message: It in a sentence.
        evidence: The lines.
        stated: What the invoice says, or None.
        computed: What follows from the evidence, or None.
    """

    check: str
    code: str
    severity: Severity
    message: str
    evidence: list[Evidence] = []
    stated: str | None = None
    computed: str | None = None


class FraudCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one check.

    Attributes:
        name: ``line_items``, ``totals``, ``tax``, ``duplicate``, ``dates`` or ``iban``.
        outcome: ``passed``, ``finding``, or ``unchecked`` for what could not be checked.
        detail: What was compared, or why nothing could be.
    """

    name: str
    outcome: Literal["passed", "finding", "unchecked"]
    detail: str


class FraudResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks found.

    Attributes:
        risk: The highest severity of the findings, or ``none``.
        findings: Most severe first; empty when nothing was found.
        checks: Every check, in a fixed order.
        items: The rows of the table that were read with certainty.
        invoice: Number, date and total; None for what is no invoice.
        issuer: Who issued it, or None.
    """

    risk: Literal["none", "low", "medium", "high"]
    findings: list[FraudFinding]
    checks: list[FraudCheck]
    items: list[LineItem] = []
    invoice: Invoice | None = None
    issuer: str | None = None


class FraudForgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to undo a registration; asking again does nothing.

    Attributes:
        request_id: What `FraudRequest` was given.
    """

    request_id: str


class FraudForgetResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was undone.

    Attributes:
        forgotten: How many registrations were removed.
    """

    forgotten: int


class AuditRecordRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to add an entry to the audit trail.

    Attributes:
        event: What happened, such as ``invoice.processed``.
        content: Anything that JSON can hold.
        idempotency_key: The same key is recorded once; None for the asking step's own key.
    """

    event: str
    content: dict[str, Any] = {}
    idempotency_key: str | None = None


class AuditRecordResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Where an entry stands.

    Attributes:
        sequence: 1 is the first entry.
        hash: Of the entry, 64 hexadecimal digits.
        new_entry: False when the key had been recorded before.
    """

    sequence: int
    hash: str
    new_entry: bool


class AuditWithdrawRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to mark an entry as withdrawn; nothing is ever removed.

    Attributes:
        idempotency_key: The entry's key; one that was not recorded is no error.
        reason: For the reader.
    """

    idempotency_key: str
    reason: str = ""


class AuditWithdrawResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was withdrawn.

    Attributes:
        withdrawn: The entry's sequence, or None when there was none to withdraw.
    """

    withdrawn: int | None


class AuditVerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks whether the audit trail is as it was written.

    Attributes:
        contains: A hash that was noted elsewhere; the trail must have an entry with it.
    """

    contains: str | None = None


class BrokenEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where the trail is not as it was written.

    Attributes:
        line: The file's line; 1 is the first.
        sequence: The entry's, as far as it can be told.
        reason: What does not hold.
    """

    line: int
    sequence: int
    reason: str


class AuditVerifyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the audit trail is as it was written.

    Attributes:
        valid: Whether every entry holds, and the hash asked for is there.
        entries: How many hold, from the first on.
        path: The file.
        head: The hash of the last entry that holds, or None when there is none.
        broken: The first entry that does not hold, or None.
        contains: Whether an entry has the hash asked for; None when none was.
        torn_bytes: What a crash left of an entry that nobody was told of; the next record
            mends it.
    """

    valid: bool
    entries: int
    path: str
    head: str | None = None
    broken: BrokenEntry | None = None
    contains: bool | None = None
    torn_bytes: int = 0


class AuditListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the latest entries.

    Attributes:
        limit: How many at the most, 1 to 10,000.
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
        content: What was recorded.
        idempotency_key: Or None.
        previous: The hash of the entry before, 64 zeros for the first.
        hash: Of this entry.
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
        total: How many there are in all, also beyond the limit.
    """

    entries: list[AuditEntry]
    total: int
