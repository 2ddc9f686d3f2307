"""Messages of the built-in topics that plugins of others answer or use, all frozen.

==================  ================  =================  ==================================
topic               request           response           answered by
==================  ================  =================  ==================================
document.parse      `ParseRequest`    `ParseResponse`    a parser of a document format
``<type>.read``     `CollectRequest`  `Collected`        a type of source of an aggregation
document.discard    `DiscardRequest`  `DiscardResponse`  the document store
==================  ================  =================  ==================================

Published: ``document.stored`` with `DocumentStored`. ``database.query`` and
``http.request`` have the messages of ``<type>.read``.

The messages of one pipeline stand beside that pipeline, in its plugins' distribution.
Another plugin that answers one of its topics declares a Struct of its own with the fields
that it uses, since a message is converted to the type that the handler declares.
"""

from qtforge_sdk.messages.collection import (
    Collected,
    CollectRequest,
    Dataset,
    SourceWarning,
)
from qtforge_sdk.messages.parsing import (
    Attachment,
    Document,
    DocumentMetadata,
    ParseOptions,
    ParseRequest,
    ParseResponse,
    Section,
    Table,
    UnreadPage,
)
from qtforge_sdk.messages.storage import DiscardRequest, DiscardResponse, DocumentStored

__all__ = [
    "Attachment",
    "CollectRequest",
    "Collected",
    "Dataset",
    "DiscardRequest",
    "DiscardResponse",
    "Document",
    "DocumentMetadata",
    "DocumentStored",
    "ParseOptions",
    "ParseRequest",
    "ParseResponse",
    "Section",
    "SourceWarning",
    "Table",
    "UnreadPage",
]
