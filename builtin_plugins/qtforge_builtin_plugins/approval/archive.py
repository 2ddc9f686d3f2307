"""document-archive: store approved documents by their content, each with a receipt."""

from __future__ import annotations

import asyncio
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
from qtforge_sdk.files import temporary_file
from qtforge_sdk.plugin_files import LocalFiles, PluginFiles

__all__ = ["ArchiveConfig", "DocumentArchive"]

_CHUNK_BYTES: Final = 1 << 20


class ArchiveConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of document-archive.

    Attributes:
        folder: The archive's folder; None for the plugin's files, wherever ``[host] files``
            keeps them.
        max_bytes: Refuse larger files, in bytes.
    """

    folder: str | None = None
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1024 * 1024 * 1024


class DocumentArchive(Plugin):
    """Stores each content once below ``contents``, and a receipt for each below ``receipts``.

    They are among the plugin's files (`PluginContext.files`), so that all machines may have one
    archive.
    """

    Config = ArchiveConfig
    config: ArchiveConfig
    _files: PluginFiles
    _incoming: Path

    async def start(self, context: PluginContext) -> None:
        """Determine where the archive is."""
        folder = self.config.folder
        self._files = LocalFiles(_expanded(folder)) if folder else context.files
        self._incoming = (_expanded(folder) if folder else context.data_dir) / "incoming"

    @operation("document.validate", trylast=True)
    def validate(self, request: ValidateRequest) -> ValidatedDocument:
        """Read a document to its end, and return the hash of its content.

        Raises:
            OperationError: See `qtforge_builtin_plugins.documents.reading.opened`.
        """
        sha256, size_bytes = self._read(request.document, lambda chunk: None)
        return ValidatedDocument(name=request.document.name, sha256=sha256, size_bytes=size_bytes)

    @operation("document.archive", trylast=True)
    async def archive(self, request: ArchiveRequest, context: OperationContext) -> ArchiveReceipt:
        """Copy a document, and write a receipt; a step that runs again gets the first receipt.

        Raises:
            OperationError: ``archive.changed``: it differs from the approved content;
                ``archive.unwritable``; ``archive.damaged``: a receipt can't be read; and those
                of `validate`.
        """
        key = context.idempotency_key
        receipt = f"receipts/{_named(key)}.json" if key else None
        try:
            if receipt is not None and (before := await self._files.read(receipt)) is not None:
                return _read_receipt(self._path(receipt), before)
            return await self._archive(request, receipt)
        except OSError as error:
            raise self._unwritable(error) from error
        except OperationError as error:
            if error.code.startswith("files."):
                raise self._unwritable(error) from error
            raise

    def _unwritable(self, error: Exception) -> OperationError:
        retryable = error.retryable if isinstance(error, OperationError) else None
        return OperationError(
            "archive.unwritable", f"the archive {self._files.where} can't be written",
            str(error), "check its permissions and the space left", retryable=retryable,
        )  # fmt: skip

    async def _archive(self, request: ArchiveRequest, receipt: str | None) -> ArchiveReceipt:
        with temporary_file(self._incoming) as copy:
            sha256, size_bytes = await asyncio.to_thread(self._copy, request, copy)
            content = f"contents/{sha256[:2]}/{sha256}"
            async with self._files.local(content) as path:
                new = path is None or not await asyncio.to_thread(_holds, path, sha256)
            if new:
                await self._files.write(content, Path(copy.name))
        made = ArchiveReceipt(
            name=request.document.name,
            sha256=sha256,
            size_bytes=size_bytes,
            path=self._path(content),
            archived_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            approved_by=request.approved_by,
            comment=request.comment,
            request_id=request.request_id,
            new_content=new,
        )
        text = msgspec.json.format(to_json(made), indent=2) + b"\n"
        name = receipt or f"receipts/{_named(made.archived_at + sha256)}.json"
        # Of two machines that execute the step, both return the receipt of the first one.
        if not await self._files.create(name, text) and receipt is not None:
            first = await self._files.read(receipt)
            return made if first is None else _read_receipt(self._path(receipt), first)
        return made

    def _copy(self, request: ArchiveRequest, copy: BinaryIO) -> tuple[str, int]:
        """Copy a document into a file; return its SHA-256 and its size in bytes."""

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
        copy.flush()
        return sha256, size_bytes

    def _path(self, name: str) -> str:
        return f"{self._files.where}/{name}"

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
    """Return whether a copy is intact."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _read_receipt(path: str, text: bytes) -> ArchiveReceipt:
    try:
        return msgspec.json.decode(text, type=ArchiveReceipt)
    except msgspec.DecodeError as error:
        raise OperationError(
            "archive.damaged", f"the receipt {path} can't be read", str(error),
            "remove it, and the document is archived again", retryable=False,
        ) from error  # fmt: skip


def _named(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:40]
