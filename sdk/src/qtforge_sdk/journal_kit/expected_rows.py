"""What the records of runs say about their rows, timers and messages; for `check` and `repair`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from qtforge_sdk import Record
from qtforge_sdk.journal import Damage
from qtforge_sdk.journal_kit.appending import (
    checkpoint_row,
    error_columns,
    handled_messages,
    keys_row,
    origin_columns,
    queue_columns,
)
from qtforge_sdk.journal_kit.encoding import LoadBlob, UnreadableError, decode_record, to_us
from qtforge_sdk.journal_kit.search_words import (
    NO_WORDS,
    SearchRow,
    error_words,
    search_row,
    tag_words,
)
from qtforge_sdk.records import CheckpointSaved, RunFinished, RunStarted, RunWaiting
from qtforge_sdk.run_status import status_after

__all__ = ["COLUMNS", "ExpectedRow", "StoredRecord", "expected_rows"]

COLUMNS: Final = (
    "run_id", "workflow", "kind", "status", "started_at", "finished_at", "parent",
    "kept", "label", "accepts", "kept_at", "correlation",
    "pool", "priority", "not_before", "needs",
    "title", "schedule", "place", "places", "unique_key",
    "started_by", "error_code", "error_plugin",
)  # fmt: skip
"""The columns of ``runs`` that follow from the records; the others are owner,
epoch, tags and what it holds."""


_QUEUE: Final = ("pool", "priority", "not_before", "needs")
_ORIGIN: Final = ("title", "schedule", "started_by")
_KEYS: Final = ("place", "places", "unique_key")
_NO_KEYS: Final = (None, 0, None)
_YOUNG: Final = frozenset({"started_by", "error_code", "error_plugin"})  # empty in older rows


class StoredRecord(NamedTuple):
    """A record as it is stored.

    Attributes:
        key: Its run's key.
        name: Its run's id; None where no row has the key.
        position: Its number within the run, from 1.
        checksum: Of the payload.
        payload: The record.
    """

    key: int
    name: str | None
    position: int
    checksum: int
    payload: bytes


class ExpectedRow:
    """Adds up a run's records, given one by one.

    Attributes:
        key: The run's key.
        is_whole: Whether no record is damaged, missing or another run's; only then the rest counts.
        has_ended: Whether the run has ever ended.
        timers: When each timer is due, in microseconds, by name.
        handled: The ids of the messages that the run has handled.
        positions: The positions of the events that its checkpoints have handled.
        tags: The tags with which the run was started.
        words: The words by which it is found; its tags may have changed since.
    """

    def __init__(self, key: int) -> None:
        self.key: Final = key
        self.is_whole = True
        self.has_ended = False
        self.timers: dict[str, int] = {}
        self.handled: set[str] = set()
        self.positions: set[int] = set()
        self.tags: dict[str, str] = {}
        self.words = NO_WORDS
        self._row: dict[str, Any] = {}

    @property
    def run_id(self) -> str | None:
        """The run's id, or None before its first record."""
        return self._row.get("run_id")

    @property
    def status(self) -> str:
        """The run's status."""
        return str(self._row.get("status", ""))

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of `COLUMNS`."""
        return tuple(self._row.get(column) for column in COLUMNS)

    def differing_columns(self, row: Sequence[Any]) -> list[str]:
        """Return the names of the columns of the run's row that differ from its records.

        Args:
            row: The row: its key and `COLUMNS`.
        """
        there = zip(COLUMNS, self.values, row[1:], strict=True)
        return [
            column
            for column, wanted, is_ in there
            if (wanted != is_ or type(wanted) is not type(is_))
            and not (column in _YOUNG and is_ in ("", None))
        ]

    def row_damage(self, row: Sequence[Any]) -> Iterator[Damage]:
        """Yield how the run's row contradicts its records; see `differing_columns`."""
        wrong = self.differing_columns(row)
        if wrong:
            what = f"its row does not fit its records: {', '.join(wrong)}"
            yield Damage(what=what, run_id=self.run_id)

    def words_with(self, tags: Mapping[str, str]) -> SearchRow:
        """Return the words by which the run is found with these tags."""
        return self.words._replace(tags=tag_words(tags))

    def missing_timers(self, there: Mapping[str, int]) -> dict[str, int]:
        """Return the timers for which a waiting run has no row, or another one."""
        if self.status != "waiting":
            return {}
        return {name: due for name, due in self.timers.items() if there.get(name) != due}

    def missing_arrivals(self, not_there: Iterable[tuple[int, str]]) -> list[int]:
        """Return which messages without a row the run has still to handle.

        Args:
            not_there: Position and id of each.

        Returns:
            Their positions; none once the run has ended: what reached it around its end is no
            longer known.
        """
        if self.has_ended:
            return []
        return [
            position
            for position, message_id in not_there
            if message_id not in self.handled and position not in self.positions
        ]

    def waiting_damage(self, timers: Iterable[str], messages: Iterable[int]) -> Iterator[Damage]:
        """Yield the damage of missing timers and messages."""
        for name in timers:
            what = f"the timer '{name}' would not fire when it is due"
            yield Damage(what=what, run_id=self.run_id)
        for position in messages:
            what = f"message {position} would not be handled"
            yield Damage(what=what, run_id=self.run_id)

    def add(self, position: int, record: Record) -> None:
        """Add the next record."""
        row = self._row
        if isinstance(record, RunStarted) and position == 1:
            self.tags = {} if record.keys is None else record.keys.tags
            self.words = search_row((record,))
            row.update(
                run_id=record.run_id,
                workflow=record.workflow,
                kind=record.kind,
                started_at=to_us(record.at),
                finished_at=None,
                parent=record.parent,
                kept=0,
                label="",
                accepts="",
                **dict(zip(_QUEUE, queue_columns(record), strict=True)),
                **dict(zip(_KEYS, (keys_row(record) or _NO_KEYS)[:3], strict=True)),
                **dict(zip(_ORIGIN, origin_columns(record), strict=True)),
            )
        elif not row or record.run_id != row["run_id"]:
            self.is_whole = False
            return
        self.handled |= handled_messages((record,))
        status = status_after(record)
        if status is None:
            return
        ends = isinstance(record, RunFinished)
        self.has_ended |= ends
        row.update(status=status, finished_at=to_us(record.at) if ends else None)
        row["error_code"], row["error_plugin"] = error_columns(record)
        self.words = self.words._replace(error=error_words(record))
        if isinstance(record, CheckpointSaved | RunWaiting):
            saved = checkpoint_row(record, 0, every_timer=True)
            kept = saved.position_after(position - 1)
            row.update(kept=kept, label=saved.label, accepts=saved.accepts, kept_at=saved.at_us)
            row["correlation"] = saved.key or row.get("correlation")
            self.timers = dict(saved.timers_set)
            self.positions.add(saved.inbox)


