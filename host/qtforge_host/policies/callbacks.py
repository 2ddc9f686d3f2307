"""Callbacks that are isolated from each other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Callbacks"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.policies")


class Callbacks(Generic[T]):
    """Functions that are called with each value, in the order in which they were added.

    Args:
        source: What they observe, for the log.
    """

    def __init__(self, source: str) -> None:
        self._source: Final = source
        self._callbacks: Final[list[Callable[[T], None]]] = []

    def __bool__(self) -> bool:
        """Whether there is any callback."""
        return bool(self._callbacks)

    def add(self, callback: Callable[[T], None]) -> Callable[[], None]:
        """Add a callback; the returned function removes it, and may be called twice."""
        self._callbacks.append(callback)

        def dispose() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return dispose

    def notify(self, value: T) -> None:
        """Call every callback; what one raises is logged."""
        for callback in [*self._callbacks]:
            try:
                callback(value)
            except Exception:  # noqa: BLE001 - an observer must not fail its subject
                _LOG.exception("a callback of the %s failed at %s", self._source, value)
