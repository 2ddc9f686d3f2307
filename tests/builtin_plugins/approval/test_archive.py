"""document-archive on real files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest

from qtforge_builtin_plugins.approval.archive import ArchiveConfig, DocumentArchive
from qtforge_builtin_plugins.approval.messages import (
    ArchiveReceipt,
    ArchiveRequest,
    ValidateRequest,
)
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import Document, OperationContext, OperationError, PluginContext

TEXT = b"# Offer\n\nTen pieces.\n"
SUM = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def archive(tmp_path: Path, host: PluginTestHost) -> DocumentArchive:
    plugin = DocumentArchive()
    plugin.config = ArchiveConfig(max_bytes=1000)
    folder = tmp_path / "archive"
    context = PluginContext(
        name="document-archive", version="1.0.0", bus=host.bus, data_dir=folder,
        host_version="1.0.0",
    )  # fmt: skip
    asyncio.run(plugin.start(context))
    return plugin


@pytest.fixture
def offer(tmp_path: Path) -> Document:
    path = tmp_path / "offer.md"
    path.write_bytes(TEXT)
    return Document(name="offer.md", path=str(path))


def keep(
    archive: DocumentArchive, document: Document, step: str = "1", sha256: str | None = SUM
) -> ArchiveReceipt:
    context = OperationContext("document.archive", "document-archive", run_id="r", step=step,
                               idempotency_key=f"r/{step}")  # fmt: skip
    request = ArchiveRequest(
        document=document, sha256=sha256, approved_by="Anna", comment="fine", request_id="r"
    )
    return asyncio.run(archive.archive(request, context))


def test_a_document_is_kept_by_its_content_with_a_receipt(
    archive: DocumentArchive, offer: Document, tmp_path: Path
) -> None:
    receipt = keep(archive, offer)
    copy = Path(receipt.path)
    assert copy.read_bytes() == TEXT
    assert copy == tmp_path / "archive" / "contents" / SUM[:2] / SUM
    assert (receipt.sha256, receipt.size_bytes, receipt.approved_by) == (SUM, len(TEXT), "Anna")
    (written,) = (tmp_path / "archive" / "receipts").iterdir()
    assert json.loads(written.read_text())["comment"] == "fine"
    assert list((tmp_path / "archive" / "incoming").iterdir()) == []


def test_a_step_that_is_done_again_gets_its_first_receipt(
    archive: DocumentArchive, offer: Document
) -> None:
    first = keep(archive, offer)
    Path(str(offer.path)).unlink()
    assert keep(archive, offer) == first


def test_the_same_content_is_kept_once(
    archive: DocumentArchive, offer: Document, tmp_path: Path
) -> None:
    first, second = keep(archive, offer), keep(archive, offer, step="2")
    assert (first.new_content, second.new_content) == (True, False)
    assert len(list((tmp_path / "archive" / "receipts").iterdir())) == 2


def test_a_copy_that_was_damaged_is_replaced(archive: DocumentArchive, offer: Document) -> None:
    copy = Path(keep(archive, offer).path)
    copy.write_bytes(b"rotten")
    assert keep(archive, offer, step="2").new_content
    assert copy.read_bytes() == TEXT


def test_nothing_but_what_was_approved_is_kept(
    archive: DocumentArchive, offer: Document, tmp_path: Path
) -> None:
    Path(str(offer.path)).write_bytes(b"something else")
    with pytest.raises(OperationError, match="differs from the approved content") as caught:
        keep(archive, offer)
    assert (caught.value.code, caught.value.retryable) == ("archive.changed", False)
    assert not (tmp_path / "archive" / "contents").exists()
    assert list((tmp_path / "archive" / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "document.not_found"), (b"", "document.empty"), (b"x" * 1001, "document.too_large")],
)
def test_a_document_that_cannot_be_archived_is_found_at_once(
    archive: DocumentArchive, offer: Document, content: bytes | None, code: str
) -> None:
    path = Path(str(offer.path))
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(OperationError) as caught:
        archive.validate(ValidateRequest(document=offer))
    assert caught.value.code == code


def test_what_is_valid_is_told_with_its_identity(archive: DocumentArchive, offer: Document) -> None:
    found = archive.validate(ValidateRequest(document=offer))
    assert (found.name, found.sha256, found.size_bytes) == ("offer.md", SUM, len(TEXT))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_clear_error(
    archive: DocumentArchive, offer: Document, tmp_path: Path
) -> None:
    (tmp_path / "archive").mkdir(mode=0o500)
    with pytest.raises(OperationError) as caught:
        keep(archive, offer)
    assert caught.value.code == "archive.unwritable"


def test_an_archive_that_cannot_be_written_is_a_clear_error(
    archive: DocumentArchive, offer: Document, tmp_path: Path
) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(OperationError) as caught:
        keep(archive, offer)
    assert caught.value.code == "archive.unwritable"


def test_a_receipt_that_cannot_be_read_is_told(
    archive: DocumentArchive, offer: Document, tmp_path: Path
) -> None:
    keep(archive, offer)
    (written,) = (tmp_path / "archive" / "receipts").iterdir()
    written.write_text("{")
    with pytest.raises(OperationError) as caught:
        keep(archive, offer)
    assert caught.value.code == "archive.damaged"
