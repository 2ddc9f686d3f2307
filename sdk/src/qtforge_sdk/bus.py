"""The message bus as plugins and orchestrators see it; the host owns the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload

import msgspec

from qtforge_sdk.durations import Duration

__all__ = ["Bus", "HandlerInfo", "HandlerStatistics", "MessageHandler", "Published", "Subscription"]

T = TypeVar("T")

MessageHandler = Callable[[Any], Awaitable[None] | None]
"""What `Bus.subscribe` takes: a function of the message, sync or async."""


class Published(msgspec.Struct, frozen=True):
    """What became of one published message.

    Attributes:
        delivered: How many mailboxes took it.
        dropped: How many were full; each counts it in its statistics.
    """

    delivered: int
    dropped: int


class HandlerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One handler of a topic.

    Attributes:
        topic: The topic that it answers.
        plugin: Its plugin.
        version: That plugin's version.
        execution: ``async``, ``thread`` or ``process``.
        accepts: Its CEL condition, or None.
        wrapper: Whether it stands around the others.
        message_type: The name of the type that it takes.
        response_type: The name of the type that it gives.
    """

    topic: str
    plugin: str
    version: str
    execution: str
    accepts: str | None
    wrapper: bool
    message_type: str
    response_type: str


class HandlerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What one handler or subscriber has done since the host started.

    Attributes:
        topic: Its topic or pattern.
        plugin: Its plugin.
        requests: How many calls or deliveries began.
        errors: How many of them failed, timeouts among them.
        timeouts: How many of them were too late.
        dropped: Messages that found its mailbox full; 0 for operations.
        outstanding: How many are in progress or wait in its mailbox.
        mean_s: Mean time of those that ended, in seconds.
        p50_s: The median of the last 1,024, in seconds.
        p99_s: The 99th percentile of the last 1,024, in seconds.
    """

    topic: str
    plugin: str
    requests: int
    errors: int
    timeouts: int
    dropped: int
    outstanding: int
    mean_s: float
    p50_s: float
    p99_s: float


class Subscription(Protocol):
    """A live subscription; leaving its ``with`` block closes it."""

    @property
    def pattern(self) -> str:
        """The pattern that was subscribed to."""

    def close(self) -> None:
        """Stop deliveries at once; what waits in the mailbox is discarded."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Bus(Protocol):
    """Requests go to one handler, publications to every subscriber."""

    @overload
    async def request(
        self,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        response_type: type[T],
        plugin: str | None = None,
    ) -> T: ...

    @overload
    async def request(
        self,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        response_type: None = None,
        plugin: str | None = None,
    ) -> Any: ...

    async def request(
        self,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        response_type: Any = None,
        plugin: str | None = None,
    ) -> Any:
        """Ask the topic's first handler that accepts the message.

        Args:
            topic: What to ask.
            message: A Struct, a dataclass instance or a mapping.
            timeout: Seconds; None means the host's default, 30.
            response_type: Convert the answer to this type.
            plugin: Ask only this plugin's handlers.

        Raises:
            NoHandlerError: Nobody answers the topic, or nobody accepts this message.
            InvalidMessageError: The message or the answer does not fit.
            RequestTimeoutError: No answer in time; the handler was cancelled or ended.
            HandlerFailedError: The handler raised; it is named, and its error is the cause.
            OverloadedError: The handler's queue is full.
            BusClosedError: The host is stopping.
        """

    async def publish(self, topic: str, message: object) -> Published:
        """Give the message to every subscriber whose pattern and filter match.

        Returns once it is in their mailboxes. A slow or failing subscriber harms no other.

        Raises:
            InvalidTopicError: The topic is not well formed.
            BusClosedError: The host is stopping.
        """

    def subscribe(
        self,
        pattern: str,
        handler: MessageHandler,
        *,
        where: str | None = None,
        capacity: int = 1024,
    ) -> Subscription:
        """Hear what is published under a pattern, in order, one message at a time.

        Args:
            pattern: ``*`` is one word, ``>`` is the rest.
            handler: Called with the message; ``async`` on the loop, else in a thread.
            where: A CEL condition over ``message`` and ``topic``.
            capacity: The mailbox's bound, at least 1.

        Raises:
            InvalidTopicError: The pattern is not well formed.
            ExpressionError: ``where`` does not compile.
        """

    def topics(self) -> Mapping[str, Sequence[HandlerInfo]]:
        """Return each topic's handlers in the order in which they are asked, wrappers first."""

    def statistics(self) -> Sequence[HandlerStatistics]:
        """Return what every handler and subscriber has done, by topic, then plugin."""
