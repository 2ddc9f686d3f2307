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
database.query     `CollectRequest`      `Collected`
http.request       `CollectRequest`      `Collected`
file.read          `CollectRequest`      `Collected`
stream.read        `CollectRequest`      `Collected`
rows.aggregate     `AggregateRequest`    `Aggregated`
=================  ====================  ====================

Published: ``document.stored`` with `DocumentStored`.

The keys ``parsed_content``, ``metadata``, ``analysis_results``, ``sentiment`` and
``keywords`` are the original system's (QtForge's sequential orchestrator example).
"""

from qtforge_sdk.messages.aggregation import (
    Aggregated,
    AggregateRequest,
    Aggregation,
    Column,
    Intersect,
    Merge,
    SourceRows,
    Statistical,
    Union,
)
from qtforge_sdk.messages.analysis import (
    AnalysisResults,
    AnalyzeRequest,
    AnalyzeResponse,
    Readability,
    Sentiment,
)
from qtforge_sdk.messages.collection import Collected, CollectRequest, Dataset
from qtforge_sdk.messages.enrichment import (
    Amount,
    EnrichRequest,
    EnrichResponse,
    FoundDate,
    Iban,
    Invoice,
)
from qtforge_sdk.messages.parsing import (
    Document,
    DocumentMetadata,
    ParseOptions,
    ParseRequest,
    ParseResponse,
)
from qtforge_sdk.messages.storage import (
    DiscardRequest,
    DiscardResponse,
    DocumentStored,
    FindRequest,
    FindResponse,
    FoundDocument,
    StoreRequest,
    StoreResponse,
)

__all__ = [
    "AggregateRequest",
    "Aggregated",
    "Aggregation",
    "Amount",
    "AnalysisResults",
    "AnalyzeRequest",
    "AnalyzeResponse",
    "CollectRequest",
    "Collected",
    "Column",
    "Dataset",
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
    "Intersect",
    "Invoice",
    "Merge",
    "ParseOptions",
    "ParseRequest",
    "ParseResponse",
    "Readability",
    "Sentiment",
    "SourceRows",
    "Statistical",
    "StoreRequest",
    "StoreResponse",
    "Union",
]
