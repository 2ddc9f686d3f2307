"""What `compliance.check` and `document.redact` are asked and answer."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages.parsing import DocumentMetadata

__all__ = [
    "Clause",
    "ComplianceReport",
    "ComplianceRequest",
    "MissingClause",
    "Place",
    "RedactRequest",
    "RedactedDocument",
    "Redaction",
]


class ComplianceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks which of the clauses that a contract needs stand in it.

    Attributes:
        parsed_content: The contract's text; it may be redacted.
        language: ISO 639-1, or None to find out.
        contract_kind: ``nda``, ``sla``, ``sales``, ``services``, ``lease`` or ``general``; None
            to find out.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    language: str | None = None
    contract_kind: str | None = None
    request_id: str | None = None


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """A clause that was found.

    Attributes:
        name: Such as ``governing_law``.
        title: For people, such as ``Governing law``.
        required: Whether this kind of contract needs it; otherwise it is only advised.
        line: Where its extract begins in the text, from 1.
        heading: The heading that it stands under, or None.
        extract: The sentence that shows it, quoted; at most 240 characters.
        matched: The words that it was found by.
    """

    name: str
    title: str
    required: bool
    line: int
    heading: str | None
    extract: str
    matched: str


class MissingClause(msgspec.Struct, frozen=True, kw_only=True):
    """A clause that was not found.

    Attributes:
        name: Such as ``governing_law``.
        title: For people.
        required: Whether this kind of contract needs it; otherwise it is only advised.
        looked_for: The words that were looked for; ``*`` stands for any ending, ``...`` for
            some words between.
    """

    name: str
    title: str
    required: bool
    looked_for: list[str]


class ComplianceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Which clauses a contract has and which it lacks. It is no legal advice.

    Attributes:
        contract_kind: As in `ComplianceRequest`.
        language: ISO 639-1.
        complete: Whether no required clause is missing.
        clauses: Found, in the text's order.
        missing: Not found, required ones first.
    """

    contract_kind: str
    language: str
    complete: bool
    clauses: list[Clause]
    missing: list[MissingClause]


class RedactRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a text without what identifies people, accounts and parties.

    Attributes:
        parsed_content: The text.
        metadata: Of its document, or None; it is redacted too.
        language: ISO 639-1, or None; it tells the country of phone numbers without one.
        parties: Names to redact besides the parties that the text itself names.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    metadata: DocumentMetadata | None = None
    language: str | None = None
    parties: list[str] = []
    request_id: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a text.

    Attributes:
        line: From 1; the lines of the redacted text are those of the original.
        column: In characters of the original's line, from 1.
    """

    line: int
    column: int


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """One value that was taken out, wherever it stood; never the value itself.

    Attributes:
        placeholder: What stands there now, such as ``[EMAIL 1]``.
        kind: ``email``, ``iban``, ``card``, ``national_id``, ``phone`` or ``party``.
        subkind: Which number it is, such as ``us_ssn``, or None.
        count: How often it stood in the text.
        places: The first 100 places, in the text's order.
        masked: Its form alone: ``#`` for a digit, ``x`` and ``X`` for letters.
        checked: Whether a check sum or number plan confirms it; None where there is none.
    """

    placeholder: str
    kind: str
    subkind: str | None
    count: int
    places: list[Place]
    masked: str
    checked: bool | None = None


class RedactedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A text without what identifies people, accounts and parties, and what was taken out.

    Attributes:
        redacted_content: The text with placeholders.
        metadata: Of the redacted text: its own size, check sum and words, type ``text/plain``,
            name and title redacted, no author; None when the request had none.
        redactions: One for each value, in the order of their first places.
        counts: Kind to the number of places, only kinds that were found.
    """

    redacted_content: str
    metadata: DocumentMetadata | None
    redactions: list[Redaction]
    counts: dict[str, int]
