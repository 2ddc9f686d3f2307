"""The messages of the built-in topics, all frozen.

=================  ====================  ====================
topic              request               response
=================  ====================  ====================
document.parse     `ParseRequest`        `ParseResponse`
content.analyze    `AnalyzeRequest`      `AnalyzeResponse`
document.enrich    `EnrichRequest`       `EnrichResponse`
document.store     `StoreRequest`        `StoreResponse`
document.discard   `DiscardRequest`      `DiscardResponse`
document.find      `FindRequest`         `FindResponse`
=================  ====================  ====================

Published: ``document.stored`` with `DocumentStored`.

The keys ``parsed_content``, ``metadata``, ``analysis_results``, ``sentiment`` and
``keywords`` are the original system's (QtForge's sequential orchestrator example).
"""

from __future__ import annotations

import msgspec

__all__ = [
    "Amount",
    "AnalysisResults",
    "AnalyzeRequest",
    "AnalyzeResponse",
    "DiscardRequest",
    "DiscardResponse",
    "Document",
    "DocumentMetadata",
    "DocumentStored",
    "EnrichRequest",
    "EnrichResponse",
    "FindRequest",
    "FindResponse",
    "FoundDate",
    "FoundDocument",
    "Iban",
    "Invoice",
    "ParseOptions",
    "ParseRequest",
    "ParseResponse",
    "Readability",
    "Sentiment",
    "StoreRequest",
    "StoreResponse",
]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be read: a file by its path, or content in memory.

    Attributes:
        name: The file's name, for people and as a hint; never trusted as a path.
        path: Where the file is, or None when ``content`` has it.
        content: The bytes themselves, or None when ``path`` names them.
        media_type: Such as ``application/pdf``; None until it has been found out.
    """

    name: str
    path: str | None = None
    content: bytes | None = None
    media_type: str | None = None


class ParseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to parse.

    Attributes:
        max_bytes: Refuse larger files; None means the plugin's own configuration.
        encoding: The text's encoding, or None to detect it.
    """

    max_bytes: int | None = None
    encoding: str | None = None


class ParseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a document's text and metadata.

    Attributes:
        document: What to parse.
        options: How; None for the defaults.
        request_id: The caller's name for this work, kept for the log.
    """

    document: Document
    options: ParseOptions | None = None
    request_id: str | None = None


class DocumentMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a document besides its text.

    Attributes:
        name: The file's name.
        media_type: Found from the content.
        size_bytes: The file's size.
        sha256: Of the file's bytes, 64 hexadecimal digits.
        words: How many words the text has.
        title: From the document, or None.
        author: From the document, or None.
        pages: Pages of a paged format, or None.
        created: ISO 8601, from the document, or None.
        encoding: The encoding of a text format, or None.
    """

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    words: int
    title: str | None = None
    author: str | None = None
    pages: int | None = None
    created: str | None = None
    encoding: str | None = None


class ParseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A document's text and metadata.

    Attributes:
        parsed_content: The text, paragraphs apart by a blank line; may be empty.
        metadata: What else is known.
    """

    parsed_content: str
    metadata: DocumentMetadata


class AnalyzeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks what a text is about.

    Attributes:
        parsed_content: The text.
        metadata: Of its document, or None for a bare text.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    metadata: DocumentMetadata | None = None
    request_id: str | None = None


class Readability(msgspec.Struct, frozen=True, kw_only=True):
    """How hard a text is to read.

    Attributes:
        formula: The formula's name, such as ``flesch`` (higher is easier).
        score: That formula's number.
        sentences: How many sentences the text has.
        words_per_sentence: The mean.
    """

    formula: str
    score: float
    sentences: int
    words_per_sentence: float


class AnalysisResults(msgspec.Struct, frozen=True, kw_only=True):
    """What a text was found to be.

    Attributes:
        language: ISO 639-1, such as ``en``; ``und`` when there is too little text.
        language_confidence: 0 to 1.
        document_type: ``legal``, ``financial``, ``technical`` or ``general``.
        confidence: Of the document type, 0 to 1.
        evidence: Why that type, strongest first; empty for ``general``.
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
    """What a text is about.

    Attributes:
        analysis_results: Language, type, readability.
        keywords: Lower case, most telling first; may be empty.
        sentiment: None when there is no lexicon for the text's language.
    """

    analysis_results: AnalysisResults
    keywords: list[str]
    sentiment: Sentiment | None = None


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


class StoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to keep a document and what was found in it.

    Attributes:
        parsed_content: The text.
        metadata: Its ``sha256`` is the content's identity.
        analysis_results: What it is, or None.
        keywords: What it is about.
        sentiment: Its tone, or None.
        enrichment: The facts in it, or None when that stage gave none.
        request_id: Names this storing, so that `DiscardRequest` can undo it.
    """

    parsed_content: str
    metadata: DocumentMetadata
    analysis_results: AnalysisResults | None = None
    keywords: list[str] = []
    sentiment: Sentiment | None = None
    enrichment: EnrichResponse | None = None
    request_id: str | None = None


class StoreResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document is kept.

    Attributes:
        document_id: Names it in this store.
        sha256: The content's identity.
        new_content: False when the same content was in the store already.
    """

    document_id: str
    sha256: str
    new_content: bool


class DiscardRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to undo a storing; asking again, or for what is not there, does nothing.

    Attributes:
        document_id: What `StoreResponse` gave, or None.
        request_id: What `StoreRequest` was given, or None.
    """

    document_id: str | None = None
    request_id: str | None = None


class DiscardResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was undone.

    Attributes:
        discarded: How many documents were removed.
    """

    discarded: int


class FindRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Searches the stored documents.

    Attributes:
        query: Words that must all stand in the text, the title or the name.
        limit: How many to give at the most, 1 to 1000.
    """

    query: str
    limit: int = 20


class FoundDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A stored document that fits a search.

    Attributes:
        document_id: Names it in this store.
        name: The file's name.
        sha256: The content's identity.
        title: Or None.
        document_type: Or None.
        language: Or None.
        stored_at: ISO 8601, UTC.
        excerpt: The place that fits, the words in ``[`` and ``]``.
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
    """The documents that fit a search.

    Attributes:
        documents: Best first.
        total: How many fit in all, also beyond the limit.
    """

    documents: list[FoundDocument]
    total: int


class DocumentStored(msgspec.Struct, frozen=True, kw_only=True):
    """Published on ``document.stored`` once a document is kept.

    Attributes:
        document_id: Names it in the store.
        sha256: The content's identity.
        name: The file's name.
        document_type: Or None.
        request_id: The caller's name for the work, or None.
    """

    document_id: str
    sha256: str
    name: str
    document_type: str | None = None
    request_id: str | None = None
