"""Restore a stateful run to the checkpoint before it failed.

Such a run does not replay its history, so a reset discards none of its steps. It returns to the
checkpoint before the failing one: where it was about to make the call that failed, or where it
waited for the event that it failed at, which it is given again.
"""

from __future__ import annotations

import datetime
from collections.abc import Container, Iterable, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.journal import InboxEntry
from qtforge_sdk.journal_kit.appending import handled_messages
from qtforge_sdk.records import CheckpointSaved, StepFailed, StepStarted, StepSucceeded

__all__ = ["RESTORED", "TIMER", "Restored", "renewed_checkpoint", "restored"]

TIMER: Final = "timer/"
"""How the ids of timers' events begin."""

RESTORED: Final = "restored"
"""The outcome of a checkpoint that is saved again for a retry."""

_Step = StepStarted | StepSucceeded | StepFailed


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """How a stateful run is reset.

    Attributes:
        checkpoint: The checkpoint that it continues from.
        answers: The answers after that checkpoint, and before any failure.
        again: The steps that are redone, in order.
    """

    checkpoint: CheckpointSaved
    answers: tuple[StepSucceeded, ...]
    again: tuple[str, ...]


def renewed_checkpoint(
    last: CheckpointSaved,
    accepts: tuple[str, ...],
    definition: dict[str, Any] | None,
    at: datetime.datetime,
) -> CheckpointSaved:
    """Return the record that says that a run waits in the state of its last checkpoint.

    Args:
        last: The last checkpoint.
        accepts: The events that the run waits for now.
        definition: Its definition after the last amendment; None when there was none.
        at: Now, in UTC.
    """
    return CheckpointSaved(
        run_id=last.run_id,
        at=at,
        state=last.state,
        label=last.label,
        timers=last.timers,
        accepts=accepts,
        key=last.key,
        handled=last.handled,
        definition=definition,
        timed_from=last.timed_from,
        label_since=last.label_since,
    )


def restored(
    records: Sequence[Record],
    inbox: Iterable[InboxEntry],
    void: tuple[str, ...],
    at: datetime.datetime,
) -> Restored | None:
    """Return how a run that has ended is restored to before it failed.

    Args:
        records: The run's.
        inbox: Every message to it, oldest first.
        void: The ids of messages that no longer count.
        at: Now, in UTC.

    Returns:
        None for a run without checkpoints.
    """
    checkpoints = [
        (place, each) for place, each in enumerate(records) if isinstance(each, CheckpointSaved)
    ]
    if not checkpoints:
        return None
    last = checkpoints[-1][1]
    good = [(place, each) for place, each in checkpoints if not each.failed]
    since, base = good[-1] if good else (0, _before_all(last, at))
    failing = next((each for place, each in checkpoints if place > since), None)
    sent = [each for each in inbox if each.message.kind == "event"]
    first = (
        *_failed_at(failing, sent),
        *last.first,
        *_unread(sent, last.inbox, handled_messages(records)),
    )
    checkpoint = msgspec.structs.replace(
        base,
        at=at,
        event="",
        event_id="",
        event_data=None,
        by="",
        late_s=0.0,
        outcome=RESTORED,
        trace={},
        timers_set=tuple(base.timers),
        timers_gone=(),
        busy=True,
        inbox=max([last.inbox, *(each.position for each in sent)]),
        handled=(*last.handled, *void),
        definition=RunState.from_records(last.run_id, records).definition,
        first=first,
        timed_from=at,
        begun_with=None,
    )
    answers, again = _steps(records[since + 1 :], at)
    return Restored(checkpoint=checkpoint, answers=answers, again=again)


def _failed_at(failing: CheckpointSaved | None, sent: Iterable[InboxEntry]) -> list[ReceivedEvent]:
    """Return the event that a run failed at, if it has to be given again.

    A timer need not: it runs again in the restored checkpoint. Nor need an event that was saved
    before the run failed, at one of the calls that it led to.
    """
    if failing is None or not failing.event_id or failing.event_id.startswith(TIMER):
        return []
    found = [each for each in sent if each.message.message_id == failing.event_id]
    if found:
        return [_received(found[0])]
    event = ReceivedEvent(  # it was not sent through the inbox
        event_id=failing.event_id,
        name=failing.event,
        data=failing.event_data,
        at=failing.at,
        by=failing.by,
    )
    return [event]


def _unread(
    sent: Iterable[InboxEntry], position: int, handled: Container[str]
) -> list[ReceivedEvent]:
    """Return the events that a run had not handled when it ended.

    Those of an imported run have other positions than its records name, but their ids.
    """
    return [
        _received(each)
        for each in sent
        if each.position > position and each.message.message_id not in handled
    ]


def _received(entry: InboxEntry) -> ReceivedEvent:
    message = entry.message
    return ReceivedEvent(
        event_id=message.message_id,
        name=message.name,
        data=message.data,
        at=message.at,
        by=message.by,
    )


def _before_all(last: CheckpointSaved, at: datetime.datetime) -> CheckpointSaved:
    """Return the checkpoint of a run that has not begun."""
    return CheckpointSaved(run_id=last.run_id, at=at, state=None, key=last.key)


def _steps(
    records: Iterable[Record], at: datetime.datetime
) -> tuple[tuple[StepSucceeded, ...], tuple[str, ...]]:
    """Return the answers that still hold, and the steps that are redone.

    Every step after one that failed is redone: its answer may lead to other steps.
    """
    answers: list[StepSucceeded] = []
    again: dict[str, None] = {}
    failed = False
    for record in records:
        if not isinstance(record, _Step):
            continue
        failed = failed or (isinstance(record, StepFailed) and not record.will_retry)
        if isinstance(record, StepSucceeded) and not failed:
            again.pop(record.step, None)
            answers.append(msgspec.structs.replace(record, at=at))
        else:
            again[record.step] = None
    return tuple(answers), tuple(again)
