"""What a journal writes: each is done whole or not at all, many of them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from qtforge_sdk.journal import Ownership
from qtforge_sdk.journal_kit.encoding import Encoded
from qtforge_sdk.journal_kit.search_words import NO_WORDS, SearchRow
from qtforge_sdk.records import RunStarted

__all__ = [
    "Append",
    "Change",
    "CheckpointRow",
    "Create",
    "Job",
    "KeysRow",
    "RunRow",
    "StatusChange",
]


class RunRow(NamedTuple):
    """What a journal knows of a run besides its records; times in microseconds since 1970.

    Attributes:
        run_id: The run.
        workflow: Its workflow's name.
        kind: Its orchestrator's kind.
        status: Its status.
        started_at: When it was created.
        finished_at: When it ended.
        owner: The process that owns it.
        epoch: The number of its owners so far.
        parent: The run that started it.
        pool: The pool whose processes may take it.
        priority: Its priority within the pool.
        not_before: When it may be taken, or None.
        needs: The plugins that it needs, as JSON.
        title: One line for people.
        schedule: The schedule that started it, or None.
        started_by: What started it, as `started_by_text` writes it.
        error_code: The code of the error with which it failed or is blocked, or None.
        error_plugin: The plugin that failed, or None.
    """

    run_id: str
    workflow: str
    kind: str
    status: str
    started_at: int
    finished_at: int | None
    owner: str | None
    epoch: int
    parent: str | None
    pool: str = "default"
    priority: int = 0
    not_before: int | None = None
    needs: str = "{}"
    title: str = ""
    schedule: str | None = None
    started_by: str = ""
    error_code: str | None = None
    error_plugin: str | None = None


class KeysRow(NamedTuple):
    """The columns of a run's row that only a run with tags or keys has.

    Attributes:
        place: The value of its concurrency key; None where it needs no place.
        places: How many runs with that key hold a place at once; 0 without one.
        unique_key: The value of its unique key.
        tags: Its first tags, as JSON.
    """

    place: str | None
    places: int
    unique_key: str | None
    tags: str


class CheckpointRow(msgspec.Struct, kw_only=True):
    """The changes that a checkpoint or a `RunWaiting` makes to its run's row, timers and inbox.

    Attributes:
        place: The index of its record among those that are written together.
        label: The state, in a word.
        accepts: The events that the run waits for, separated by spaces.
        at_us: The time of the checkpoint.
        timers_set: Names and times of new timers.
        timers_gone: Names of removed timers.
        inbox: The position of the message that it handles; 0 for none.
        key: The correlation key of the run, or "".
        shows: Whether label or events differ from those of the row.
        is_checkpoint: Whether the run is resumed from it; else from its first record.
    """

    place: int
    label: str
    accepts: str
    at_us: int
    timers_set: list[tuple[str, int]]
    timers_gone: list[str]
    inbox: int
    key: str = ""
    shows: bool = True
    is_checkpoint: bool = True

    def position_after(self, last: int) -> int:
        """Return the position from which the run is resumed; 0 for its first record.

        Args:
            last: The position of the run's last record before those that are written together.
        """
        return last + 1 + self.place if self.is_checkpoint else 0


class StatusChange(msgspec.Struct, frozen=True):
    """The new status of a run's row, and the code and the plugin of its error."""

    status: str
    finished_at_us: int | None
    error_code: str | None = None
    error_plugin: str | None = None


class Append(msgspec.Struct, frozen=True):
    """Records to append, if the ownership is valid.

    Attributes:
        ownership: The run and the epoch of its owner.
        entries: The encoded records.
        status: The new status of the run, if they change it.
        checkpoint: The changes of a checkpoint, if there is one among them.
        posts: Messages to other runs: run, message id, encoded message.
        answered: The ids of the messages that they handle.
        error_words: The words of the run's error after them; counts with a status.
    """

    ownership: Ownership
    entries: Sequence[Encoded]
    status: StatusChange | None
    checkpoint: CheckpointRow | None = None
    posts: Sequence[tuple[str, str, Encoded]] = ()
    answered: Sequence[str] = ()
    error_words: str = ""


class Create(msgspec.Struct, frozen=True):
    """A new run; its outcome is an `Ownership`, or None without an owner.

    Attributes:
        row: Its row.
        entry: Its first record.
        more: The records after it.
        search: The words by which it is found.
        keys: Its tags and keys; None without any.
        admission: Its first record, where others may keep it from being stored, or may be
            cancelled for it; else None.
    """

    row: RunRow
    entry: Encoded
    more: Sequence[Encoded] = ()
    search: SearchRow = NO_WORDS
    keys: KeysRow | None = None
    admission: RunStarted | None = None

    @property
    def is_queued(self) -> bool:
        """Whether any process may take the run."""
        return self.row.epoch == 0

    @property
    def entries(self) -> Sequence[Encoded]:
        """All its records."""
        return (self.entry, *self.more)


class Change(msgspec.Struct, frozen=True):
    """Any other write.

    Attributes:
        do: Writes with the store that it is given, and returns the outcome. It may raise a
            QtForgeError before it has written anything; that is the outcome then.
        wakes: Whether `Journal.changed` returns after it.
    """

    do: Callable[[Any], Any]
    wakes: bool = False


Job = Append | Create | Change
