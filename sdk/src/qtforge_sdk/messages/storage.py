"""What `document.store`, `document.discard` and `document.find` are asked and answer."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages.analysis import AnalysisResults, Sentiment
from qtforge_sdk.messages.enrichment import EnrichResponse
from qtforge_sdk.messages.parsing import DocumentMetadata

__all__ = [
    "DiscardRequest",
    "DiscardResponse",
    "DocumentStored",
    "FindRequest",
    "FindResponse",
    "FoundDocument",
    "StoreRequest",
    "StoreResponse",
]


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
