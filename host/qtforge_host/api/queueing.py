"""Say how a run waits for a process that has room for it."""

from __future__ import annotations

import datetime
import re
from typing import Final

from qtforge_host.api.errors import QueueInvalidError
from qtforge_sdk.records import POOL_NAME, QueueEntry

__all__ = ["check_node", "queue_entry"]

_MOST: Final = 100  # the highest priority, and the lowest below 0


def check_node(name: str) -> None:
    """Refuse what can't be the name of a node.

    Raises:
        QueueInvalidError: It is no name.
    """
    if re.fullmatch(POOL_NAME, name) is None:
        why = "a node's name has at most 64 letters, digits, '.', '-' and '_', no other characters"
        raise QueueInvalidError(f"the node {name!a} can't be used", why, "such as worker-1")


def queue_entry(pool: str, priority: int, not_before: datetime.datetime | None) -> QueueEntry:
    """Return the entry of a run in the queue.

    Raises:
        QueueInvalidError: The pool is no name, the priority out of range, or the time without a
            time zone.
    """
    if re.fullmatch(POOL_NAME, pool) is None:
        why = "a pool's name has at most 64 letters, digits, '.', '-' and '_', no other characters"
        raise QueueInvalidError(f"the pool {pool!a} can't be used", why, "such as reports")
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
