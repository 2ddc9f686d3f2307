"""Read an audit trail, and check each line against its hash and the line before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.pipelines.financial.messages import AuditEntry, BrokenEntry
from qtforge_sdk import OperationError

__all__ = ["FIRST_PREVIOUS", "Head", "Reading", "canonical", "read_head"]

FIRST_PREVIOUS: Final = "0" * 64
_MOST_LINE_BYTES: Final = 64 * 1024 * 1024
_HASH_BYTES: Final = 32


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The head file: sequence and hash of the trail's last entry."""

    sequence: int
    hash: str


class Reading:
    """A reading of the trail that can be continued when the file has grown.

    Args:
        path: The trail's file; a missing file is an empty trail.

    Attributes:
        offset: The position after the last intact entry, in bytes.
        last: The last intact entry, or None.
        broken: The first entry that is not intact; nothing after it is read.
        torn: The bytes after the last complete line: an incomplete entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.last: AuditEntry | None = None
        self.broken: BrokenEntry | None = None
        self.torn = b""
        self._hashes = bytearray()  # 32 bytes for each entry: a trail may be long

    def entries(self) -> Iterator[AuditEntry]:
        """Yield the new entries, up to the first that is not intact.

        Raises:
            OperationError: ``audit.unreadable``.
        """
        if self.broken is not None:
            return
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                while line := file.readline(_MOST_LINE_BYTES):
                    if not line.endswith(b"\n"):
                        self.torn = line
                        return
                    entry = self._checked(line[:-1])
                    if entry is None:
                        return
                    self.torn = b""
                    self.offset += len(line)
                    self.last = entry
                    self._hashes += bytes.fromhex(entry.hash)
                    yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise OperationError(
                "audit.unreadable", f"{self.path} can't be read", str(error),
                "check its permissions",
            ) from error  # fmt: skip

    def has_been_replaced(self) -> bool:
        """Return whether the file is shorter than the part already read, or missing."""
        try:
            return self.path.stat().st_size < self.offset
        except FileNotFoundError:
            return self.offset > 0

    def has(self, digest: str) -> bool:
        """Return whether an entry that was read has this hash."""
        wanted = digest.strip().lower()
        return any(
            self._hashes[start : start + _HASH_BYTES].hex() == wanted
            for start in range(0, len(self._hashes), _HASH_BYTES)
        )

    def missing(self, head: Head | None) -> BrokenEntry | None:
        """Return the first entry that the head names and the trail lacks, after all were read."""
        if head is None:
            return None
        sequence = self.last.sequence if self.last else 0
        if head.sequence > sequence:
            reason = f"entries up to {head.sequence} were written, but the last is {sequence}"
            return BrokenEntry(line=sequence + 1, sequence=sequence + 1, reason=reason)
        end = head.sequence * _HASH_BYTES
        if self._hashes[end - _HASH_BYTES : end].hex() != head.hash:
            reason = "its hash differs from the one in the trail's head file"
            return BrokenEntry(line=head.sequence, sequence=head.sequence, reason=reason)
        return None

    def _checked(self, line: bytes) -> AuditEntry | None:
        """Return the entry, or None after recording why it is not intact."""
        sequence = self.last.sequence + 1 if self.last else 1
        try:
            fields = json.loads(line)
            entry = msgspec.convert(fields, AuditEntry)
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            self._break(sequence, f"it is not an entry: {error}")
            return None
        previous = self.last.hash if self.last else FIRST_PREVIOUS
        reason = _problem(line, fields, entry, sequence, previous)
        if reason is not None:
            self._break(sequence, reason)
            return None
        return entry

    def _break(self, sequence: int, reason: str) -> None:
        self.broken = BrokenEntry(line=sequence, sequence=sequence, reason=reason)


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Return canonical JSON: keys sorted, no space, UTF-8.

    Raises:
        TypeError: It has no JSON form.
        ValueError: A number is not finite, or a text has half of a surrogate pair.
    """
    return json.dumps(
        fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def read_head(path: Path) -> Head | None:
    """Return the content of the trail's head file; None when it does not exist.

    Raises:
        OperationError: ``audit.unreadable``.
    """
    try:
        found = json.loads(path.read_bytes())
        return Head(sequence=int(found["sequence"]), hash=str(found["hash"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperationError(
            "audit.unreadable", f"{path} can't be read", f"{type(error).__name__}: {error}",
            "it has the end of the audit trail: fix its permissions, or restore it from a backup",
        ) from error  # fmt: skip


def _problem(
    line: bytes, fields: dict[str, Any], entry: AuditEntry, sequence: int, previous: str
) -> str | None:
    """Return why an entry is not intact; None when it is."""
    if entry.sequence != sequence:
        return f"its sequence is {entry.sequence}, and {sequence} is expected"
    if entry.previous != previous:
        return "it does not follow the entry before it: its 'previous' is another hash"
    content = {key: value for key, value in fields.items() if key != "hash"}
    try:
        digest = hashlib.sha256(canonical(content)).hexdigest()
        # An equal entry in another form, such as with a repeated key, was not written here.
        if digest != entry.hash or canonical(fields) != line:
            return "its content does not match its hash"
    except ValueError as error:
        return f"it has no canonical form: {error}"
    return None
