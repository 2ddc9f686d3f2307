"""Bounds what requests write into the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from qtforge_sdk.policies import ParsedRate

__all__ = ["LogLimit"]

_LOGGERS: Final = ("qtforge.http", "uvicorn.error")


class _Window:
    """The lines of one kind since a moment; the first of them stands for all."""

    def __init__(self, record: logging.LogRecord, began_s: float) -> None:
        self.name = record.name
        self.text = record.getMessage().strip()
        self.began_s = began_s
        self.written = 0
        self.left_out = 0


class LogLimit(logging.Filter):
    """Lets so many lines of each kind pass in a period, and counts those that it leaves out.

    A kind is the line of a program that writes, so there are few of them.

    Args:
        rate: How many lines of one kind, in which period.
        now_s: The time, in monotonic seconds.
    """

    def __init__(self, rate: ParsedRate, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._rate = rate
        self._now_s = now_s
        self._windows: dict[tuple[str, int], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written."""
        now_s = self._now_s()
        self.tell_left_out()
        place = record.pathname, record.lineno
        window = self._windows.setdefault(place, _Window(record, now_s))
        if window.written >= self._rate.count:
            window.left_out += 1
            return False
        window.written += 1
        return True

    def tell_left_out(self, *, all_of_them: bool = False) -> None:
        """Write how many lines were left out, where a period is over.

        Args:
            all_of_them: Also where it is not.
        """
        now_s = self._now_s()
        over = [
            place
            for place, window in self._windows.items()
            if all_of_them or now_s - window.began_s >= self._rate.period_s
        ]
        for place in over:
            window = self._windows.pop(place)
            if window.left_out:
                logger = logging.getLogger(window.name)
                record = logger.makeRecord(
                    window.name, logging.WARNING, "", 0,
                    "%d more lines in %.0f s were left out, such as: %s",
                    (window.left_out, now_s - window.began_s, window.text), None,
                )  # fmt: skip
                # Straight to the handlers: this filter does not count its own lines.
                logger.callHandlers(record)

    def attach(self) -> None:
        """Filter what the HTTP server and its libraries write."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Write the counts that are left, and stop filtering."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)
        self.tell_left_out(all_of_them=True)
