"""What `content.analyze` is asked and answers."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages.parsing import DocumentMetadata

__all__ = ["AnalysisResults", "AnalyzeRequest", "AnalyzeResponse", "Readability", "Sentiment"]


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
