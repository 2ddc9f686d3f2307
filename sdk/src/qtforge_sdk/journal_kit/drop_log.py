"""Say that publications were dropped, though not for each one of many."""

from __future__ import annotations

import datetime
import logging
import time
from typing import Final

__all__ = ["DropLog"]

_LOG: Final = logging.getLogger("qtforge.bus")
_EVERY_S: Final = 60.0


class DropLog:
    """Logs how many publications a journal has dropped, at most once a minute."""

    def __init__(self) -> None:
        self._count = 0
        self._next_s = 0.0  # on the scale of `time.monotonic`

    def note(self, count: int, age: datetime.timedelta) -> None:
        """Count publications that no listener has received, and log them when it is time.

        Args:
            count: How many were dropped now.
            age: How long a publication waits.
        """
        self._count += count
        if not self._count or time.monotonic() < self._next_s:
            return
        _LOG.warning(
            "publications that waited for serve were dropped: %d, older than %s or more than "
            "publication_capacity allows",
            self._count, age,
        )  # fmt: skip
        self._count, self._next_s = 0, time.monotonic() + _EVERY_S
