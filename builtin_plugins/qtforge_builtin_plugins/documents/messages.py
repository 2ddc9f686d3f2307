"""Messages of the topics that process and route a document.

=================  ========================  =================
topic              request                   response
=================  ========================  =================
content.analyze    `AnalyzeRequest`          `AnalyzeResponse`
document.enrich    `EnrichRequest`           `EnrichResponse`
document.store     `StoreRequest`            `StoreResponse`
document.find      `FindRequest`             `FindResponse`
document.analyze   `RoutingAnalysisRequest`  `RoutingAnalysis`
document.ocr       `OcrRequest`              `OcrResponse`
=================  ========================  =================

``document.parse``, ``document.discard`` and ``document.stored`` are in
`qtforge_sdk.messages`, since other plugins answer or use them. The keys
``parsed_content``, ``metadata``, ``analysis_results``, ``sentiment`` and ``keywords`` are
the original system's (QtForge's sequential orchestrator example).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from qtforge_sdk.messages import Attachment, Document, DocumentMetadata

__all__ = [
    "Amount",
    "AnalysisResults",
    "AnalyzeRequest",
    "AnalyzeResponse",
    "EnrichRequest",
    "EnrichResponse",
    "FactEvidence",
    "FindRequest",
    "FindResponse",
    "FoundDate",
    "FoundDocument",
    "Iban",
    "Invoice",
    "InvoiceItem",
    "InvoiceTax",
    "OcrRequest",
    "OcrResponse",
    "Readability",
    "RecognizedPage",
    "RoutingAnalysis",
    "RoutingAnalysisRequest",
    "Sentiment",
    "StoreRequest",
    "StoreResponse",
]


class AnalyzeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the language, type, keywords and tone of a text.

    Attributes:
        parsed_content: The text.
        metadata: Its document's, or None for a bare text.
        request_id: The caller's name for this request.
    """

    parsed_content: str
    metadata: DocumentMetadata | None = None
    request_id: str | None = None


class Readability(msgspec.Struct, frozen=True, kw_only=True):
    """How hard a text is to read.

    Attributes:
        formula: The formula's name, such as ``flesch`` (higher is easier).
        score: The formula's result.
        sentences: The number of sentences.
        words_per_sentence: The mean number of words in a sentence.
    """

    formula: str
    score: float
    sentences: int
    words_per_sentence: float


class AnalysisResults(msgspec.Struct, frozen=True, kw_only=True):
    """Language, type and readability of a text.

    Attributes:
        language: ISO 639-1, such as ``en``; ``und`` when there is too little text.
        language_confidence: 0 to 1.
        document_type: ``legal``, ``financial``, ``technical`` or ``general``.
        confidence: The confidence in the document type, 0 to 1.
        evidence: The reasons for the type, strongest first; empty for ``general``.
        readability: None when there is too little text or no formula for the language.
    """

    language: str
    language_confidence: float
    document_type: str
    confidence: float
    evidence: list[str]
    readability: Readability | None = None


class Sentiment(msgspec.Struct, frozen=True, kw_only=True):
    """The tone of a text.

    Attributes:
        label: ``positive``, ``neutral`` or ``negative``.
        score: -1 (negative) to 1 (positive).
    """

    label: str
    score: float


class AnalyzeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The analysis of a text.

    Attributes:
        analysis_results: Language, type, readability.
        keywords: Lower case, most significant first; may be empty.
        sentiment: None when there is no lexicon for the text's language.
    """

    analysis_results: AnalysisResults
    keywords: list[str]
    sentiment: Sentiment | None = None


class EnrichRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the facts in a text.

    Attributes:
        parsed_content: The text.
        metadata: Its document's, or None.
        language: ISO 639-1, or None when unknown.
        document_type: As in `AnalysisResults`, or None when unknown.
        request_id: The caller's name for this request.
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
        currency: ISO 4217, or None when the text does not name it.
    """

    text: str
    value: str
    currency: str | None = None


