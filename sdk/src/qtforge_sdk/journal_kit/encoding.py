"""Encode records and messages as bytes, with large values apart.

A value that is longer than `LARGE_BYTES` is stored by its digest. So is each large part of it:
when a state machine's data changes a little, only the part that has changed is stored again.
"""

from __future__ import annotations

import datetime
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage, Publication
from qtforge_sdk.journal_errors import RecordNotStorableError, RecordTooLargeError
from qtforge_sdk.records import CheckpointSaved

__all__ = [
    "LARGE_BYTES",
    "MAX_VALUE_BYTES",
    "Blob",
    "Encoded",
    "LoadBlob",
    "SharedValues",
    "UnreadableError",
    "decode_message",
    "decode_publication",
    "decode_record",
    "encode_message",
    "encode_publication",
    "encode_record",
    "from_us",
    "to_us",
]

LARGE_BYTES: Final = 256 * 1024
"""A value whose encoding is longer than this is stored in a file of its own."""

MAX_VALUE_BYTES: Final = 64 << 20
"""The largest record or message, where the configuration says nothing else."""

_PART_BYTES: Final = 64 * 1024  # a part of a large value that is longer has a file of its own
_MOST_LEVELS: Final = 16  # each level that is split encodes what is below it again
_MOST_NESTED: Final = 64  # files that refer to files; a cycle is damage

LoadBlob = Callable[[bytes], bytes]
"""Returns the content of a blob by its sha256; raises `UnreadableError` when it is missing."""
SharedValues = dict[bytes, Any]
"""Large values that were decoded, by the sha256 of their content."""

S = TypeVar("S", bound=msgspec.Struct)

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_BLOB_CODE: Final = 66  # the msgpack extension type that replaces a large value
_REFERENCE: Final = bytes([0xC7, 32, _BLOB_CODE])  # how msgpack begins one, with a sha256
_ENCODER: Final = msgspec.msgpack.Encoder()
_CANT_ENCODE: Final = (TypeError, ValueError, OverflowError, RecursionError)


class UnreadableError(Exception):
    """Stored bytes are not what was written; the text says why."""


class Blob(NamedTuple):
    """A large value.

    Attributes:
        sum: The sha256 of the content.
        content: The encoded value.
    """

    sum: bytes
    content: bytes


class Encoded(msgspec.Struct, frozen=True):
    """A record or message as it is stored."""

    payload: bytes
    checksum: int
    blobs: tuple[Blob, ...] = ()


class _BlobReference(NamedTuple):
    sum: bytes


def _read_extension(code: int, data: memoryview) -> object:
    if code == _BLOB_CODE:
        return _BlobReference(bytes(data))
    return msgspec.msgpack.Ext(code, bytes(data))


# Decoders are made when they are first needed: together they take 5 ms.
@functools.cache
def _record_decoder() -> msgspec.msgpack.Decoder[Record]:
    return msgspec.msgpack.Decoder(Record, ext_hook=_read_extension)


@functools.cache
def _message_decoder() -> msgspec.msgpack.Decoder[InboxMessage]:
    return msgspec.msgpack.Decoder(InboxMessage, ext_hook=_read_extension)


@functools.cache
def _publication_decoder() -> msgspec.msgpack.Decoder[Publication]:
    return msgspec.msgpack.Decoder(Publication)


@functools.cache
def _value_decoder() -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(Any, ext_hook=_read_extension)


