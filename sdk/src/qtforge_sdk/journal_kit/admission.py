"""Decide what the start of a run means for runs with the same concurrency key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from qtforge_sdk.journal import Admission, InboxMessage
from qtforge_sdk.journal_errors import RunConcurrencyError, TagsInvalidError
from qtforge_sdk.records import RunPlace, RunStarted
from qtforge_sdk.run_keys import MOST_TAG_VALUE, MOST_TAGS, TAG_NAME

__all__ = ["MOST_READ", "changed_tags", "check_tags", "place_message", "plan", "refuse"]

MOST_READ: Final = 10_000
"""The most queued runs of one concurrency key that a store reads for `plan`, the first ones."""

# Compiled when it is first used, which most commands never do.
_CONTROL: Final = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"


def plan(
    place: RunPlace, priority: int, holders: Sequence[str], queued: Sequence[tuple[str, int]]
) -> Admission:
    """Return what the start of a run does.

    Args:
        place: The place that it needs.
        priority: Its priority.
        holders: The runs that hold the places of its key, the oldest first.
        queued: The runs that wait for one and may be taken now, each with its priority, in the
            order in which they get places.

    >>> plan(RunPlace(), 0, [], []).held_by
    ()
    >>> plan(RunPlace(when_full="latest"), 0, ["a"], [("b", 0)]).cancels
    ('b',)
    >>> plan(RunPlace(when_full="cancel"), 0, ["a"], []).cancels
    ('a',)
    """
    waiting = [run_id for run_id, _ in queued]
    ahead = [run_id for run_id, each in queued if each >= priority]
    first = (*holders, *ahead)
    if len(first) < place.limit and place.when_full != "cancel":
        return Admission()
    held_by = first if len(first) >= place.limit else ()
    match place.when_full:
        case "refuse":
            return Admission(held_by=held_by, is_refused=True)
        case "latest":
            soon = max(place.limit - len(holders), 0)  # these get a place at once
            return Admission(held_by=held_by, cancels=tuple(waiting[soon:]))
        case "cancel":
            others = (*holders, *waiting)
            surplus = max(len(others) + 1 - place.limit, 0)
            return Admission(held_by=held_by, cancels=others[:surplus])
        case _:
            return Admission(held_by=held_by)


def refuse(started: RunStarted, admission: Admission) -> None:
    """Raise why a run is not stored, if it is not.

    Raises:
        RunConcurrencyError: It is refused.
    """
    if admission.is_refused and started.place is not None:
        raise RunConcurrencyError(started.workflow, started.place.key, admission.held_by)


def place_message(started: RunStarted) -> InboxMessage:
    """Return the request to cancel a run for a new one."""
    return InboxMessage(
        message_id=f"{started.run_id}/place",
        kind="cancel",
        at=started.at,
        data={"reason": f"the run {started.run_id} needs its place"},
        by=f"the run {started.run_id}",
    )


def check_tags(tags: Mapping[str, str | None]) -> None:
    """Check the names and values of tags; None stands for one that is removed.

    Raises:
        TagsInvalidError: One can't be used.
    """
    for name, value in tags.items():
        if re.fullmatch(TAG_NAME, name) is None:
            why = "a tag's name has at most 63 letters, digits, '.', '-' and '_'"
            raise TagsInvalidError(f"the tag {name[:80]!a} can't be used", why, "such as customer")
        if value is None:
            continue
        what = f"the tag '{name}' can't have the value {value[:80]!a}"
        if not 0 < len(value) <= MOST_TAG_VALUE:
            why = f"it has {len(value)} characters, and may have 1 to {MOST_TAG_VALUE}"
            raise TagsInvalidError(what, why, "give a shorter one" if value else "give a value")
        if re.search(_CONTROL, value) is not None:
            raise TagsInvalidError(what, "it has control characters", "leave them out")


def changed_tags(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags after a change.

    Raises:
        TagsInvalidError: One can't be used, or there are too many.
    """
    check_tags(changes)
    merged = {**before, **changes}
    after = {name: value for name, value in merged.items() if value is not None}
    if len(after) > max(MOST_TAGS, len(before)):
        what, why = f"{len(after)} tags are too many", f"a run has at most {MOST_TAGS}"
        raise TagsInvalidError(what, why, "remove some: name=")
    return after
