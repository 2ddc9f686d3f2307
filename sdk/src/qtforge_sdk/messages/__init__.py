"""The messages of the built-in topics, all frozen.

================  ======================  =======================
topic             request                 response
================  ======================  =======================
document.parse    `ParseRequest`          `ParseResponse`
content.analyze   `AnalyzeRequest`        `AnalyzeResponse`
document.enrich   `EnrichRequest`         `EnrichResponse`
document.store    `StoreRequest`          `StoreResponse`
document.discard  `DiscardRequest`        `DiscardResponse`
document.find     `FindRequest`           `FindResponse`
fraud.detect      `FraudRequest`          `FraudResponse`
fraud.forget      `FraudForgetRequest`    `FraudForgetResponse`
audit.record      `AuditRecordRequest`    `AuditRecordResponse`
audit.withdraw    `AuditWithdrawRequest`  `AuditWithdrawResponse`
audit.verify      `AuditVerifyRequest`    `AuditVerifyResponse`
audit.list        `AuditListRequest`      `AuditListResponse`
code.analyze      `CodeRequest`           `CodeResponse`
diagram.extract   `DiagramRequest`        `DiagramResponse`
database.query    `CollectRequest`        `Collected`
http.request      `CollectRequest`        `Collected`
file.read         `CollectRequest`        `Collected`
stream.read       `CollectRequest`        `Collected`
================  ======================  =======================

Published: ``document.stored`` with `DocumentStored`.

The keys ``parsed_content``, ``metadata``, ``analysis_results``, ``sentiment`` and
``keywords`` are the original system's (QtForge's sequential orchestrator example).
"""

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
from qtforge_sdk.messages.financial import (
    AuditEntry,
    AuditListRequest,
    AuditListResponse,
    AuditRecordRequest,
    AuditRecordResponse,
    AuditVerifyRequest,
    AuditVerifyResponse,
    AuditWithdrawRequest,
    AuditWithdrawResponse,
    BrokenEntry,
    Evidence,
    FraudCheck,
    FraudFinding,
    FraudForgetRequest,
    FraudForgetResponse,
    FraudRequest,
    FraudResponse,
    LineItem,
    Severity,
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
from qtforge_sdk.messages.technical import (
    CodeBlock,
    CodeFunction,
    CodeRequest,
    CodeResponse,
    Diagram,
    DiagramRequest,
    DiagramResponse,
    Image,
    LineCounts,
)

__all__ = [
    "Amount",
    "AnalysisResults",
    "AnalyzeRequest",
    "AnalyzeResponse",
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
    "CodeBlock",
    "CodeFunction",
    "CodeRequest",
    "CodeResponse",
    "CollectRequest",
    "Collected",
    "Dataset",
    "Diagram",
    "DiagramRequest",
    "DiagramResponse",
    "DiscardRequest",
    "DiscardResponse",
    "Document",
    "DocumentMetadata",
    "DocumentStored",
    "EnrichRequest",
    "EnrichResponse",
    "Evidence",
    "FindRequest",
    "FindResponse",
    "FoundDate",
    "FoundDocument",
    "FraudCheck",
    "FraudFinding",
    "FraudForgetRequest",
    "FraudForgetResponse",
    "FraudRequest",
    "FraudResponse",
    "Iban",
    "Image",
    "Invoice",
    "LineCounts",
    "LineItem",
    "ParseOptions",
    "ParseRequest",
    "ParseResponse",
    "Readability",
    "Sentiment",
    "Severity",
    "StoreRequest",
    "StoreResponse",
]
