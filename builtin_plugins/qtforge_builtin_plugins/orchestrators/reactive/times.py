"""The due time of a timer."""

from __future__ import annotations

import datetime
from typing import Any

from qtforge_sdk.durations import wait_seconds
from qtforge_sdk.errors import OperationError

__all__ = ["due_time"]


def due_time(after: Any, at: Any, now: datetime.datetime) -> datetime.datetime:
    """Return the time when a timer is due, in UTC.

    Args:
        after: A `qtforge_sdk.Duration`, such as ``24h`` or seconds; or None. A negative one is
            due now.
        at: A date and time, as text (RFC 3339) or as an object; or None.
        now: The current time.

    Raises:
        OperationError: ``machine.timer``: neither or both are given, or one can't be read.
    """
    if (after is None) == (at is None):
        raise _bad("a timer has 'after' or 'at', and not both")
    try:
        if at is None:
            return now + datetime.timedelta(seconds=wait_seconds(after))
        moment = at if isinstance(at, datetime.datetime) else datetime.datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise _bad(f"'{at}' has no time zone; add Z or an offset such as +01:00")
        return moment.astimezone(datetime.UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise _bad(str(error)) from error


def _bad(why: str) -> OperationError:
    return OperationError("machine.timer", "the timer can't be set", why, retryable=False)
