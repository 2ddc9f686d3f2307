"""`AlertState` and `decide`: which messages follow from what has happened to a run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final

import msgspec

from qtforge_host.alerts.messages import AlertMessage
from qtforge_host.config.alerts import Alert, AlertReason

__all__ = ["MOST_ENTRIES", "AlertState", "Happening", "decide"]

MOST_ENTRIES: Final = 1000
"""Of how many workflows, alerts and reasons is remembered what was sent; the oldest go."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened to a run.

    Attributes:
        reason: The reason for a message; None for the end of a run that has succeeded.
        at: When, in UTC.
        workflow: The run's workflow.
        run_id: The run.
        tags: Its tags.
        title: Its title, or "".
        code: The code of the error, or "".
        error: The error in words, or "".
    """

    reason: AlertReason | None
    at: datetime.datetime
    workflow: str
    run_id: str
    tags: Mapping[str, str] = {}
    title: str = ""
    code: str = ""
    error: str = ""


class AlertEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of an alert, a workflow and a reason.

    Attributes:
        alert: The alert.
        workflow: The workflow.
        reason: The reason.
        seen_at: When the reason was seen last, in UTC.
        failures: How many runs have failed in a row.
        told_at: When the last message was sent, in UTC; None for never.
        is_open: Whether a message was sent since the workflow succeeded last.
        left_out: How many messages were left out since the last one.
    """

    alert: str
    workflow: str
    reason: AlertReason
    seen_at: datetime.datetime
    failures: int = 0
    told_at: datetime.datetime | None = None
    is_open: bool = False
    left_out: int = 0


class AlertState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What alerts remember, with the place up to which the journal was read for them.

    One value holds both, so that they change together.

    Attributes:
        cursor: The place in the journal.
        entries: What is remembered, the one that was changed last at the end.
    """

    cursor: str = ""
    entries: tuple[AlertEntry, ...] = ()

    @property
    def awaits_success(self) -> bool:
        """Whether a run that succeeds changes anything."""
        return any(each.failures for each in self.entries)


def decide(
    state: AlertState, alerts: Mapping[str, Alert], happening: Happening
) -> tuple[AlertState, tuple[AlertMessage, ...]]:
    """Return the state after something has happened, and the messages to send.

    The result depends on the arguments alone, never on the time at which it is asked for: two
    processes that read the same records send the same messages.

    Args:
        state: What is remembered.
        alerts: The alerts of the configuration, by name.
        happening: What has happened.
    """
    entries = {
        (each.alert, each.workflow, each.reason): each
        for each in state.entries
        if each.alert in alerts
    }
    messages = []
    for alert in alerts.values():
        if not alert.covers(happening.workflow, happening.tags):
            continue
        reason = happening.reason or "run.failed"
        key = (alert.name, happening.workflow, reason)
        before = entries.pop(key, None)
        if happening.reason is None:
            if before is not None:
                after, message = _after_success(alert, before, happening)
                if after is not None:
                    entries[key] = after
                if message is not None:
                    messages.append(message)
        elif reason in alert.on:
            entries[key], message = _after_reason(alert, before, reason, happening)
            if message is not None:
                messages.append(message)
    kept = tuple(entries.values())[-MOST_ENTRIES:]
    return msgspec.structs.replace(state, entries=kept), tuple(messages)


def _after_reason(
    alert: Alert, before: AlertEntry | None, reason: AlertReason, happening: Happening
) -> tuple[AlertEntry, AlertMessage | None]:
    entry = before or AlertEntry(
        alert=alert.name, workflow=happening.workflow, reason=reason, seen_at=happening.at
    )
    failures = entry.failures + 1 if reason == "run.failed" else 0
    entry = msgspec.structs.replace(entry, seen_at=happening.at, failures=failures)
    if reason == "run.failed" and failures < alert.after:
        return entry, None
    if _is_quiet(alert, entry, happening.at):
        return msgspec.structs.replace(entry, left_out=entry.left_out + 1), None
    message = AlertMessage(
        alert=alert.name,
        type=reason,
        at=happening.at,
        workflow=happening.workflow,
        run_id=happening.run_id,
        title=happening.title,
        code=happening.code,
        error=happening.error,
        failures=failures,
        left_out=entry.left_out,
    )
    told = msgspec.structs.replace(entry, told_at=happening.at, is_open=True, left_out=0)
    return told, message


def _after_success(
    alert: Alert, before: AlertEntry, happening: Happening
) -> tuple[AlertEntry | None, AlertMessage | None]:
    message = None
    if alert.recovered and before.is_open:
        message = AlertMessage(
            alert=alert.name,
            type="run.recovered",
            at=happening.at,
            workflow=happening.workflow,
            run_id=happening.run_id,
            title=happening.title,
            failures=before.failures,
        )
    if not _is_quiet(alert, before, happening.at):
        return None, message
    # A workflow that fails and succeeds in turn is one that is quiet, too.
    return msgspec.structs.replace(before, failures=0, is_open=False), message


def _is_quiet(alert: Alert, entry: AlertEntry, at: datetime.datetime) -> bool:
    if entry.told_at is None:
        return False
    # The clock may have been set back: what was told in the future keeps nobody quiet.
    return 0 <= (at - entry.told_at).total_seconds() < alert.quiet_s
