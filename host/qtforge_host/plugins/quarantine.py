"""Remember failed starts of plugins, and quarantine a plugin that keeps failing.

Listings show the failures without importing. When the file can't be read or written, the host
continues without it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_sdk.files import exclusive_lock, write_atomically

__all__ = ["FILE_NAME", "FailureMemory", "FailureRecord"]

FILE_NAME: Final = "plugin-failures.json"
_LOCK_TIMEOUT_S: Final = 2.0
_WATCHED: Final = ("entry_points.txt", "METADATA", "RECORD")
# The fingerprint changes only with a reinstall, and these can be fixed in the configuration.
_NOT_REMEMBERED: Final = frozenset({"plugin.invalid_config", "plugin.invalid_requirement"})

logger = logging.getLogger(__name__)


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The consecutive failures of a plugin.

    Attributes:
        version: The version that failed.
        fingerprint: Identifies the installation that failed; a reinstall changes it.
        count: The number of consecutive failed starts, at least 1.
        code: The reason code of the last failure.
        reason: The reason of the last failure.
        fix: The fix of the last failure.
        at: The time of the last failure, in UTC.
    """

    version: str
    fingerprint: str
    count: int
    code: str
    reason: str
    fix: str
    at: datetime.datetime


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    format_version: int = 1
    failures: dict[str, FailureRecord] = {}


class FailureMemory:
    """The file ``plugin-failures.json`` in the state directory.

    Args:
        state_dir: The state directory; it is made for the first failure.
        now: Returns the time.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._path = state_dir / FILE_NAME
        self._now = now
        self._records: dict[str, FailureRecord] | None = None
        self._warned = False

    def recall(self, candidate: Candidate, quarantine_after: int, /) -> Status | None:
        """Return ``broken`` or ``quarantined`` when a candidate's last starts failed, else None.

        The failures of an earlier installation do not count.
        """
        record = self._known().get(candidate.key)
        if record is None or not _same_installation(record, candidate):
            return None
        if record.count < quarantine_after:
            times = "start" if record.count == 1 else f"{record.count} starts"
            reason = f"{record.reason} (at its last {times})"
            return Status(state="broken", code=record.code, reason=reason, fix=record.fix)
        return Status(
            state="quarantined",
            code="plugin.quarantined",
            reason=f"its last {record.count} starts failed: {record.reason}",
            fix=f"qtforge-host plugins enable {candidate.name}",
        )

    def update(
        self, *, failed: Iterable[tuple[Candidate, Status]], succeeded: Iterable[Candidate]
    ) -> None:
        """Add failures, and remove those of plugins that started; write only changes."""
        failures = [
            (candidate, status)
            for candidate, status in failed
            if status.state == "broken" and status.code not in _NOT_REMEMBERED
        ]
        known = self._known()
        cleared = [candidate.key for candidate in succeeded if candidate.key in known]
        if failures or cleared:
            self._change(lambda records: self._updated(records, failures, cleared))

    def forget(self, name: str) -> bool:
        """Remove the failures of a plugin; return whether there were any."""
        keys = [key for key in self._known() if key.partition(":")[2] == name]
        if keys:
            self._change(lambda records: _without(records, keys))
        return bool(keys)

    def _updated(
        self,
        records: Mapping[str, FailureRecord],
        failures: Iterable[tuple[Candidate, Status]],
        cleared: Iterable[str],
    ) -> dict[str, FailureRecord]:
        changed = _without(records, cleared)
        for candidate, status in failures:
            before = changed.get(candidate.key)
            again = before is not None and _same_installation(before, candidate)
            changed[candidate.key] = FailureRecord(
                version=candidate.version,
                fingerprint=_fingerprint(candidate),
                count=before.count + 1 if before is not None and again else 1,
                code=status.code,
                reason=status.reason,
                fix=status.fix,
                at=self._now(),
            )
        return changed

    def _known(self) -> dict[str, FailureRecord]:
        if self._records is None:
            self._records = self._read()
        return self._records

    def _read(self) -> dict[str, FailureRecord]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Document).failures
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._warn(f"earlier failures of plugins are not known, {self._path}: {error}")
            return {}

    def _change(
        self, change: Callable[[Mapping[str, FailureRecord]], dict[str, FailureRecord]]
    ) -> None:
        try:
            with exclusive_lock(self._path, _LOCK_TIMEOUT_S):
                self._records = change(self._read())  # another process may have written
                document = _Document(failures=self._records)
                text = msgspec.json.format(msgspec.json.encode(document))
                write_atomically(self._path, text)
        except OSError as error:
            self._records = change(self._known())
            self._warn(f"failures of plugins are not remembered, {self._path}: {error}")

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("%s", text)


def _without(records: Mapping[str, FailureRecord], keys: Iterable[str]) -> dict[str, FailureRecord]:
    unwanted = set(keys)
    return {key: record for key, record in records.items() if key not in unwanted}


def _same_installation(record: FailureRecord, candidate: Candidate) -> bool:
    return record.version == candidate.version and record.fingerprint == _fingerprint(candidate)


def _fingerprint(candidate: Candidate) -> str:
    times: list[str] = []
    for name in _WATCHED:
        try:
            times.append(str(Path(candidate.metadata_path, name).stat().st_mtime_ns))
        except OSError:
            times.append("-")
    return ":".join(times)
