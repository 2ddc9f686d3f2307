"""Points in time as whole microseconds since 1970, which is how they are stored and ordered."""

from __future__ import annotations

import datetime
from typing import Final

__all__ = ["from_us", "to_us"]

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def to_us(at: datetime.datetime) -> int:
    """Return microseconds since 1970; a time without a zone is UTC.

    >>> to_us(datetime.datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    return ((at if at.tzinfo else at.replace(tzinfo=datetime.UTC)) - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime.datetime:
    """Return the time, in UTC."""
    return _EPOCH + us * _MICROSECOND
