"""document-archive: store approved documents by their content, each with a receipt."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec

from qtforge_builtin_plugins.approval.messages import (
    ArchiveReceipt,
    ArchiveRequest,
    ValidatedDocument,
    ValidateRequest,
)
from qtforge_builtin_plugins.documents.reading import opened
from qtforge_sdk import Document, OperationContext, OperationError, Plugin, PluginContext, operation
from qtforge_sdk.conversion import to_json
from qtforge_sdk.files import keep_file, temporary_file

__all__ = ["ArchiveConfig", "DocumentArchive"]

_CHUNK_BYTES: Final = 1 << 20


class ArchiveConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of document-archive.

    Attributes:
        folder: The archive's folder; None for the plugin's own folder.
        max_bytes: Refuse larger files, in bytes.
    """

    folder: str | None = None
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1024 * 1024 * 1024


class DocumentArchive(Plugin):
    """Stores each content once below ``contents``, and a receipt for each below ``receipts``."""

    Config = ArchiveConfig
    config: ArchiveConfig
    _folder: Path

    async def start(self, context: PluginContext) -> None:
        """Determine the archive's folder."""
        folder = self.config.folder
        self._folder = _expanded(folder) if folder else context.data_dir

    @operation("document.validate", trylast=True)
    def validate(self, request: ValidateRequest) -> ValidatedDocument:
        """Read a document to its end, and return the hash of its content.

        Raises:
            OperationError: See `qtforge_builtin_plugins.documents.reading.opened`.
        """
        sha256, size_bytes = self._read(request.document, lambda chunk: None)
        return ValidatedDocument(name=request.document.name, sha256=sha256, size_bytes=size_bytes)

    @operation("document.archive", trylast=True)
    def archive(self, request: ArchiveRequest, context: OperationContext) -> ArchiveReceipt:
        """Copy a document, and write a receipt; a step that runs again gets the first receipt.

        Raises:
            OperationError: ``archive.changed``: it differs from the approved content;
                ``archive.unwritable``; ``archive.damaged``: a receipt can't be read; and those
                of `validate`.
        """
        key = context.idempotency_key
        receipt = self._folder / "receipts" / f"{_named(key)}.json" if key else None
        try:
            if receipt is not None and receipt.is_file():
                return _read_receipt(receipt)
            return self._archive(request, receipt)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OperationError:
        return OperationError(
            "archive.unwritable", f"the archive {self._folder} can't be written",
            str(error), "check its permissions and the space left",
        )  # fmt: skip

    def _archive(self, request: ArchiveRequest, receipt: Path | None) -> ArchiveReceipt:
        with temporary_file(self._folder / "incoming") as copy:

            def write(chunk: bytes) -> None:
                try:
                    copy.write(chunk)
                except OSError as error:  # not mistaken for an error of the document's file
                    raise self._unwritable(error) from error

            sha256, size_bytes = self._read(request.document, write)
            if request.sha256 is not None and sha256 != request.sha256:
                raise OperationError(
                    "archive.changed", f"{request.document.name} differs from the approved content",
                    f"its SHA-256 was {request.sha256[:12]}… and is {sha256[:12]}…",
                    "restore the approved content, or submit the document again",
                    retryable=False,
                )  # fmt: skip
            target = self._folder / "contents" / sha256[:2] / sha256
            new = not _holds(target, sha256)
            if new:
                keep_file(copy, target)
        made = ArchiveReceipt(
            name=request.document.name,
            sha256=sha256,
            size_bytes=size_bytes,
            path=str(target),
            archived_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            approved_by=request.approved_by,
            comment=request.comment,
            request_id=request.request_id,
            new_content=new,
        )
        if receipt is None:
            receipt = self._folder / "receipts" / f"{_named(made.archived_at + sha256)}.json"
        with temporary_file(self._folder / "incoming") as file:
            file.write(msgspec.json.format(to_json(made), indent=2) + b"\n")
            keep_file(file, receipt)
        return made

    def _read(self, document: Document, take: Callable[[bytes], object]) -> tuple[str, int]:
        """Pass on a document's content in parts; return its SHA-256 and its size in bytes."""
        with opened(document, self.config.max_bytes) as file:
            return _hashed(file, take)


def _expanded(folder: str) -> Path:
    return Path(folder).expanduser()


def _hashed(file: BinaryIO, take: Callable[[bytes], object]) -> tuple[str, int]:
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
        take(chunk)
    return digest.hexdigest(), size_bytes


def _holds(path: Path, sha256: str) -> bool:
    """Return whether a copy exists and is intact."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _read_receipt(path: Path) -> ArchiveReceipt:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ArchiveReceipt)
    except msgspec.DecodeError as error:
        raise OperationError(
            "archive.damaged", f"the receipt {path} can't be read", str(error),
            "remove it, and the document is archived again", retryable=False,
        ) from error  # fmt: skip


def _named(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:40]
