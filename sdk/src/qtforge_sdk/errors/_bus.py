"""Errors of the message bus."""

from __future__ import annotations

from qtforge_sdk.errors._root import QtForgeError

__all__ = [
    "BusClosedError",
    "BusError",
    "BusUnavailableError",
    "HandlerFailedError",
    "InvalidMessageError",
    "InvalidTopicError",
    "NoHandlerError",
    "NodeGoneError",
    "NodeLostError",
    "OverloadedError",
    "RequestTimeoutError",
]


class BusError(QtForgeError):
    """A message could not be delivered, or a request got no response."""


class InvalidTopicError(BusError):
    """A topic or pattern is not well formed.

    Args:
        topic: The invalid text.
        why: The rule that it violates.
    """

    code = "bus.invalid_topic"
    http_status = 400

    def __init__(self, topic: str, why: str, /) -> None:
        super().__init__(
            f"'{topic}' is not a topic", why, "use words joined by dots, such as document.parse"
        )
        self.topic = topic


class NoHandlerError(BusError):
    """No plugin handles the topic, or none accepts this message.

    Args:
        topic: The requested topic.
        why: Which handlers did not accept the message.
        fix: How to get a handler.
    """

    code = "bus.no_handler"
    http_status = 404

    def __init__(self, topic: str, why: str = "", fix: str = "", /) -> None:
        super().__init__(f"no plugin answers '{topic}'", why, fix)
        self.topic = topic


class InvalidMessageError(BusError):
    """A message or a response does not fit the declared type.

    Args:
        topic: The topic.
        why: What does not fit, with the path of the field.
        role: ``"message"`` or ``"response"``.
    """

    code = "bus.invalid_message"
    http_status = 422

    def __init__(self, topic: str, why: str, role: str = "message", /) -> None:
        super().__init__(f"the {role} of '{topic}' does not fit", why)
        self.topic = topic
        self.role = role


class HandlerFailedError(BusError):
    """A plugin's handler raised; the exception is the ``__cause__``.

    Args:
        topic: The requested topic.
        plugin: The plugin whose handler failed.
        version: That plugin's version.
        why: The cause in words.
        cause_code: The code of the cause if it is a `QtForgeError`, else "".
        fix: The fix of the cause, or "".
        retryable: Whether another attempt may succeed, as the cause states; None if it does not.
        retry_after_s: The minimum delay before another attempt, in seconds, as the cause states;
            None if it does not.
        place: ``file:line`` in the plugin where an unexpected exception was raised, or "".

    Attributes:
        traceback: The plugin's traceback where another process or node handled the request, and
            the cause is not here; else "".
    """

    code = "bus.handler_failed"
    http_status = 502

    def __init__(
        self,
        topic: str,
        plugin: str,
        version: str,
        why: str,
        cause_code: str = "",
        fix: str = "",
        /,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        place: str = "",
    ) -> None:
        super().__init__(f"{plugin} {version} failed on '{topic}'", why, fix)
        self.place = place
        self.traceback = ""
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.topic = topic
        self.plugin = plugin
        self.version = version
        self.cause_code = cause_code


class RequestTimeoutError(BusError):
    """A handler did not respond in time; it was cancelled, or its process was ended.

    Args:
        topic: The requested topic.
        timeout_s: The timeout, in seconds.
        plugin: The plugin that handled the request, or "" if none had begun.
        version: That plugin's version.
        why: What kept it from answering, where that is known, or "".
        excused: Whether others took at least half of the time, by blocking the event loop; it
            then says nothing about the plugin.
    """

    code = "bus.timeout"
    http_status = 504

    def __init__(
        self,
        topic: str,
        timeout_s: float,
        plugin: str = "",
        version: str = "",
        why: str = "",
        /,
        *,
        excused: bool = False,
    ) -> None:
        answer = f"{plugin} {version} did not answer" if plugin else "no handler answered"
        fix = "run what blocks it in a thread or a process" if why else "give it a longer timeout"
        super().__init__(f"{answer} '{topic}' within {timeout_s:g} s", why, fix)
        self.topic = topic
        self.timeout_s = timeout_s
        self.plugin = plugin
        self.version = version
        self.excused = excused


class OverloadedError(BusError):
    """A handler's queue is full; the request was not dispatched.

    Args:
        topic: The requested topic.
        plugin: The plugin whose queue is full.
        version: That plugin's version.
        capacity: The number of calls that the queue holds.
    """

    code = "bus.overloaded"
    http_status = 503

    def __init__(self, topic: str, plugin: str, version: str, capacity: int, /) -> None:
        super().__init__(
            f"{plugin} {version} has {capacity} calls waiting on '{topic}'",
            "its queue is full",
            "send fewer at once, or try again later",
        )
        self.topic = topic
        self.plugin = plugin
        self.version = version
        self.capacity = capacity


class BusClosedError(BusError):
    """The host is stopping or has stopped."""

    code = "bus.closed"
    http_status = 503


class BusUnavailableError(BusError):
    """The bus between nodes can't be reached; nothing was sent.

    Args:
        where: Its address, without a password.
        why: What is wrong.
        fix: How to fix it.
    """

    code = "bus.unavailable"
    http_status = 503

    def __init__(self, where: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the bus {where} can't be reached", why, fix)
        self.where = where
        self.retryable = True


class NodeGoneError(BusError):
    """A node did not accept a request: it is stopped, or stops; nothing was done.

    Args:
        topic: The requested topic.
        node: The node.
        why: Why it did not accept it, or "".
    """

    code = "bus.node_gone"
    http_status = 503

    def __init__(self, topic: str, node: str, why: str = "", /) -> None:
        super().__init__(
            f"the node {node} did not accept '{topic}'", why or "it has stopped",
            "start a node with the plugin, or send the request again",
        )  # fmt: skip
        self.topic = topic
        self.node = node
        self.retryable = True


class NodeLostError(BusError):
    """A node was lost while it handled a request: whether it was done is not known.

    Args:
        topic: The requested topic.
        node: The node.
        why: How it was lost, or "".
    """

    code = "bus.node_lost"
    http_status = 502

    def __init__(self, topic: str, node: str, why: str = "", /) -> None:
        super().__init__(
            f"the node {node} was lost while it handled '{topic}'",
            f"{why or 'it gives no sign of life'}; whether it was done is not known",
            "send the request again where doing it twice does no harm",
        )
        self.topic = topic
        self.node = node
