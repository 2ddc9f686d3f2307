"""Keeps secrets out of logs, whoever writes them: libraries log URLs too."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["ConcealingFilter"]


class ConcealingFilter(logging.Filter):
    """Hides secrets in a record's message and traceback; for the handlers of the root logger.

    Args:
        conceal: Returns a text without secrets.
    """

    def __init__(self, conceal: Callable[[str], str]) -> None:
        super().__init__()
        self._conceal = conceal
        self._format = logging.Formatter().formatException

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place where it holds a secret; it is always let through."""
        message = record.getMessage()
        concealed = self._conceal(message)
        if concealed != message:
            record.msg, record.args = concealed, ()
        if record.exc_info:
            # The formatter takes this text where it is set, and makes its own otherwise.
            record.exc_text = self._conceal(record.exc_text or self._format(record.exc_info))
        return True

    def attach(self) -> None:
        """Stand before every handler of the root logger."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)

    def detach(self) -> None:
        """Let go of them."""
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self)
