"""What `document.enrich` is asked and answers."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages.parsing import DocumentMetadata

__all__ = ["Amount", "EnrichRequest", "EnrichResponse", "FoundDate", "Iban", "Invoice"]


class EnrichRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the facts that stand in a text.

    Attributes:
        parsed_content: The text.
        metadata: Of its document, or None.
        language: ISO 639-1, or None when unknown.
        document_type: As in `AnalysisResults`, or None when unknown.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    metadata: DocumentMetadata | None = None
    language: str | None = None
    document_type: str | None = None
    request_id: str | None = None


class FoundDate(msgspec.Struct, frozen=True, kw_only=True):
    """A date in a text.

    Attributes:
        text: As written.
        date: ISO 8601, ``YYYY-MM-DD``.
    """

    text: str
    date: str


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of money in a text.

    Attributes:
        text: As written.
        value: The number as decimal text, such as ``279.84``; never a float.
        currency: ISO 4217, or None when the text does not say.
    """

    text: str
    value: str
    currency: str | None = None


class Iban(msgspec.Struct, frozen=True, kw_only=True):
    """An account number that looks like an IBAN.

    Attributes:
        text: As written.
        iban: Without spaces, upper case.
        valid: Whether its check sum and length hold.
    """

    text: str
    iban: str
    valid: bool


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice says of itself; each is None when it was not found.

    Attributes:
        number: The invoice's number as written.
        date: ISO 8601.
        total: What is to be paid.
    """

    number: str | None = None
    date: str | None = None
    total: Amount | None = None


class EnrichResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that stand in a text; each list is in the text's order, without repeats.

    Attributes:
        dates: Calendar dates.
        amounts: Amounts of money.
        emails: E-mail addresses.
        urls: Web addresses.
        phone_numbers: E.164, such as ``+442079460958``.
        ibans: With their checked sum.
        invoice: None when the text is not an invoice.
        parties: The parties of a contract, as named.
        summary: A few of the text's own sentences; may be empty.
    """

    dates: list[FoundDate] = []
    amounts: list[Amount] = []
    emails: list[str] = []
    urls: list[str] = []
    phone_numbers: list[str] = []
    ibans: list[Iban] = []
    invoice: Invoice | None = None
    parties: list[str] = []
    summary: str = ""
