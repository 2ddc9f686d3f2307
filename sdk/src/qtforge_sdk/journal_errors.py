"""Errors of journals.

::

    QtForgeError
    ├── RunError
    │   ├── RunNotFoundError        run.not_found
    │   ├── RunExistsError          run.exists
    │   ├── RunDuplicateError       run.duplicate
    │   ├── RunConcurrencyError     run.concurrency
    │   ├── TagsInvalidError        run.tags_invalid
    │   ├── RunOwnedError           run.owned
    │   ├── StaleOwnerError         run.stale_owner
    │   ├── RecordNotStorableError  run.not_storable
    │   │   └── RecordTooLargeError run.too_large
    │   └── ArchiveInvalidError     run.archive_invalid
    └── StorageError
        ├── JournalDamagedError     journal.damaged
        └── JournalUnavailableError journal.unavailable
"""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_sdk.errors import RunError, StorageError

__all__ = [
    "ArchiveInvalidError",
    "JournalDamagedError",
    "JournalUnavailableError",
    "RecordNotStorableError",
    "RecordTooLargeError",
    "RunConcurrencyError",
    "RunDuplicateError",
    "RunExistsError",
    "RunNotFoundError",
    "RunOwnedError",
    "StaleOwnerError",
    "TagsInvalidError",
]


class RunNotFoundError(RunError):
    """The journal has no run of that id.

    Args:
        run_id: The requested id.
    """

    code = "run.not_found"
    exit_code = 3
    http_status = 404

    def __init__(self, run_id: str, /) -> None:
        super().__init__(f"there is no run '{run_id}'", "", "qtforge-host runs list")
        self.run_id = run_id


class RunExistsError(RunError):
    """The journal already has another run of that id; it is not changed.

    Args:
        run_id: The id.
    """

    code = "run.exists"
    http_status = 409

    def __init__(self, run_id: str, /) -> None:
        super().__init__(
            f"the journal already holds a run '{run_id}'",
            "its records differ from the new ones",
            "keep the two in different state directories",
        )
        self.run_id = run_id


class RunDuplicateError(RunError):
    """There is a run with the same unique key already; nothing was started.

    Args:
        run_id: The run that is there.
        key: The key's value.
    """

    code = "run.duplicate"
    http_status = 409

    def __init__(self, run_id: str, key: str, /) -> None:
        super().__init__(
            f"a run with the unique key {key!a} is there already: '{run_id}'",
            "",
            f"qtforge-host runs show {run_id}",
        )
        self.run_id = run_id
        self.key = key


class RunConcurrencyError(RunError):
    """As many runs with a concurrency key hold a place as may; nothing was started.

    Args:
        workflow: The workflow.
        key: The key's value; "" for one that all its runs share.
        held_by: The runs that hold the places, the oldest first.
    """

    code = "run.concurrency"
    http_status = 409

    def __init__(self, workflow: str, key: str, held_by: Sequence[str], /) -> None:
        what = f"'{workflow}' can't be started" + (f" for the key {key!a}" if key else "")
        names = ", ".join(held_by[:3]) + (" and others" if len(held_by) > 3 else "")
        super().__init__(
            what,
            f"no place is left: held by {names}",
            f"wait for its end, or qtforge-host runs cancel {held_by[0] if held_by else 'RUN'}",
        )
        self.workflow = workflow
        self.key = key
        self.held_by = tuple(held_by)


class TagsInvalidError(RunError):
    """Tags can't be given to a run.

    Args:
        what: What can't be done.
        why: Why not.
        fix: How to fix it.
    """

    code = "run.tags_invalid"
    exit_code = 2
    http_status = 422

    def __init__(self, what: str, why: str, fix: str = "", /) -> None:
        super().__init__(what, why, fix)


class RunOwnedError(RunError):
    """A live process executes the run.

    Args:
        run_id: The run.
        owner: Which process, such as ``process 4711 on host ada``.
    """

    code = "run.owned"
    http_status = 409

    def __init__(self, run_id: str, owner: str, /) -> None:
        super().__init__(
            f"the run '{run_id}' is taken", f"{owner} executes it", "wait for it, or end it"
        )
        self.run_id = run_id
        self.owner = owner


class StaleOwnerError(RunError):
    """The run was released or claimed by another process meanwhile; nothing was written.

    Args:
        run_id: The run.
        epoch: The epoch of the ownership that has ended.
    """

    code = "run.stale_owner"
    http_status = 409

    def __init__(self, run_id: str, epoch: int, /) -> None:
        super().__init__(
            f"the run '{run_id}' is no longer this process's",
            f"its ownership of epoch {epoch} has ended",
            "claim it again",
        )
        self.run_id = run_id
        self.epoch = epoch


class RecordNotStorableError(RunError):
    """A record or a message contains a value that can't be stored; nothing was written.

    Args:
        run_id: The run.
        record: The record's kind, with its step if it has one.
        why: The value that can't be stored.
    """

    code = "run.not_storable"
    http_status = 422

    def __init__(self, run_id: str, record: str, why: str, /) -> None:
        super().__init__(
            f"'{record}' of the run '{run_id}' can't be kept",
            why,
            "give plain data: text, numbers, lists, mappings, dates, dataclasses or Structs",
        )
        self.run_id = run_id
        self.record = record


class RecordTooLargeError(RecordNotStorableError):
    """A record or a message is larger than a journal stores; nothing was written.

    Args:
        run_id: The run.
        record: The record's kind, with its step if it has one.
        size_bytes: Its size when it is encoded.
        limit_bytes: The largest size.
    """

    code = "run.too_large"
    http_status = 413

    def __init__(self, run_id: str, record: str, size_bytes: int, limit_bytes: int, /) -> None:
        why = f"it has {size_bytes:,} bytes, and may have {limit_bytes:,}"
        super().__init__(run_id, record, why)
        self.fix = "keep less, put it into a file of the run, or raise max_value in [host]"
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class ArchiveInvalidError(RunError):
    """An exported run, or a backup of all, can't be read; nothing was imported.

    Args:
        why: What is wrong with it.
        kind: What was expected.
        fix: What to do.
    """

    code = "run.archive_invalid"
    http_status = 422

    def __init__(
        self, why: str, /, *, kind: str = "an exported run", fix: str = "export it again"
    ) -> None:
        super().__init__(f"this is not {kind} that can be read", why, fix)


class JournalDamagedError(StorageError):
    """A record of a run is damaged or missing.

    Args:
        path: The journal: its state directory, or its address without a password.
        run_id: The run.
        position: The number of the damaged record, from 1; None if the damage is elsewhere.
        why: What is wrong.
    """

    code = "journal.damaged"

    def __init__(self, path: str, run_id: str, position: int | None, why: str, /) -> None:
        where = f"record {position} of the run '{run_id}'" if position else f"the run '{run_id}'"
        super().__init__(
            f"the journal {path} can't be used", f"{where} is damaged: {why}", "qtforge-host doctor"
        )
        self.path = path
        self.run_id = run_id
        self.position = position


class JournalUnavailableError(StorageError):
    """A shared journal can't be reached, or does not answer; it is tried again by time.

    Args:
        where: The journal's address, without a password.
        why: What is wrong.
        fix: How to fix it.
    """

    code = "journal.unavailable"

    def __init__(self, where: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the journal {where} can't be reached", why, fix)
        self.where = where
        self.retryable = True