@functools.cache
def _open_fields(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields of any type, which may be large: input, data, result."""
    return tuple(field.name for field in msgspec.structs.fields(type_) if field.type is Any)


def to_us(at: datetime.datetime) -> int:
    """Return microseconds since 1970; a time without a zone is UTC.

    >>> to_us(datetime.datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    return ((at if at.tzinfo else at.replace(tzinfo=datetime.UTC)) - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime.datetime:
    """Return the time of a number of microseconds since 1970, in UTC.

    Raises:
        UnreadableError: It is no such number.
    """
    try:
        return _EPOCH + us * _MICROSECOND
    except (TypeError, OverflowError):
        raise UnreadableError(f"{us!r} is no time") from None


def encode_record(record: Record, most_bytes: int = MAX_VALUE_BYTES) -> Encoded:
    """Encode a record.

    Args:
        record: The record.
        most_bytes: The largest size.

    Raises:
        RecordNotStorableError: It holds a value that can't be encoded, or is too large.
    """
    try:
        payload = _ENCODER.encode(record)
        if len(payload) > LARGE_BYTES:
            if len(payload) > most_bytes:
                raise RecordTooLargeError(record.run_id, _name(record), len(payload), most_bytes)
            return _encode_apart(record, payload)
    except _CANT_ENCODE as error:
        raise RecordNotStorableError(record.run_id, _name(record), str(error)) from error
    return Encoded(payload, zlib.crc32(payload))


def encode_message(
    run_id: str, message: InboxMessage, most_bytes: int = MAX_VALUE_BYTES
) -> Encoded:
    """Encode a message.

    Args:
        run_id: The run that it is for.
        message: The message.
        most_bytes: The largest size.

    Raises:
        RecordNotStorableError: It holds a value that can't be encoded, or is too large.
    """
    try:
        payload = _ENCODER.encode(message)
        if len(payload) > LARGE_BYTES:
            if len(payload) > most_bytes:
                raise RecordTooLargeError(run_id, message.kind, len(payload), most_bytes)
            return _encode_apart(message, payload)
    except _CANT_ENCODE as error:
        raise RecordNotStorableError(run_id, message.kind, str(error)) from error
    return Encoded(payload, zlib.crc32(payload))


def _name(record: Record) -> str:
    kind = str(record.__struct_config__.tag)
    step = getattr(record, "step", "")
    return f"{kind} {step}" if step else kind


def encode_publication(publication: Publication) -> Encoded:
    """Encode a publication, with large values within it.

    Raises:
        RecordNotStorableError: It holds a value that can't be encoded.
    """
    try:
        payload = _ENCODER.encode(publication)
    except _CANT_ENCODE as error:
        raise RecordNotStorableError(publication.topic, "publication", str(error)) from error
    return Encoded(payload, zlib.crc32(payload))


def decode_publication(payload: bytes, checksum: int) -> Publication:
    """Decode a stored publication.

    Raises:
        UnreadableError: The bytes are not what was written.
    """
    _verify(payload, checksum)
    try:
        return _publication_decoder().decode(payload)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(f"it is not a publication: {error}") from error


def decode_record(
    payload: bytes, checksum: int, load: LoadBlob, shared: SharedValues | None = None
) -> Record:
    """Decode a stored record.

    Args:
        payload: What was stored.
        checksum: Of the payload.
        load: Returns the content of a large value.
        shared: The large values of checkpoints that were read before: most have the same, and
            each is read once. Only checkpoints share them, since they are never changed.

    Raises:
        UnreadableError: The bytes, or those of a large value, are not what was written.
    """
    _verify(payload, checksum)
    try:
        record: Record = _record_decoder().decode(payload)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(f"it is not a record: {error}") from error
    return _restore(record, payload, load, shared if type(record) is CheckpointSaved else None)


def decode_message(payload: bytes, checksum: int, load: LoadBlob) -> InboxMessage:
    """Decode a stored message.

    Raises:
        UnreadableError: The bytes, or those of a large value, are not what was written.
    """
    _verify(payload, checksum)
    try:
        message = _message_decoder().decode(payload)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(f"it is not a message: {error}") from error
    return _restore(message, payload, load)


def _encode_apart(value: msgspec.Struct, payload: bytes) -> Encoded:
    """Encode a value with its large fields apart, if it has any."""
    blobs: list[Blob] = []
    replaced: dict[str, object] = {}
    for name in _open_fields(type(value)):
        field = getattr(value, name)
        size_bytes = len(_ENCODER.encode(field))
        if size_bytes > LARGE_BYTES:
            replaced[name] = _apart(_split(field, size_bytes, blobs, 0), blobs, LARGE_BYTES)
    if blobs:
        payload = _ENCODER.encode(msgspec.structs.replace(value, **replaced))
    return Encoded(payload, zlib.crc32(payload), tuple(blobs))


def _split(value: Any, size_bytes: int, blobs: list[Blob], level: int) -> Any:
    """Return a mapping or list with its large parts apart; any other value as it is.

    Args:
        value: The value.
        size_bytes: The size of its encoding.
        blobs: Where the parts are added.
        level: How many mappings and lists it is within.
    """
    if level == _MOST_LEVELS:
        return value
    if type(value) is dict:
        parts = _parts_apart(list(value.values()), size_bytes, blobs, level)
        return dict(zip(value, parts, strict=True))
    if type(value) is list or type(value) is tuple:
        return _parts_apart(value, size_bytes, blobs, level)
    return value


def _parts_apart(
    values: Sequence[Any], size_bytes: int, blobs: list[Blob], level: int
) -> list[Any]:
    """Return values with the large ones apart.

    Neighbours whose common encoding is short are all short, so that a long list of small rows
    is not looked at row by row.
    """
    made: list[Any] = []
    at_once = max(1, len(values) * _PART_BYTES // (2 * size_bytes))
    for start in range(0, len(values), at_once):
        some = values[start : start + at_once]
        if at_once > 1 and len(_ENCODER.encode(some)) <= _PART_BYTES:
            made += some
        else:
            made += [_apart_if_large(each, blobs, level) for each in some]
    return made


def _apart_if_large(value: Any, blobs: list[Blob], level: int) -> Any:
    if not isinstance(value, dict | list | tuple | str | bytes | msgspec.Struct):
        return value
    if isinstance(value, str | bytes) and len(value) <= _PART_BYTES // 4:
        return value
    content, count = _ENCODER.encode(value), len(blobs)
    if len(content) <= _PART_BYTES:
        return value
    split = _split(value, len(content), blobs, level + 1)
    return _apart(split, blobs, _PART_BYTES, content if len(blobs) == count else None)


def _apart(value: Any, blobs: list[Blob], most_bytes: int, content: bytes | None = None) -> Any:
    """Return a reference to a value, or the value where it is short without its parts.

    Args:
        value: The value.
        blobs: Where its content is added.
        most_bytes: The size up to which it is short.
        content: The encoded value, where that is known.
    """
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    content = _ENCODER.encode(value) if content is None else content
    if len(content) <= most_bytes:
        return value
    blob = Blob(hashlib.sha256(content).digest(), content)
    blobs.append(blob)
    return msgspec.msgpack.Ext(_BLOB_CODE, blob.sum)


def _verify(payload: bytes, checksum: int) -> None:
    if zlib.crc32(payload) != checksum:
        raise UnreadableError("its checksum does not match its content")


def _restore(value: S, payload: bytes, load: LoadBlob, shared: SharedValues | None = None) -> S:
    if _REFERENCE not in payload:
        return value
    found = {}
    for name in _open_fields(type(value)):
        field = getattr(value, name)
        try:
            loaded = _loaded(field, load, 0, shared)
        except RecursionError as error:
            raise UnreadableError("its values are nested too deeply") from error
        if loaded is not field:
            found[name] = loaded
    return msgspec.structs.replace(value, **found) if found else value


def _loaded(value: Any, load: LoadBlob, files: int, shared: SharedValues | None = None) -> Any:
    """Return a value with the content of the files that it refers to; itself if none."""
    if isinstance(value, _BlobReference):
        if files == _MOST_NESTED:
            raise UnreadableError("its large values are nested too deeply")
        if shared is not None and value.sum in shared:
            return shared[value.sum]
        content = load(value.sum)
        try:
            decoded = _value_decoder().decode(content)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise UnreadableError(f"a large value is not a value: {error}") from error
        if _REFERENCE in content:
            decoded = _loaded(decoded, load, files + 1, shared)
        if shared is not None:
            shared[value.sum] = decoded
        return decoded
    if type(value) is dict:
        values = {key: _loaded(each, load, files, shared) for key, each in value.items()}
        return values if any(values[key] is not value[key] for key in value) else value
    if type(value) is list:
        items = [_loaded(each, load, files, shared) for each in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value
