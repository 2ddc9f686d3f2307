"""`Bus`, the message bus as plugins see it; the host implements it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar, overload

import msgspec

from qtforge_sdk.durations import Duration

__all__ = [
    "MESSAGE_ID",
    "Bus",
    "HandlerInfo",
    "HandlerStatistics",
    "MessageHandler",
    "Published",
    "Subscription",
    "message_id",
]

MESSAGE_ID: Final[ContextVar[str]] = ContextVar("qtforge_message_id", default="")
"""The id of the publication that is delivered; the host sets it."""


def message_id() -> str:
    """Return the id of the publication that the current subscriber handles.

    What a run or another process publishes is received at least once: again with the same id,
    for example after a crash. Of what a plugin publishes in this process, it is "".
    """
    return MESSAGE_ID.get()


T = TypeVar("T")

MessageHandler = Callable[[Any], Awaitable[None] | None]
"""A subscriber: a function of the message, sync or async."""


class Published(msgspec.Struct, frozen=True):
    """How many mailboxes received a published message.

    Attributes:
        delivered: The number of mailboxes that received it.
        dropped: The number of mailboxes that were full; each counts it in its statistics.
    """

    delivered: int
    dropped: int


class HandlerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A handler of a topic.

    Attributes:
        topic: The topic that it handles.
        plugin: The plugin that it belongs to.
        version: That plugin's version.
        execution: ``async``, ``thread`` or ``process``.
        accepts: Its CEL condition, or None for every message.
        wrapper: Whether it wraps the other handlers of the topic.
        message_type: The name of its message's type.
        response_type: The name of its response's type.
        node: The node that it is on; "" for this process.
    """

    topic: str
    plugin: str
    version: str
    execution: str
    accepts: str | None
    wrapper: bool
    message_type: str
    response_type: str
    node: str = ""


class HandlerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of a handler or a subscriber since the host started.

    Attributes:
        topic: The topic or the pattern.
        plugin: The plugin that it belongs to.
        requests: The number of calls or deliveries that began.
        errors: The number of them that failed, timeouts included.
        timeouts: The number of them that exceeded their timeout.
        dropped: The number of messages for which the mailbox was full; 0 for operations.
        outstanding: The number of calls in progress, or waiting in the mailbox.
        mean_s: The mean time of those that ended, in seconds.
        p50_s: The median time of the last 1,024, in seconds.
        p99_s: The 99th percentile of the last 1,024, in seconds.
        node: The node that answered the calls; "" for this process.
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
    node: str = ""


class Subscription(Protocol):
    """A subscription; leaving its ``with`` block closes it."""

    @property
    def pattern(self) -> str:
        """The subscribed pattern."""

    def close(self) -> None:
        """End deliveries at once, and discard the messages in the mailbox."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Bus(Protocol):
    """Sends a request to one handler, and a publication to every subscriber."""

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
        """Send a request to the first handler of the topic that accepts the message.

        Args:
            topic: The topic.
            message: A Struct, a dataclass instance or a mapping.
            timeout: The time for the response: seconds, a `datetime.timedelta` or text such as
                ``1m30s``. None means the host's default, 30 s.
            response_type: Convert the response to this type; type checkers then know its fields.
            plugin: Send it only to handlers of this plugin; None for any.

        Returns:
            The response: as the handler returned it, or an instance of ``response_type``.

        Raises:
            NoHandlerError: No plugin handles the topic, or none accepts this message.
            InvalidMessageError: The message or the response does not fit its type.
            RequestTimeoutError: No response in time; the handler was cancelled or its process
                ended.
            HandlerFailedError: The handler raised; the error names it, and the exception is the
                cause.
            OverloadedError: The handler's queue is full.
            NodeLostError: The node that handled it was lost; whether it was done is not known.
            NodeGoneError: No node with the plugin accepted it.
            BusUnavailableError: The bus between nodes can't be reached.
            BusClosedError: The host is stopping.
            ValueError: The timeout is not a duration.
        """

    async def publish(self, topic: str, message: object) -> Published:
        """Put a message into the mailbox of every subscriber whose pattern and filter match.

        A slow or failing subscriber does not affect others.

        Args:
            topic: The topic.
            message: A Struct, a dataclass instance or a mapping.

        Returns:
            How many mailboxes received it; their subscribers handle it later.

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
        """Subscribe to a pattern; messages are delivered in order, one at a time.

        Args:
            pattern: A topic, in which ``*`` stands for one word and ``>`` for the rest.
            handler: Called with each message; on the event loop if ``async``, else in a thread.
            where: A CEL condition over ``message`` and ``topic``; None for every message.
            capacity: The number of messages that the mailbox holds, at least 1; further messages
                are dropped and counted.

        Returns:
            The subscription; close it when it is no longer needed.

        Raises:
            InvalidTopicError: The pattern is not well formed.
            ExpressionError: ``where`` does not compile.
        """

    def topics(self) -> Mapping[str, Sequence[HandlerInfo]]:
        """Return the handlers of each topic in the order of dispatch, wrappers first."""

    def statistics(self) -> Sequence[HandlerStatistics]:
        """Return the statistics of every handler and subscriber, by topic, then plugin."""
