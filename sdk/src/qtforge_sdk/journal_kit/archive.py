"""Pack a run into one file: magic, format, sha256, then records, inbox and large values."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from qtforge_sdk import Record
from qtforge_sdk.journal import RunSecret, is_run_id
from qtforge_sdk.journal_errors import ArchiveInvalidError, TagsInvalidError
from qtforge_sdk.journal_kit.admission import check_tags
from qtforge_sdk.journal_kit.encoding import (
    Blob,
    Encoded,
    UnreadableError,
    decode_message,
    decode_record,
    encode_record,
)
from qtforge_sdk.records import CheckpointSaved, RunFinished, RunPaused, RunStarted
from qtforge_sdk.validation import decoded

__all__ = ["Archive", "pack", "unpack"]

_MAGIC: Final = b"QTFORGE-RUN"
_FORMAT: Final = 2  # 1 had no large values within large values
_MOST_POSITION: Final = 1 << 48  # of a message: a journal counts on from there
_HEAD_BYTES: Final = len(_MAGIC) + 1 + 32


class _Body(msgspec.Struct, frozen=True):
    run_id: str
    records: list[bytes]
    inbox: list[bytes]
    blobs: list[bytes]
    references: list[str] = []  # of secrets, which are not in it; earlier versions named none
    tags: dict[str, str] | None = None  # None in archives of earlier versions


class Archive(msgspec.Struct, frozen=True):
    """A checked archive.

    Attributes:
        run_id: The run.
        records: The payloads of the records, oldest first.
        decoded: The records; after those of an unfinished run one that pauses it, where it is to.
        inbox_rows: Id, checksum and payload of each message, oldest first.
        blobs: The large values.
        references: What stands for secrets in the records.
        tags: The run's tags when it was exported; None where they are those of its start.
    """

    run_id: str
    records: list[bytes]
    decoded: list[Record]
    inbox_rows: list[tuple[str, int, bytes]]
    blobs: tuple[Blob, ...]
    references: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None

    @property
    def started(self) -> RunStarted:
        """The first record."""
        first = self.decoded[0]
        assert isinstance(first, RunStarted)  # noqa: S101 - it was checked
        return first

    @property
    def last_handled(self) -> int:
        """The highest position of a message that the checkpoints name, or 0."""
        saved = (each.inbox for each in self.decoded if isinstance(each, CheckpointSaved))
        return max(saved, default=0)

    @property
    def encoded(self) -> list[Encoded]:
        """The records as they are stored, with the one that pauses an unfinished run."""
        payloads = [Encoded(payload, zlib.crc32(payload)) for payload in self.records]
        return payloads + [encode_record(each) for each in self.decoded[len(self.records) :]]

    def missing_secrets(self, here: Collection[str]) -> dict[str, RunSecret]:
        """Return what is to be stored for the references, besides those that are here."""
        return {each: RunSecret(is_missing=True) for each in self.references if each not in here}

    def is_stored_as(self, payloads: Sequence[bytes]) -> bool:
        """Return whether a run with these records is the one of this archive."""
        stored = [each.payload for each in self.encoded]
        return list(payloads) in (self.records, stored)


def pack(
    run_id: str,
    records: Sequence[bytes],
    inbox: Sequence[bytes],
    blobs: Sequence[bytes],
    references: Iterable[str] = (),
    tags: str = "{}",
) -> bytes:
    """Return a run as one archive; its tags are given as JSON."""
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    now = msgspec.json.decode(tags, type=dict[str, str])
    content = _Body(run_id, list(records), list(inbox), list(blobs), sorted(references), now)
    body = msgspec.msgpack.encode(content)
    return _MAGIC + bytes([_FORMAT]) + hashlib.sha256(body).digest() + body


def unpack(data: bytes, *, pause: bool = True, file: str = "") -> Archive:
    """Check an archive, and return its content.

    Args:
        data: The archive.
        pause: Whether an unfinished run is paused.
        file: Where it was read from, for the error; "" where that is known.

    Raises:
        ArchiveInvalidError: It is not an archive, damaged, or of a newer format.
    """
    try:
        return _unpack(data, pause=pause)
    except ArchiveInvalidError as error:
        if not file:
            raise
        raise ArchiveInvalidError(f"{file}: {error.why}") from error


def _unpack(data: bytes, *, pause: bool) -> Archive:
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    if not data.startswith(_MAGIC) or len(data) < _HEAD_BYTES:
        raise ArchiveInvalidError("it does not begin with the mark of an archive")
    if data[len(_MAGIC)] > _FORMAT:
        raise ArchiveInvalidError(
            f"it has format {data[len(_MAGIC)]}, and this version knows up to {_FORMAT}"
        )
    body = data[_HEAD_BYTES:]
    if hashlib.sha256(body).digest() != data[len(_MAGIC) + 1 : _HEAD_BYTES]:
        raise ArchiveInvalidError("its checksum does not match its content")
    try:
        return _read(decoded(msgspec.msgpack.Decoder(_Body).decode, body), pause=pause)
    except (msgspec.MsgspecError, UnreadableError) as error:
        raise ArchiveInvalidError(str(error)) from error


def _read(body: _Body, *, pause: bool) -> Archive:
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    blobs = {hashlib.sha256(content).digest(): content for content in body.blobs}
    load = _Loader(blobs)
    decoded = [decode_record(payload, zlib.crc32(payload), load) for payload in body.records]
    if not decoded or not isinstance(decoded[0], RunStarted):
        raise UnreadableError("the first record is not the start of the run")
    if any(record.run_id != body.run_id for record in decoded):
        raise UnreadableError("a record belongs to another run")
    try:
        check_tags(body.tags or {})
    except TagsInvalidError as error:
        raise UnreadableError(f"{error.what}: {error.why}") from error
    if not is_run_id(body.run_id):
        raise UnreadableError(f"{body.run_id!r} is no id of a run")
    last = decoded[-1]
    if pause and not isinstance(last, RunFinished | RunPaused):
        decoded.append(RunPaused(run_id=body.run_id, at=last.at, by="import"))
    rows = []
    for payload in body.inbox:
        checksum = zlib.crc32(payload)
        rows.append((decode_message(payload, checksum, load).message_id, checksum, payload))
    archive = Archive(
        body.run_id,
        body.records,
        decoded,
        rows,
        tuple(Blob(*each) for each in blobs.items()),
        tuple(body.references),
        body.tags,
    )
    if not 0 <= archive.last_handled <= _MOST_POSITION:
        raise UnreadableError(f"{archive.last_handled} is no position of a message")
    return archive


class _Loader:
    """Loads large values from the archive."""

    def __init__(self, blobs: Mapping[bytes, bytes]) -> None:
        self._blobs = blobs

    def __call__(self, sum_: bytes) -> bytes:
        try:
            return self._blobs[sum_]
        except KeyError:
            raise UnreadableError(f"the large value {sum_.hex()} is missing") from None
