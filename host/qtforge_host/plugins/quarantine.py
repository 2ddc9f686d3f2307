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
from qtforge_sdk.validation import decoded

__all__ = ["FILE_NAME", "FailureMemory", "FailureRecord"]

FILE_NAME: Final = "plugin-failures.json"
_LOCK_TIMEOUT_S: Final = 2.0
_WATCHED: Final = ("entry_points.txt", "METADATA", "RECORD")
# The fingerprint changes only with a reinstall, and these can be fixed in the configuration.
_NOT_REMEMBERED: Final = frozenset(
    {"plugin.invalid_config", "plugin.invalid_requirement", "plugin.replaced"}
)

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
    deaths: dict[str, FailureRecord] = {}


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
        self._records: _Document | None = None
        self._warned = False

    def recall(self, candidate: Candidate, quarantine_after: int, /) -> Status | None:
        """Return ``broken`` or ``quarantined`` when a candidate's last starts failed, else None.

        The failures of an earlier installation do not count.
        """
        death = self._known().deaths.get(candidate.key)
        if (
            death is not None
            and death.count >= quarantine_after
            and _same_installation(death, candidate)
        ):
            reason = f"{death.count} processes of serve in a row {death.reason}"
            return Status(state="quarantined", code=death.code, reason=reason, fix=death.fix)
        record = self._known().failures.get(candidate.key)
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
        known = self._known().failures
        cleared = [candidate.key for candidate in succeeded if candidate.key in known]
        if failures or cleared:

            def change(document: _Document) -> _Document:
                kept = _without(document.failures, cleared)
                return msgspec.structs.replace(document, failures=self._added(kept, failures))

            self._change(change)

    def add_deaths(self, died: Iterable[tuple[Candidate, str]]) -> None:
        """Count processes of ``serve`` that have ended in plugins' code.

        Args:
            died: The plugins, each with the place in its code, such as ``start``, or "".
        """
        deaths = [
            (
                candidate,
                Status(
                    state="broken",
                    code="plugin.killed_its_process",
                    reason=f"ended in its code{f' ({place})' if place else ''}",
                    fix=f"report it to the author of {candidate.distribution} "
                    f"{candidate.version}; qtforge-host plugins enable {candidate.name}",
                ),
            )
            for candidate, place in died
        ]
        self._change(
            lambda document: msgspec.structs.replace(
                document, deaths=self._added(document.deaths, deaths)
            )
        )

    def forget_deaths(self, quarantine_after: int) -> None:
        """Reset the count of deaths: a process of ``serve`` has lasted, or ended in order.

        Args:
            quarantine_after: Plugins with so many stay quarantined.
        """

        def change(document: _Document) -> _Document:
            kept = {
                key: death
                for key, death in document.deaths.items()
                if death.count >= quarantine_after
            }
            return msgspec.structs.replace(document, deaths=kept)

        self._records = self._read()
        if change(self._records) != self._records:
            self._change(change)

    def forget(self, name: str) -> bool:
        """Remove the failures of a plugin; return whether there were any."""
        known = self._known()
        keys = [key for key in {**known.failures, **known.deaths} if key.partition(":")[2] == name]
        if keys:
            self._change(
                lambda document: msgspec.structs.replace(
                    document,
                    failures=_without(document.failures, keys),
                    deaths=_without(document.deaths, keys),
                )
            )
        return bool(keys)

    def _added(
        self,
        records: Mapping[str, FailureRecord],
        failures: Iterable[tuple[Candidate, Status]],
    ) -> dict[str, FailureRecord]:
        changed = dict(records)
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

    def _known(self) -> _Document:
        if self._records is None:
            self._records = self._read()
        return self._records

    def _read(self) -> _Document:
        try:
            return decoded(msgspec.json.Decoder(_Document).decode, self._path.read_bytes())
        except FileNotFoundError:
            return _Document()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._warn(f"earlier failures of plugins are not known, {self._path}: {error}")
            return _Document()

    def _change(self, change: Callable[[_Document], _Document]) -> None:
        try:
            with exclusive_lock(self._path, _LOCK_TIMEOUT_S):
                self._records = change(self._read())  # another process may have written
                text = msgspec.json.format(msgspec.json.encode(self._records))
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
