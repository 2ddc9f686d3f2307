"""document-storage: store, remove and find documents in SQLite."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from qtforge_builtin_plugins.documents.messages import (
    FindRequest,
    FindResponse,
    StoreRequest,
    StoreResponse,
)
from qtforge_sdk import Bus, Plugin, PluginContext, operation
from qtforge_sdk.durations import Duration, check_duration, wait_seconds
from qtforge_sdk.messages import DiscardRequest, DiscardResponse, DocumentStored

if TYPE_CHECKING:
    from qtforge_builtin_plugins.documents.catalogue import Catalogue

__all__ = ["DocumentStorage", "StorageConfig"]

_FILE_NAME: Final = "documents.sqlite"


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of document-storage.

    Attributes:
        path: The database's file; None for ``documents.sqlite`` in the plugin's own folder.
        busy_timeout: How long to wait for another writer; 0s to 60s.
    """

    path: str | None = None
    busy_timeout: Duration = "5s"

    def __post_init__(self) -> None:
        """Check the time.

        Raises:
            DurationError: It is not a duration from 0s to 60s.
        """
        check_duration(self, "busy_timeout", most_s=60)


class DocumentStorage(Plugin):
    """Stores documents, each content once, with a full-text index.

    The file is opened at the first request, so a host on a read-only disk can start.
    """

    placement = "one node"
    Config = StorageConfig
    config: StorageConfig
    _bus: Bus
    _catalogue: Catalogue

    async def start(self, context: PluginContext) -> None:
        """Prepare the catalogue."""
        from qtforge_builtin_plugins.documents.catalogue import Catalogue  # imports sqlite3

        path = _path(self.config, context)
        self._catalogue = Catalogue(path, wait_seconds(self.config.busy_timeout))
        self._bus = context.bus

    @operation("document.store", trylast=True)
    async def store(self, request: StoreRequest) -> StoreResponse:
        """Store a document and those within it, then publish ``document.stored`` for each.

        A second request with the same ``request_id`` returns the same document and publishes
        again, so that the event is not lost when the process dies between the two.

        Raises:
            OperationError: ``storage.newer``, ``.damaged``, ``.locked``, ``.unwritable``.
        """
        response = await asyncio.to_thread(self._catalogue.store, request)
        analysis = request.analysis_results
        await self._bus.publish(
            "document.stored",
            DocumentStored(
                document_id=response.document_id,
                sha256=response.sha256,
                name=request.metadata.name,
                document_type=analysis.document_type if analysis else None,
                request_id=request.request_id,
            ),
        )
        attached = [each.response for each in request.attachments if each.response is not None]
        for document_id, parsed in zip(response.attachment_ids, attached, strict=False):
            await self._bus.publish(
                "document.stored",
                DocumentStored(
                    document_id=document_id,
                    sha256=parsed.metadata.sha256,
                    name=parsed.metadata.name,
                    request_id=request.request_id,
                ),
            )
        return response

    @operation("document.discard", trylast=True)
    def discard(self, request: DiscardRequest) -> DiscardResponse:
        """Remove a document; an unknown document is no error.

        Raises:
            OperationError: As for `store`.
        """
        return DiscardResponse(discarded=self._catalogue.discard(request))

    @operation("document.find", trylast=True)
    def find(self, request: FindRequest) -> FindResponse:
        """Return the documents that have all words of the query, best first.

        Raises:
            OperationError: ``storage.invalid_query``, ``storage.invalid_limit``, and as for
                `store`.
        """
        return self._catalogue.find(request)


def _path(config: StorageConfig, context: PluginContext) -> Path:
    return Path(config.path).expanduser() if config.path else context.data_dir / _FILE_NAME