class Iban(msgspec.Struct, frozen=True, kw_only=True):
    """An account number that looks like an IBAN.

    Attributes:
        text: As written.
        iban: Without spaces, upper case.
        valid: Whether its checksum and length are right.
    """

    text: str
    iban: str
    valid: bool


class FactEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The text that a value was read from.

    Attributes:
        text: Label and value as written, on one line.
        line: The value's line in the text, from 1; 0 for a mail's header.
        confidence: 0 to 1.
    """

    text: str
    line: int
    confidence: float


class InvoiceTax(msgspec.Struct, frozen=True, kw_only=True):
    """A tax of an invoice.

    Attributes:
        rate: In per cent as decimal text, such as ``19``; None when it is not stated.
        amount: The tax.
        base: The amount that it is of, if the line states it.
    """

    rate: str | None
    amount: Amount
    base: Amount | None = None


class InvoiceItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of an invoice: quantity times price is its amount, or it has only an amount.

    Attributes:
        description: Its words; may be empty.
        quantity: Decimal text; None for an item that has only an amount.
        unit_price: Decimal text; None as for ``quantity``.
        amount: The price of all.
        evidence: Its line.
    """

    description: str
    quantity: str | None
    unit_price: str | None
    amount: Amount
    evidence: str


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """The values of an invoice; each is None when it was not found.

    Attributes:
        number: The invoice's number as written.
        date: The date of issue, ISO 8601.
        total: The whole amount with tax, also when a part of it was paid before.
        kind: ``invoice``, ``credit_note`` or ``receipt``.
        due_date: ISO 8601.
        net: The sum without tax.
        taxes: The taxes, one for each rate.
        paid: What was paid before.
        amount_due: What is still to pay, if the invoice states it.
        issuer: The issuer's name.
        vat_id: The issuer's, without spaces and marks.
        company_number: The issuer's, as written.
        customer: The customer's name.
        customer_vat_id: The customer's, without spaces and marks.
        iban: The account to pay to; its checksum is right.
        bic: The bank to pay to.
        order_reference: The customer's order.
        payment_reference: What to write on the payment.
        items: The items that were read with certainty.
        evidence: The text that each value was read from, by the name of the value; taxes as
            ``taxes.0`` and so on.
        template: The file of the supplier's template that was used, or None.
    """

    number: str | None = None
    date: str | None = None
    total: Amount | None = None
    kind: str = "invoice"
    due_date: str | None = None
    net: Amount | None = None
    taxes: list[InvoiceTax] = []
    paid: Amount | None = None
    amount_due: Amount | None = None
    issuer: str | None = None
    vat_id: str | None = None
    company_number: str | None = None
    customer: str | None = None
    customer_vat_id: str | None = None
    iban: str | None = None
    bic: str | None = None
    order_reference: str | None = None
    payment_reference: str | None = None
    items: list[InvoiceItem] = []
    evidence: dict[str, FactEvidence] = {}
    template: str | None = None


class EnrichResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The facts in a text; each list is in the text's order, without repeats.

    Attributes:
        dates: Calendar dates.
        amounts: Amounts of money.
        emails: E-mail addresses.
        urls: Web addresses.
        phone_numbers: E.164, such as ``+442079460958``.
        ibans: Account numbers, and whether their checksums are right.
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


class RoutingAnalysisRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the properties of a document by which rules choose its pipeline.

    Attributes:
        parsed_content: The text.
        metadata: Its document's, or None for a bare text.
        document_name: The file's name, or None; only a hint.
        analysis_type: The purpose; as in the original always ``routing``.
        request_id: The caller's name for this request.
    """

    parsed_content: str
    metadata: DocumentMetadata | None = None
    document_name: str | None = None
    analysis_type: Literal["routing"] = "routing"
    request_id: str | None = None


class RoutingAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a document; the original's names in conditions are in brackets.

    Attributes:
        document_type: ``legal``, ``financial``, ``technical`` or ``general`` (documentType).
        language: ISO 639-1, or ``und`` when there is too little text (language).
        language_confidence: 0 to 1.
        keywords: Lower case, most significant first (keywords). A word that names a kind of
            document, such as ``contract`` or ``invoice``, is there only when the document is
            of that kind.
        confidence: The confidence in the document type, 0 to 1 (confidenceScore).
        features: Numbers found in the text, such as ``words`` and ``legal_score`` (features).
        category: The subject (contentCategory): ``contracts``, ``accounting``,
            ``finance``, ``engineering``, ``correspondence`` or ``general``.
        evidence: The reasons for the type, strongest first; empty for ``general``.
    """

    document_type: str
    language: str
    keywords: list[str]
    confidence: float
    features: dict[str, float]
    category: str
    language_confidence: float = 0.0
    evidence: list[str] = []


class StoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Store a document with the results of the earlier stages.

    Attributes:
        parsed_content: The text.
        metadata: The document's; ``sha256`` identifies the content.
        analysis_results: From the content analysis, or None.
        keywords: From the content analysis.
        sentiment: From the content analysis, or None.
        enrichment: The facts in it, or None when that stage was skipped or failed.
        attachments: The documents within it; each with a ``response`` is stored as a document
            of its own, and discarded together with it.
        request_id: Identifies this request, so that `DiscardRequest` can undo it.
    """

    parsed_content: str
    metadata: DocumentMetadata
    analysis_results: AnalysisResults | None = None
    keywords: list[str] = []
    sentiment: Sentiment | None = None
    enrichment: EnrichResponse | None = None
    attachments: list[Attachment] = []
    request_id: str | None = None


class StoreResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a stored document.

    Attributes:
        document_id: Identifies it in this store.
        sha256: Identifies the content.
        new_content: False when the same content was in the store already.
        attachment_ids: Identify the documents within it that were stored, in their order.
    """

    document_id: str
    sha256: str
    new_content: bool
    attachment_ids: list[str] = []


class FindRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Search the stored documents.

    Attributes:
        query: Words that must all be in the text, the title or the name.
        limit: The most documents to return, 1 to 1000.
    """

    query: str
    limit: int = 20


class FoundDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A stored document that matches a search.

    Attributes:
        document_id: Identifies it in this store.
        name: The file's name.
        sha256: Identifies the content.
        title: The title, or None.
        document_type: The type, or None.
        language: The language, or None.
        stored_at: ISO 8601, UTC.
        excerpt: A matching passage, with the words in ``[`` and ``]``.
    """

    document_id: str
    name: str
    sha256: str
    stored_at: str
    excerpt: str
    title: str | None = None
    document_type: str | None = None
    language: str | None = None


class FindResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The documents that match a search.

    Attributes:
        documents: Best match first.
        total: The number of all matches, also beyond the limit.
    """

    documents: list[FoundDocument]
    total: int


class OcrRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the text of a picture, or of a PDF's pages as they are drawn.

    Attributes:
        document: PNG, JPEG, TIFF, WebP or PDF.
        max_bytes: Refuse larger files; None for the limit in the plugin's configuration.
        pages: The pages to read, from 1, in ascending order; empty for all of them.
    """

    document: Document
    max_bytes: int | None = None
    pages: tuple[int, ...] = ()


class RecognizedPage(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one page.

    Attributes:
        page: Its number, from 1.
        text: The text, with a blank line between paragraphs; may be empty.
    """

    page: int
    text: str


class OcrResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Text that was recognised in pictures, and may be wrong.

    Attributes:
        text: The text, with a blank line between paragraphs; may be empty.
        confidence: The mean over the words, 0 to 1; None where there are none.
        pages: The number of the document's pages.
        pages_read: How many of them were read.
        warnings: ``ocr``, and ``ocr_incomplete`` where not all requested pages were read.
        by_page: The text of each page that was read.
    """

    text: str
    confidence: float | None
    pages: int
    pages_read: int
    warnings: tuple[str, ...]
    by_page: tuple[RecognizedPage, ...] = ()
