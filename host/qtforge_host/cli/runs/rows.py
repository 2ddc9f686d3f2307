"""Runs as rows of a terminal: short ids, short times, and children beneath their parents."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from qtforge_host.api.documents import RunRow

__all__ = ["brief_time", "folded", "short_ids", "tree"]

# The time in it, and so many random digits that no other run of that second has them, nearly.
_STAMPED: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def short_ids(run_ids: Iterable[str]) -> dict[str, str]:
    """Return the beginning of each id that names the run among these.

    It has four digits beyond the time with which an id begins, or as many as tell it from the
    others. An id that a user gave is not shortened.

    >>> short_ids(["20261130-201745-4312be362f", "20261130-201745-4312aaaaaa", "mine"])
    {'20261130-201745-4312aaaaaa': '20261130-201745-4312a', \
'20261130-201745-4312be362f': '20261130-201745-4312b', 'mine': 'mine'}
    """
    ordered = sorted(set(run_ids))
    found = {}
    for before, run_id, after in zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False):
        stamp = _STAMPED.match(run_id)
        alike = max(_common(run_id, before), _common(run_id, after))
        found[run_id] = run_id[: max(stamp.end(), alike + 1)] if stamp else run_id
    return found


def brief_time(at: datetime.datetime, now: datetime.datetime) -> str:
    """Return a time for people: of today without the day, of this year without the year.

    Args:
        at: The time; it is shown in the local time.
        now: The time now.
    """
    there, here = at.astimezone(), now.astimezone()
    if there.date() == here.date():
        return f"{there:%H:%M:%S}"
    return f"{there:%m-%d %H:%M}" if there.year == here.year else f"{there:%Y-%m-%d}"


def folded(rows: Sequence[RunRow]) -> Iterator[tuple[RunRow, int]]:
    """Give each run whose parent is not among them, with the number of its descendants there."""
    children = _children(rows)
    for row in _first(rows):
        yield row, sum(1 for _ in _beneath(row, children))


def tree(rows: Sequence[RunRow]) -> Iterator[tuple[RunRow, int]]:
    """Give each run with its depth; children follow their parents, those started first first."""
    children = _children(rows)
    for row in _first(rows):
        yield row, 0
        yield from _beneath(row, children)


def _first(rows: Sequence[RunRow]) -> list[RunRow]:
    ids = {row.run_id for row in rows}
    return [row for row in rows if row.parent not in ids]


def _children(rows: Sequence[RunRow]) -> Mapping[str, Sequence[RunRow]]:
    found = defaultdict(list)
    for row in rows:
        if row.parent is not None:
            found[row.parent].append(row)
    return found


def _beneath(row: RunRow, children: Mapping[str, Sequence[RunRow]]) -> Iterator[tuple[RunRow, int]]:
    """Give the descendants of a run with their depth; without recursion, however deep."""
    open_ = [(each, 1) for each in children.get(row.run_id, ())]
    while open_:  # the newest first in the list, so the oldest is taken from its end
        child, depth = open_.pop()
        yield child, depth
        open_ += [(each, depth + 1) for each in children.get(child.run_id, ())]


def _common(text: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    return next(
        (at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two),
        min(len(text), len(other)),
    )
