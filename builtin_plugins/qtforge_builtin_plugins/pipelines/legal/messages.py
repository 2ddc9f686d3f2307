"""Messages of the legal pipeline: ``compliance.check`` and ``document.redact``."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages import DocumentMetadata, Section

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
    """Request a check of which required clauses a contract has.

    Attributes:
        parsed_content: The contract's text; it may be redacted.
        language: ISO 639-1, or None to detect it.
        contract_kind: ``nda``, ``sla``, ``sales``, ``services``, ``lease`` or ``general``; None
            to detect it.
        sections: The headings that the text's format marks, from ``document.parse``.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    language: str | None = None
    contract_kind: str | None = None
    sections: list[Section] = []
    request_id: str | None = None


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """A clause that was found.

    Attributes:
        name: Such as ``governing_law``.
        title: The name for display, such as ``Governing law``.
        required: Whether this kind of contract needs it; otherwise it is only advised.
        line: The line of the text where the extract begins, from 1.
        heading: The heading of its section, or None.
        extract: The sentence with the clause, quoted; at most 240 characters.
        matched: The words that matched.
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
        title: The name for display.
        required: Whether this kind of contract needs it; otherwise it is only advised.
        looked_for: The words that were searched for; ``*`` stands for any ending, ``...`` for
            some words between.
    """

    name: str
    title: str
    required: bool
    looked_for: list[str]


class ComplianceReport(msgspec.Struct, frozen=True, kw_only=True):
    """The clauses that a contract has and those that it lacks. This is no legal advice.

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
    """Request a text without the values that identify people, accounts and parties.

    Attributes:
        parsed_content: The text.
        metadata: Its document's, or None; it is redacted too.
        language: ISO 639-1, or None; decides the country of phone numbers without a prefix.
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
    """One value that was replaced at all of its places; never the value itself.

    Attributes:
        placeholder: The replacement, such as ``[EMAIL 1]``.
        kind: ``email``, ``iban``, ``card``, ``national_id``, ``account``, ``phone``,
            ``registration``, ``address``, ``party`` or ``person``.
        subkind: The kind of number, such as ``us_ssn``, or None.
        count: The number of its places in the text.
        places: The first 100 places, in the text's order.
        masked: Its form alone: ``#`` for a digit, ``x`` and ``X`` for letters.
        checked: Whether a checksum or numbering plan confirms it; None where none exists.
    """

    placeholder: str
    kind: str
    subkind: str | None
    count: int
    places: list[Place]
    masked: str
    checked: bool | None = None


class RedactedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A redacted text, and the list of its redactions.

    Attributes:
        redacted_content: The text with placeholders.
        metadata: The redacted text's: its own size, checksum and words, type ``text/plain``,
            name and title redacted, no author; None when the request had none.
        redactions: One for each value, in the order of their first places.
        counts: The number of places by kind, for the kinds that were found.
        complete: Whether names were searched for in the text's language. If not, names may be
            readable, and the text must not be treated as redacted.
        warnings: ``names_not_searched`` for a language without words for it; else empty.
    """

    redacted_content: str
    metadata: DocumentMetadata | None
    redactions: list[Redaction]
    counts: dict[str, int]
    complete: bool = True
    warnings: list[str] = []
