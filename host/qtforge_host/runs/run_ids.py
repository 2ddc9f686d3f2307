"""The names of runs."""

from __future__ import annotations

import datetime
import random

__all__ = ["RunIds"]


class RunIds:
    """Makes names for runs.

    Their random part is begun anew with each object; to ask the system for each costs a short
    run as much as one of its steps. They are no secrets, and the journal takes none twice.
    """

    def __init__(self) -> None:
        self._numbers = random.Random()  # noqa: S311

    def new(self, now: datetime.datetime) -> str:
        """Return a run's name: sortable by time, unique, and short enough to type.

        >>> RunIds().new(datetime.datetime(2026, 1, 2, 3, 4, 5)).rpartition("-")[0]
        '20260102-030405'
        """
        return f"{now:%Y%m%d-%H%M%S}-{self._numbers.getrandbits(40):010x}"