def expected_rows(
    stored: Iterable[StoredRecord], load: LoadBlob, found: list[Damage]
) -> Iterator[ExpectedRow]:
    """Give what the records of each run say about its row, by the runs' keys.

    Args:
        stored: All records, by run and position.
        load: Returns the content of a large value.
        found: Gets the damage of the records; their run is then not whole.
    """
    run = ExpectedRow(0)
    expected = 1
    for key, name, position, checksum, payload in stored:
        if key != run.key:
            if run.key:
                yield run
            run, expected = ExpectedRow(key), 1
        if expected < position:
            run.is_whole = False
            if name is not None:
                what = f"{position - expected} records are missing from here"
                found.append(Damage(what=what, run_id=name, position=expected))
        expected = position + 1
        try:
            record = decode_record(payload, checksum, load)
        except UnreadableError as error:
            run.is_whole = False
            found.append(Damage(what=str(error), run_id=name, position=position))
            continue
        if position == 1 and not isinstance(record, RunStarted):
            what = "the run does not begin with its start"
            found.append(Damage(what=what, run_id=name, position=1))
        elif run.run_id not in (None, record.run_id):
            what = f"the record belongs to the run '{record.run_id}'"
            found.append(Damage(what=what, run_id=name, position=position))
        run.add(position, record)
    if run.key:
        yield run
