"""Messages of the document store that other plugins use too."""

from __future__ import annotations

import msgspec

__all__ = ["DiscardRequest", "DiscardResponse", "DocumentStored"]


class DiscardRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a stored document; a second request, or an unknown document, changes nothing.

    Attributes:
        document_id: The identity that ``document.store`` returned, or None.
        request_id: The ``request_id`` of the ``document.store`` request, or None.
    """

    document_id: str | None = None
    request_id: str | None = None


class DiscardResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of `DiscardRequest`.

    Attributes:
        discarded: The number of documents removed.
    """

    discarded: int


class DocumentStored(msgspec.Struct, frozen=True, kw_only=True):
    """Published on ``document.stored`` when a document has been stored.

    Attributes:
        document_id: Identifies it in the store.
        sha256: Identifies the content.
        name: The file's name.
        document_type: The type, or None.
        request_id: The caller's name for the request, or None.
    """

    document_id: str
    sha256: str
    name: str
    document_type: str | None = None
    request_id: str | None = None
