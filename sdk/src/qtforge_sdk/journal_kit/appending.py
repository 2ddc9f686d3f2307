"""Check and encode records before a journal appends them, and derive the row of their run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast, get_args

import msgspec

from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage, Ownership, is_run_id, status_after
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.journal_kit.encoding import (
    MAX_VALUE_BYTES,
    Encoded,
    UnreadableError,
    encode_message,
    encode_record,
    to_us,
)
from qtforge_sdk.journal_kit.jobs import (
    Append,
    CheckpointRow,
    Create,
    KeysRow,
    RunRow,
    StatusChange,
)
from qtforge_sdk.journal_kit.search_words import error_words, search_row
from qtforge_sdk.records import (
    REST_TIMER,
    AmendmentRefused,
    CheckpointSaved,
    EventReceived,
    RunAmended,
    RunBlocked,
    RunCancelRequested,
    RunFinished,
    RunPaused,
    RunReset,
    RunStarted,
    RunWaiting,
    StartedBy,
    StartedKind,
    StepStarted,
    StepSucceeded,
)

__all__ = [
    "answered_messages",
    "checkpoint_row",
    "encode_start",
    "error_columns",
    "handled_messages",
    "keys_row",
    "make_append",
    "make_create",
    "make_queued",
    "origin_columns",
    "queue_columns",
    "run_row",
    "started_by_of",
    "started_by_text",
    "tags_text",
]

_MOSTLY: Final = frozenset((StepStarted, StepSucceeded))  # no effect on the row
_STARTED_BY: Final = frozenset(get_args(StartedKind))
_MOST_NAME: Final = 200  # characters of what started a run, or how it failed, in its row
# Compiled when it is first used, which most commands never do.
_UNSTORABLE: Final = "[\0\ud800-\udfff]"
_ANSWERS: Final = (RunAmended, AmendmentRefused, RunPaused, RunCancelRequested)


def encode_start(started: RunStarted, most_bytes: int = MAX_VALUE_BYTES) -> Encoded:
    """Return the first record of a new run as it is stored.

    Raises:
        RecordNotStorableError: The input can't be encoded or is too large, or the run's id is none.
    """
    if not is_run_id(started.run_id):
        name = started.run_id.encode("unicode_escape").decode("ascii")
        why = "a run's id has at most 128 letters, digits, '.', '-' and '_', no other characters"
        raise RecordNotStorableError(name, "run_started", why)
    return encode_record(started, most_bytes)


def make_create(
    started: RunStarted,
    records: Sequence[Record],
    owner: str | None,
    most_bytes: int = MAX_VALUE_BYTES,
) -> Create:
    """Return a new run as it is stored, in epoch 1.

    Args:
        started: Its first record.
        records: The records after it.
        owner: The process that owns it.
        most_bytes: The size of the largest record.

    Raises:
        RecordNotStorableError: A value can't be encoded or is too large, or the run's id is none.
        ValueError: A record belongs to another run, or is a `CheckpointSaved`.
    """
    entry = encode_start(started, most_bytes)
    for record in records:
        if record.run_id != started.run_id or isinstance(record, CheckpointSaved):
            raise ValueError(f"a {type(record).__name__} can't begin the run {started.run_id}")
    more = [encode_record(record, most_bytes) for record in records]
    every = [started, *records]
    return Create(
        run_row(every, owner, 1),
        entry,
        more,
        search_row(every),
        keys_row(started),
        admission_of(started),
    )


def make_queued(started: RunStarted, most_bytes: int = MAX_VALUE_BYTES) -> Create:
    """Return a new run that waits in the queue as it is stored, without an owner.

    Args:
        started: Its first record.
        most_bytes: The largest size of the record.

    Raises:
        RecordNotStorableError: The input can't be encoded or is too large, or the run's id is none.
        ValueError: The record has no ``queue``.
    """
    if started.queue is None:
        raise ValueError(f"{started.run_id} has no queue to wait in")
    row, entry = run_row([started], None, 0), encode_start(started, most_bytes)
    return Create(row, entry, (), search_row([started]), keys_row(started), admission_of(started))


def make_append(
    ownership: Ownership,
    records: Sequence[Record],
    posts: Sequence[tuple[str, InboxMessage]] = (),
    most_bytes: int = MAX_VALUE_BYTES,
) -> Append:
    """Return records as they are stored, with the changes of their run's row.

    Raises:
        RecordNotStorableError: A value can't be encoded, or is too large.
        ValueError: A record belongs to another run, or follows `RunFinished`.
    """
    run_id, change, checkpoint, error = ownership.run_id, None, None, ""
    answered: list[str] = []
    encoded: list[Encoded] = []
    for place, record in enumerate(records):
        if record.run_id != run_id:
            raise ValueError(f"a record of {record.run_id} can't be appended to {run_id}")
        if change is not None and change.finished_at_us is not None:
            raise ValueError(f"{run_id} has ended; RunFinished is the last record")
        encoded.append(encode_record(record, most_bytes))
        if record.__class__ in _MOSTLY:
            continue
        answered += answered_messages((record,))
        status = status_after(record)
        if status is not None:
            finished_at_us = to_us(record.at) if isinstance(record, RunFinished) else None
            change = StatusChange(status, finished_at_us, *error_columns(record))
            error = error_words(record)
            if isinstance(record, CheckpointSaved | RunWaiting):
                checkpoint = checkpoint_row(record, place)
    return Append(
        ownership,
        encoded,
        change,
        checkpoint,
        [(to, each.message_id, encode_message(to, each, most_bytes)) for to, each in posts]
        if posts
        else [],
        answered,
        error,
    )


def answered_messages(records: Iterable[Record]) -> Iterable[str]:
    """Return the ids of the messages that these records handle, without those of checkpoints."""
    for record in records:
        if isinstance(record, CheckpointSaved | RunReset):
            yield from record.handled
        elif isinstance(record, EventReceived):
            yield record.event_id
        elif isinstance(record, _ANSWERS) and record.message_id:
            yield record.message_id


def handled_messages(records: Iterable[Record]) -> set[str]:
    """Return the ids of all messages that a run with these records has handled."""
    records = list(records)
    events = (each.event_id for each in records if isinstance(each, CheckpointSaved))
    return {*answered_messages(records), *events}


def checkpoint_row(
    record: CheckpointSaved | RunWaiting, place: int, *, every_timer: bool = False
) -> CheckpointRow:
    """Return the changes that a checkpoint makes to its run's row, timers and inbox.

    Args:
        record: The checkpoint, or that the run waits.
        place: Its index among the records that are written together.
        every_timer: Set all its timers, not only those that it has just set.
    """
    if isinstance(record, RunWaiting):
        until = record.until
        return CheckpointRow(
            place=place,
            label="",
            accepts=" ".join(name for name in record.events if len(name.split()) == 1),
            at_us=to_us(record.at),
            timers_set=[] if until is None else [(REST_TIMER, to_us(until))],
            timers_gone=[] if until is not None else [REST_TIMER],
            inbox=0,
            is_checkpoint=False,
        )
    return CheckpointRow(
        place=place,
        label=record.label,
        accepts=" ".join(record.accepts),
        at_us=to_us(record.at),
        timers_set=[
            (name, to_us(record.timers[name]))
            for name in (record.timers if every_timer else record.timers_set)
        ],
        timers_gone=list(record.timers_gone),
        inbox=record.inbox,
        key=record.key,
    )


def queue_columns(started: RunStarted) -> tuple[str, int, int | None, str]:
    """Return pool, priority, ``not_before`` and needs of a run's row."""
    queue = started.queue
    if queue is None:
        return ("default", 0, None, "{}")
    not_before = None if queue.not_before is None else to_us(queue.not_before)
    needs = msgspec.json.encode(queue.needs, order="sorted").decode()
    return (queue.pool, queue.priority, not_before, needs)


