"""Say how a run waits for a process that has room for it."""

from __future__ import annotations

import datetime
from typing import Final

from qtforge_host.api.errors import QueueInvalidError
from qtforge_host.validation import name_problem
from qtforge_sdk.records import QueueEntry

__all__ = ["check_node", "check_pool", "queue_entry"]

_MOST: Final = 100  # the highest priority, and the lowest below 0


def check_node(name: str) -> None:
    """Refuse what can't be the name of a node.

    Raises:
        QueueInvalidError: It is no name.
    """
    _check_name("node", name, "such as worker-1")


def check_pool(name: str) -> None:
    """Refuse what can't be the name of a pool.

    Raises:
        QueueInvalidError: It is no name.
    """
    _check_name("pool", name, "such as reports")


def _check_name(kind: str, name: str, fix: str) -> None:
    if why := name_problem(kind, name):
        raise QueueInvalidError(f"the {kind} {name!a} can't be used", why, fix)


def queue_entry(pool: str, priority: int, not_before: datetime.datetime | None) -> QueueEntry:
    """Return the entry of a run in the queue.

    Raises:
        QueueInvalidError: The pool is no name, the priority out of range, or the time without a
            time zone.
    """
    check_pool(pool)
    if not -_MOST <= priority <= _MOST:
        why = f"it must be between -{_MOST} and {_MOST}"
        raise QueueInvalidError(f"the priority {priority} can't be used", why, "such as 10")
    if not_before is not None and not_before.tzinfo is None:
        raise QueueInvalidError(
            f"the time {not_before.isoformat()} can't be used",
            "it has no time zone",
            "such as 2026-01-02T03:04:05Z",
        )
    return QueueEntry(pool=pool, priority=priority, not_before=not_before)
