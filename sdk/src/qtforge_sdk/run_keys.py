"""Keys of a workflow definition about its runs as a whole: uniqueness and concurrency."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from qtforge_sdk.durations import Duration

__all__ = [
    "MOST_KEY",
    "MOST_PLACES",
    "MOST_TAGS",
    "MOST_TAG_VALUE",
    "MOST_TITLE",
    "TAG_NAME",
    "ConcurrencyKey",
    "UniqueKey",
    "WhenFull",
]

TAG_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""The names of tags, as a regular expression."""

MOST_TAGS: Final = 16
"""The most tags of a run."""

MOST_TAG_VALUE: Final = 200
"""The most characters of a tag's value."""

MOST_TITLE: Final = 200
"""The most characters of a title."""

MOST_KEY: Final = 200
"""The most characters of a concurrency key, and of a key of `UniqueKey`."""

MOST_PLACES: Final = 10_000
"""The highest limit of a concurrency key."""

WhenFull = Literal["wait", "refuse", "cancel", "latest"]
"""What happens with a new run where as many runs hold a place as may."""


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``unique`` of a workflow: one run for each value of a key.

    Attributes:
        key: A template over ``input``. While a run with the same value is unfinished, a start
            answers with that run.
        within: For so long after a run's start, a start answers with that run, too, whether it has
            ended or not; None for unfinished runs alone.
    """

    key: str
    within: Duration | None = None


class ConcurrencyKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[concurrency_key]`` of a workflow: how many of its runs may be in progress at once.

    A run holds its place from its beginning to its end, also while it waits or is paused. Runs that
    other runs have started do not count.

    Attributes:
        key: A template over ``input``: runs with the same value share the limit; "" for all runs
            of the workflow.
        limit: How many runs with the same value hold a place at once.
        when_full: What happens with a new run when there is no place: it has to ``wait``; it is
            ``refuse``d; the oldest run is asked to ``cancel``; or it waits in place of any other
            run that waits, so that only the ``latest`` does.
    """

    key: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_PLACES)] = 1
    when_full: WhenFull = "wait"
