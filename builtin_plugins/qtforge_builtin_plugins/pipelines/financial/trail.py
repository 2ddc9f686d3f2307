"""The audit trail's file: JSON Lines in which every entry has the hash of the previous one.

A line is canonical JSON: keys sorted, no space, UTF-8. An entry's hash is SHA-256 over the
line without ``hash``. A small second file, the head, has the number of entries and the last
one's hash, so that a truncated trail is detected.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.pipelines.financial.messages import (
    AuditEntry,
    AuditRecordResponse,
    BrokenEntry,
)
from qtforge_builtin_plugins.pipelines.financial.trail_reading import (
    FIRST_PREVIOUS,
    Reading,
    canonical,
    read_head,
)
from qtforge_sdk import OperationError
from qtforge_sdk.files import exclusive_lock, sync_folder, write_atomically

__all__ = ["RECOVERED", "WITHDRAWN", "Trail"]

WITHDRAWN: Final = "audit.withdrawn"
RECOVERED: Final = "audit.recovered"
_MOST_TORN_TEXT: Final = 2_000


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """The position and the content of a key's entry."""

    sequence: int
    hash: str
    event: str
    content: Mapping[str, Any]


class Trail:
    """Appends to an audit trail; several processes may use the same file.

    Entries are read once: a record only reads those that others have added since. A trail
    must be used in one thread at a time.

    Args:
        path: The file; its folder is made when something is recorded.
        lock_timeout_s: How long to wait for another process, in seconds.
        now: Returns the time, with a time zone.
    """

    def __init__(
        self, path: Path, lock_timeout_s: float, now: Callable[[], datetime.datetime]
    ) -> None:
        self.path = path
        self._head_path = path.with_name(path.name + ".head")
        self._lock_timeout_s = lock_timeout_s
        self._now = now
        self._reading = Reading(path)
        self._places: dict[str, _Place] = {}

    def record(
        self, event: str, content: Mapping[str, Any], key: str | None
    ) -> AuditRecordResponse:
        """Add an entry and wait until the disk has it.

        Raises:
            OperationError: ``audit.invalid_content``, ``audit.key_reused``, ``audit.damaged``,
                ``audit.locked``, ``audit.unwritable``.
        """
        if event in (RECOVERED, WITHDRAWN):
            raise OperationError(
                "audit.invalid_content", f"'{event}' is the trail's own event", "",
                "choose another name for the event",
            )  # fmt: skip
        plain = _plain(event, content, key)
        with self._locked():
            self._catch_up()
            known = self._places.get(key) if key is not None else None
            if known is None:
                entry = self._append(event, plain, key)
                return AuditRecordResponse(sequence=entry.sequence, hash=entry.hash, new_entry=True)
            if (known.event, known.content) != (event, plain):
                raise OperationError(
                    "audit.key_reused", f"the key '{key}' was recorded with other content",
                    f"it is entry {known.sequence}, and entries are never changed",
                    "give the new entry a key of its own",
                )  # fmt: skip
            return AuditRecordResponse(sequence=known.sequence, hash=known.hash, new_entry=False)

    def withdraw(self, key: str, reason: str) -> int | None:
        """Add an entry that withdraws the key's entry; return that one's sequence.

        Returns:
            None when there is none, or it was withdrawn before.

        Raises:
            OperationError: As for `record`.
        """
        if not self.path.exists():
            return None
        with self._locked():
            self._catch_up()
            known = self._places.get(key)
            if known is None:
                return None
            content = {"key": key, "reason": reason, "sequence": known.sequence}
            self._append(WITHDRAWN, _plain(WITHDRAWN, content, None), None)
            return known.sequence

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with exclusive_lock(self.path, self._lock_timeout_s):
                yield
        except TimeoutError as error:
            raise OperationError(
                "audit.locked", f"{self.path} is held by another process",
                f"it was not released within {self._lock_timeout_s:g} s",
                "try again, or raise lock_timeout in the configuration of audit-trail",
                retryable=True,
            ) from error  # fmt: skip
        except OSError as error:
            raise OperationError(
                "audit.unwritable", f"{self.path} can't be written", str(error),
                "free space there, fix the permissions, or set path in the configuration of"
                " audit-trail",
            ) from error  # fmt: skip

    def _catch_up(self) -> None:
        """Read and check the new entries, and remove an incomplete one that a crash left.

        Raises:
            OperationError: ``audit.damaged``.
        """
        if self._reading.has_been_replaced():
            self._reading = Reading(self.path)
            self._places = {}
        for entry in self._reading.entries():
            self._note(entry)
        broken = self._reading.broken or self._reading.missing(read_head(self._head_path))
        if broken is not None:
            raise _damaged(self.path, broken)
        if self._reading.torn:
            self._remove_torn()

    def _note(self, entry: AuditEntry) -> None:
        if entry.event == WITHDRAWN:
            self._places.pop(str(entry.content.get("key")), None)
        elif entry.idempotency_key is not None:
            self._places[entry.idempotency_key] = _Place(
                sequence=entry.sequence, hash=entry.hash, event=entry.event, content=entry.content
            )

    def _remove_torn(self) -> None:
        """Remove an incomplete entry that a crash left, and record that in the trail.

        Its writer got no confirmation, and will request it again.
        """
        torn = self._reading.torn
        os.truncate(self.path, self._reading.offset)
        self._reading.torn = b""
        content = {
            "bytes": len(torn),
            "sha256": hashlib.sha256(torn).hexdigest(),
            "text": torn[:_MOST_TORN_TEXT].decode(errors="replace"),
        }
        self._append(RECOVERED, content, None)

    def _append(self, event: str, content: dict[str, Any], key: str | None) -> AuditEntry:
        last = self._reading.last
        fields = {
            "content": content,
            "event": event,
            "idempotency_key": key,
            "previous": last.hash if last else FIRST_PREVIOUS,
            "sequence": last.sequence + 1 if last else 1,
            "time": self._now().astimezone(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        digest = hashlib.sha256(canonical(fields)).hexdigest()
        line = canonical({**fields, "hash": digest}) + b"\n"
        _append_durably(self.path, line, self._reading.offset)
        (entry,) = self._reading.entries()
        self._note(entry)
        head = canonical({"hash": entry.hash, "sequence": entry.sequence}) + b"\n"
        write_atomically(self._head_path, head)
        return entry


def _plain(event: str, content: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """Return the content in its JSON form.

    Raises:
        OperationError: ``audit.invalid_content``.
    """
    try:
        plain: dict[str, Any] = json.loads(
            canonical({"content": dict(content), "event": event, "key": key})
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise OperationError(
            "audit.invalid_content", f"the content of '{event}' can't be recorded", str(error),
            "use JSON values: text, finite numbers, lists and objects",
        ) from error  # fmt: skip
    found: dict[str, Any] = plain["content"]
    return found


def _append_durably(path: Path, line: bytes, size_bytes: int) -> None:
    """Append the whole line or nothing."""
    with path.open("ab", buffering=0) as file:
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) or 0 :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size_bytes)
            raise
    if size_bytes == 0:
        sync_folder(path.parent)


def _damaged(path: Path, broken: BrokenEntry) -> OperationError:
    return OperationError(
        "audit.damaged", f"{path} is not as it was written",
        f"line {broken.line}: {broken.reason}",
        "see 'qtforge-host audit verify'; keep the file as evidence, and move it and its .head"
        " away to begin a new trail",
    )  # fmt: skip
