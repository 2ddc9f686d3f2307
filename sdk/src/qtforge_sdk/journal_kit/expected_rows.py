"""What a run's records say about its row in ``runs``, its timers and its messages."""

from __future__ import annotations

from typing import Any, Final

from qtforge_sdk import Record
from qtforge_sdk.journal_kit.appending import checkpoint_row, handled_messages, queue_columns
from qtforge_sdk.journal_kit.encoding import to_us
from qtforge_sdk.records import CheckpointSaved, RunFinished, RunStarted
from qtforge_sdk.run_status import status_after

__all__ = ["COLUMNS", "ExpectedRow"]

COLUMNS: Final = (
    "run_id", "workflow", "kind", "status", "started_at", "finished_at", "parent",
    "kept", "label", "accepts", "kept_at", "correlation",
    "pool", "priority", "not_before", "needs",
)  # fmt: skip
"""The columns of ``runs`` that follow from the records; the others are owner and epoch."""


_QUEUE: Final = ("pool", "priority", "not_before", "needs")


class ExpectedRow:
    """Adds up a run's records, given one by one.

    Attributes:
        key: The run's key.
        is_whole: Whether no record is damaged, missing or another run's; only then the rest counts.
        has_ended: Whether the run has ever ended.
        timers: When each timer is due, in microseconds, by name.
        handled: The ids of the messages that the run has handled.
        positions: The positions of the events that its checkpoints have handled.
    """

    def __init__(self, key: int) -> None:
        self.key: Final = key
        self.is_whole = True
        self.has_ended = False
        self.timers: dict[str, int] = {}
        self.handled: set[str] = set()
        self.positions: set[int] = set()
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

    def add(self, position: int, record: Record) -> None:
        """Add the next record."""
        row = self._row
        if isinstance(record, RunStarted) and position == 1:
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
        if isinstance(record, CheckpointSaved):
            saved = checkpoint_row(record, 0, every_timer=True)
            row.update(kept=position, label=saved.label, accepts=saved.accepts, kept_at=saved.at_us)
            row["correlation"] = saved.key or row.get("correlation")
            self.timers = dict(saved.timers_set)
            self.positions.add(saved.inbox)
