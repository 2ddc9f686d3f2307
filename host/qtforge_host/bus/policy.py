"""The policy that a route asks before it sends a request to a handler."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

__all__ = ["RequestPolicy"]


class RequestPolicy(Protocol):
    """The policy of one topic: circuit breakers, health and limits."""

    def refusal(self, plugin: str) -> Exception | None:
        """Return why a plugin must not be called now, such as an open breaker; else None."""

    def is_healthy(self, plugin: str) -> bool:
        """Return False when another plugin should be preferred to this one."""

    def before(self, plugin: str) -> Any:
        """Ask for permission to call a plugin; the returned permit is passed to `after`.

        Raises:
            PolicyError: The call must not be made.
        """

    def after(self, plugin: str, permit: Any, error: BaseException | None) -> None:
        """Report how a call ended.

        Args:
            plugin: The plugin that was called.
            permit: What `before` returned.
            error: What the call raised; None when it returned.
        """

    def turn(self, deadline: float, *, of_node: bool) -> AbstractAsyncContextManager[None]:
        """Wait for a place among the topic's concurrent requests, and hold it.

        Args:
            deadline: When to stop waiting, as `time.monotonic` counts, in seconds.
            of_node: Whether another node has sent the request.

        Raises:
            PolicyError: No place became free in time.
        """
