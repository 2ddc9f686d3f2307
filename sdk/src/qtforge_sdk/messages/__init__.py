"""The messages of the built-in topics, all frozen.

==================  ========================  =======================
topic               request                   response
==================  ========================  =======================
document.parse      `ParseRequest`            `ParseResponse`
content.analyze     `AnalyzeRequest`          `AnalyzeResponse`
document.enrich     `EnrichRequest`           `EnrichResponse`
document.store      `StoreRequest`            `StoreResponse`
document.discard    `DiscardRequest`          `DiscardResponse`
document.find       `FindRequest`             `FindResponse`
document.analyze    `RoutingAnalysisRequest`  `RoutingAnalysis`
compliance.check    `ComplianceRequest`       `ComplianceReport`
document.redact     `RedactRequest`           `RedactedDocument`
document.summarize  `SummarizeRequest`        `Summary`
document.outline    `OutlineRequest`          `Outline`
document.tag        `TagRequest`              `Tags`
database.query      `CollectRequest`          `Collected`
http.request        `CollectRequest`          `Collected`
file.read           `CollectRequest`          `Collected`
stream.read         `CollectRequest`          `Collected`
reviewer.assign     `ReviewerRequest`         `ReviewerAssigned`
reviewer.release    `ReviewerRelease`         `ReviewerReleased`
notification.send   `NotificationRequest`     `NotificationSent`
document.validate   `ValidateRequest`         `ValidatedDocument`
document.archive    `ArchiveRequest`          `ArchiveReceipt`
rows.aggregate      `AggregateRequest`        `Aggregated`
fraud.detect        `FraudRequest`            `FraudResponse`
fraud.forget        `FraudForgetRequest`      `FraudForgetResponse`
audit.record        `AuditRecordRequest`      `AuditRecordResponse`
audit.withdraw      `AuditWithdrawRequest`    `AuditWithdrawResponse`
audit.verify        `AuditVerifyRequest`      `AuditVerifyResponse`
audit.list          `AuditListRequest`        `AuditListResponse`
code.analyze        `CodeRequest`             `CodeResponse`
diagram.extract     `DiagramRequest`          `DiagramResponse`
==================  ========================  =======================

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
from qtforge_sdk.messages.approval import (
    ArchiveReceipt,
    ArchiveRequest,
    Delivery,
    NotificationRequest,
    NotificationSent,
    Person,
    ReviewerAssigned,
    ReviewerRelease,
    ReviewerReleased,
    ReviewerRequest,
    ValidatedDocument,
    ValidateRequest,
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
from qtforge_sdk.messages.general import (
    Heading,
    Outline,
    OutlineRequest,
    SummarizeRequest,
    Summary,
    TagRequest,
    Tags,
)
from qtforge_sdk.messages.legal import (
    Clause,
    ComplianceReport,
    ComplianceRequest,
    MissingClause,
    Place,
    RedactedDocument,
    Redaction,
    RedactRequest,
)
from qtforge_sdk.messages.parsing import (
    Document,
    DocumentMetadata,
    ParseOptions,
    ParseRequest,
    ParseResponse,
)
from qtforge_sdk.messages.routing import RoutingAnalysis, RoutingAnalysisRequest
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
    "AggregateRequest",
    "Aggregated",
    "Aggregation",
    "Amount",
    "AnalysisResults",
    "AnalyzeRequest",
    "AnalyzeResponse",
    "ArchiveReceipt",
    "ArchiveRequest",
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
    "Clause",
    "CodeBlock",
    "CodeFunction",
    "CodeRequest",
    "CodeResponse",
    "CollectRequest",
    "Collected",
    "Column",
    "ComplianceReport",
    "ComplianceRequest",
    "Dataset",
    "Delivery",
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
    "Heading",
    "Iban",
    "Image",
    "Intersect",
    "Invoice",
    "LineCounts",
    "LineItem",
    "Merge",
    "MissingClause",
    "NotificationRequest",
    "NotificationSent",
    "Outline",
    "OutlineRequest",
    "ParseOptions",
    "ParseRequest",
    "ParseResponse",
    "Person",
    "Place",
    "Readability",
    "RedactRequest",
    "RedactedDocument",
    "Redaction",
    "ReviewerAssigned",
    "ReviewerRelease",
    "ReviewerReleased",
    "ReviewerRequest",
    "RoutingAnalysis",
    "RoutingAnalysisRequest",
    "Sentiment",
    "Severity",
    "SourceRows",
    "Statistical",
    "StoreRequest",
    "StoreResponse",
    "SummarizeRequest",
    "Summary",
    "TagRequest",
    "Tags",
    "Union",
    "ValidateRequest",
    "ValidatedDocument",
]
