"""Functions that want to hear of something; none of them harms another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Callbacks"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.policies")


class Callbacks(Generic[T]):
    """Who is told, in the order in which they asked to be.

    Args:
        source: What they listen to, for the log.
    """

    def __init__(self, source: str) -> None:
        self._source: Final = source
        self._callbacks: Final[list[Callable[[T], None]]] = []

    def __bool__(self) -> bool:
        """Whether anybody would be told."""
        return bool(self._callbacks)

    def add(self, callback: Callable[[T], None]) -> Callable[[], None]:
        """Tell a function from now on; what is returned ends that, also when called twice."""
        self._callbacks.append(callback)

        def dispose() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return dispose

    def tell(self, value: T) -> None:
        """Tell everybody; what one raises is logged."""
        for callback in [*self._callbacks]:
            try:
                callback(value)
            except Exception:  # noqa: BLE001 - an observer harms nobody
                _LOG.exception("a callback of the %s failed at %s", self._source, value)
