"""What both journals check and encode before records are kept."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_host.journal.encoding import encode_record
from qtforge_host.journal.group import Append, StatusChange
from qtforge_host.journal.instants import to_us
from qtforge_sdk import Record
from qtforge_sdk.journal import Ownership, status_after
from qtforge_sdk.records import RunFinished

__all__ = ["make_append"]


def make_append(ownership: Ownership, records: Sequence[Record]) -> Append:
    """Return records as they are stored, with what they make of their run's status.

    Raises:
        RecordNotStorableError: A value can't be written.
        ValueError: A record is another run's, or follows `RunFinished`.
    """
    run_id, change = ownership.run_id, None
    for record in records:
        if record.run_id != run_id:
            raise ValueError(f"a record of {record.run_id} can't be kept in {run_id}")
        if change is not None and change.finished_at_us is not None:
            raise ValueError(f"{run_id} has ended; RunFinished is the last record")
        status = status_after(record)
        if status is not None:
            finished_at_us = to_us(record.at) if isinstance(record, RunFinished) else None
            change = StatusChange(status, finished_at_us)
    return Append(ownership, [encode_record(record) for record in records], change)
