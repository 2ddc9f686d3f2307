"""audit-trail: an append-only log in which no entry can be changed unnoticed."""

from __future__ import annotations

import datetime
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from qtforge_builtin_plugins.pipelines.financial.messages import (
    AuditEntry,
    AuditListRequest,
    AuditListResponse,
    AuditRecordRequest,
    AuditRecordResponse,
    AuditVerifyRequest,
    AuditVerifyResponse,
    AuditWithdrawRequest,
    AuditWithdrawResponse,
)
from qtforge_builtin_plugins.pipelines.financial.trail_reading import Reading, read_head
from qtforge_sdk import OperationContext, OperationError, Plugin, PluginContext, hookimpl, operation
from qtforge_sdk.durations import Duration, check_duration, wait_seconds

if TYPE_CHECKING:
    import click

    from qtforge_builtin_plugins.pipelines.financial.trail import Trail

__all__ = ["AuditTrail", "AuditTrailConfig"]

_FILE_NAME: Final = "audit.jsonl"
_MOST_LISTED: Final = 10_000


class AuditTrailConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of audit-trail.

    Attributes:
        path: The file; None for ``audit.jsonl`` in the plugin's own folder.
        lock_timeout: How long to wait for another process; 0s to 60s.
    """

    path: str | None = None
    lock_timeout: Duration = "10s"

    def __post_init__(self) -> None:
        """Check the time.

        Raises:
            DurationError: It is not a duration from 0s to 60s.
        """
        check_duration(self, "lock_timeout", most_s=60)


class AuditTrail(Plugin):
    """Records the processing of documents, and verifies that the record is intact."""

    placement = "one node"
    Config = AuditTrailConfig
    config: AuditTrailConfig = AuditTrailConfig()
    _path: Path

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()  # operations run in several threads
        self._trail: Trail | None = None

    async def start(self, context: PluginContext) -> None:
        """Determine the path of the trail."""
        self._path = _path(self.config, context)

    @operation("audit.record", trylast=True)
    def record(self, request: AuditRecordRequest, context: OperationContext) -> AuditRecordResponse:
        """Add an entry, once for each key; it is on the disk when this returns.

        Raises:
            OperationError: ``audit.invalid_content``, ``.key_reused``, ``.damaged``,
                ``.locked``, ``.unwritable``, ``.unreadable``.
        """
        key = request.idempotency_key or context.idempotency_key
        with self._one_at_a_time:
            return self._opened().record(request.event, request.content, key)

    @operation("audit.withdraw", trylast=True)
    def withdraw(self, request: AuditWithdrawRequest) -> AuditWithdrawResponse:
        """Mark a key's entry as withdrawn, by a new entry.

        Raises:
            OperationError: As for `record`.
        """
        with self._one_at_a_time:
            withdrawn = self._opened().withdraw(request.idempotency_key, request.reason)
        return AuditWithdrawResponse(withdrawn=withdrawn)

    @operation("audit.verify", trylast=True)
    def verify(self, request: AuditVerifyRequest) -> AuditVerifyResponse:
        """Check every entry, beginning with the first.

        Raises:
            OperationError: ``audit.unreadable``.
        """
        # The head first: entries that others add meanwhile come after it and are ignored.
        head = read_head(self._path.with_name(self._path.name + ".head"))
        reading = Reading(self._path)
        deque(reading.entries(), maxlen=0)
        broken = reading.broken or reading.missing(head)
        last = reading.last
        contains = reading.has(request.contains) if request.contains else None
        return AuditVerifyResponse(
            valid=broken is None and contains is not False,
            entries=last.sequence if last else 0,
            path=str(self._path),
            head=last.hash if last else None,
            broken=broken,
            contains=contains,
            torn_bytes=len(reading.torn),
        )

    @operation("audit.list", trylast=True)
    def list_entries(self, request: AuditListRequest) -> AuditListResponse:
        """Return the latest entries, up to the first that is not intact.

        Raises:
            OperationError: ``audit.invalid_limit``, ``audit.unreadable``.
        """
        if not 1 <= request.limit <= _MOST_LISTED:
            raise OperationError(
                "audit.invalid_limit", f"limit is {request.limit}",
                f"it is 1 to {_MOST_LISTED}", "request another number of entries",
            )  # fmt: skip
        latest: deque[AuditEntry] = deque(maxlen=request.limit)
        total = 0
        for entry in Reading(self._path).entries():
            if request.event in (None, entry.event):
                latest.append(entry)
                total += 1
        return AuditListResponse(entries=list(latest), total=total)

    def _opened(self) -> Trail:
        """Return the trail, which the first record opens."""
        if self._trail is None:
            # Here, since the library of locks would add 20 ms to every start.
            from qtforge_builtin_plugins.pipelines.financial.trail import Trail

            self._trail = Trail(self._path, wait_seconds(self.config.lock_timeout), _now)
        return self._trail

    @hookimpl
    def qtforge_commands(self) -> Iterable[click.Command]:
        """Contribute the command ``audit``."""
        # Here, because click is only needed where there is a command line.
        from qtforge_builtin_plugins.pipelines.financial.audit_command import audit

        return [audit]


def _path(config: AuditTrailConfig, context: PluginContext) -> Path:
    return Path(config.path).expanduser() if config.path else context.data_dir / _FILE_NAME


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
