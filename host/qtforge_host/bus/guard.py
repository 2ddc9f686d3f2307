"""The seam for policies: who may be asked now, and what became of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

__all__ = ["Guard"]


class Guard(Protocol):
    """Stands before one topic's handlers."""

    def refusal(self, plugin: str) -> Exception | None:
        """Return why a plugin must not be asked now, such as an open breaker; else None."""

    def is_healthy(self, plugin: str) -> bool:
        """Tell whether a plugin should be asked while another could be."""

    def before(self, plugin: str) -> Any:
        """Ask for leave to make a call; what it returns goes to `after`.

        Raises:
            PolicyError: The call must not be made.
        """

    def after(self, plugin: str, permit: Any, error: BaseException | None) -> None:
        """Tell how a call ended."""

    def turn(self, deadline: float) -> AbstractAsyncContextManager[None]:
        """Wait for a turn on the topic, until a time on `time.monotonic`'s scale.

        Raises:
            PolicyError: There was none in time.
        """
