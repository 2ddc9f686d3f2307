"""What `document.analyze` is asked and answers, before a document is sent to its pipeline."""

from __future__ import annotations

from typing import Literal

import msgspec

from qtforge_sdk.messages.parsing import DocumentMetadata

__all__ = ["RoutingAnalysis", "RoutingAnalysisRequest"]


class RoutingAnalysisRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks what a document is, so that rules can choose its pipeline.

    Attributes:
        parsed_content: The text.
        metadata: Of its document, or None for a bare text.
        document_name: The file's name, or None; only a hint.
        analysis_type: What the answer is for; as in the original always ``routing``.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    metadata: DocumentMetadata | None = None
    document_name: str | None = None
    analysis_type: Literal["routing"] = "routing"
    request_id: str | None = None


class RoutingAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a document is; the original's names in conditions are in brackets.

    Attributes:
        document_type: ``legal``, ``financial``, ``technical`` or ``general`` (documentType).
        language: ISO 639-1, or ``und`` when there is too little text (language).
        language_confidence: 0 to 1.
        keywords: What the document is about, in lower case, most telling first (keywords). A
            word that names a kind of document, such as ``contract`` or ``invoice``, is there
            only when the document is one.
        confidence: Of the document type, 0 to 1 (confidenceScore).
        features: Numbers found in the text, such as ``words`` and ``legal_score`` (features).
        category: The field that it belongs to (contentCategory): ``contracts``, ``accounting``,
            ``finance``, ``engineering``, ``correspondence`` or ``general``.
        evidence: Why that type, strongest first; empty for ``general``.
    """

    document_type: str
    language: str
    keywords: list[str]
    confidence: float
    features: dict[str, float]
    category: str
    language_confidence: float = 0.0
    evidence: list[str] = []