def admission_of(started: RunStarted) -> RunStarted | None:
    """Return the record where a run's keys decide whether it is stored; else None."""
    keys = started.keys
    decides = keys is not None and (keys.unique is not None or keys.place is not None)
    return started if decides else None


def keys_row(started: RunStarted) -> KeysRow | None:
    """Return the columns of a run's tags and keys; None where they are all empty."""
    keys = started.keys
    if keys is None or not (keys.tags or keys.unique or keys.place):
        return None
    return KeysRow(
        place=None if keys.place is None else keys.place.key,
        places=0 if keys.place is None else keys.place.limit,
        unique_key=None if keys.unique is None else keys.unique.key,
        tags=tags_text(keys.tags),
    )


def tags_text(tags: Mapping[str, str]) -> str:
    """Return tags as a column has them."""
    return msgspec.json.encode(dict(tags), order="sorted").decode()


def started_by_text(by: StartedBy | None) -> str:
    """Return what started a run as a column has it: its kind, a space, and its name.

    >>> started_by_text(StartedBy(kind="schedule", name="nightly"))
    'schedule nightly'
    """
    return "" if by is None else f"{by.kind} {_column_text(by.name)}"


def started_by_of(text: str) -> StartedBy | None:
    """Return what started a run, from its column; None where a run did, or it is not known.

    >>> started_by_of("schedule nightly")
    StartedBy(kind='schedule', name='nightly')
    """
    kind, _, name = text.partition(" ")
    if kind not in _STARTED_BY:
        return None
    return StartedBy(kind=cast(StartedKind, kind), name=name)


def origin_columns(started: RunStarted) -> tuple[str, str | None, str]:
    """Return title, schedule and ``started_by`` of a run's row."""
    by = started.started_by
    return (
        "" if started.keys is None else started.keys.title,
        by.name if by is not None and by.kind == "schedule" else None,
        started_by_text(by),
    )


def error_columns(record: Record) -> tuple[str | None, str | None]:
    """Return ``error_code`` and ``error_plugin`` of a run's row after a record of its status."""
    if isinstance(record, RunFinished) and record.error is not None:
        plugin = record.error.plugin
        return _column_text(record.error.code), None if plugin is None else _column_text(plugin)
    return (_column_text(record.code), None) if isinstance(record, RunBlocked) else (None, None)


def _column_text(text: str) -> str:
    """Return a text of a record as every database can store it."""
    return re.sub(_UNSTORABLE, "\N{REPLACEMENT CHARACTER}", text[:_MOST_NAME])


def run_row(records: list[Record], owner: str | None, epoch: int) -> RunRow:
    """Return the row of a run with these records.

    Raises:
        UnreadableError: The first is not `RunStarted`.
    """
    started = records[0] if records else None
    if not isinstance(started, RunStarted):
        raise UnreadableError("the first record is not the start of the run")
    status, finished_at = "running", None
    error: tuple[str | None, str | None] = (None, None)
    for record in records:
        status = status_after(record) or status
        if status_after(record) is not None:
            finished_at = to_us(record.at) if isinstance(record, RunFinished) else None
            error = error_columns(record)
    return RunRow(
        started.run_id,
        started.workflow,
        started.kind,
        status,
        to_us(started.at),
        finished_at,
        owner,
        epoch,
        started.parent,
        *queue_columns(started),
        *origin_columns(started),
        *error,
    )
