"""The decorators `operation` and `subscriber`, and the context of a call."""

from __future__ import annotations

import inspect
import logging
import re
import time
import typing
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from qtforge_sdk.errors import PluginError
from qtforge_sdk.topics import validate_pattern, validate_topic

__all__ = [
    "AnswerSecrets",
    "Execution",
    "OperationContext",
    "OperationSpec",
    "Proceed",
    "ProgressListener",
    "Signature",
    "SubscriberSpec",
    "handler_signature",
    "operation",
    "operation_spec",
    "subscriber",
    "subscriber_spec",
]

Execution = Literal["auto", "process"]
F = TypeVar("F", bound=Callable[..., Any])

_FIELD: Final = re.compile(r"[^\s.~${}]+(\.[^\s.~${}]+)*")
_HOOK_MARK: Final = "qtforge_impl"  # where pluggy looks, for the project name "qtforge"
_OPERATION_MARK: Final = "__qtforge_operation__"
_SUBSCRIBER_MARK: Final = "__qtforge_subscriber__"
PUBLISH_PREFIX: Final = "publish:"


class AnswerSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """How the answers of an operation are stored where they contain secrets.

    Attributes:
        fields: The paths of the fields that are secret; words joined by dots.
        keep: Whether known secrets stay in the answer.
    """

    fields: tuple[str, ...] = ()
    keep: bool = False


class OperationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of the `operation` decorator.

    Attributes:
        topic: The topic that the method handles.
        accepts: A CEL condition over ``message``, or None for every message.
        execution: ``auto`` (the loop or a thread) or ``process``.
        wrapper: Whether the method wraps the topic's handlers.
        secrets: How its answers are stored where they contain secrets; None for the default.
        example: A message with which ``plugins check`` tries the method; None for none.
    """

    topic: str
    accepts: str | None
    execution: Execution
    wrapper: bool
    secrets: AnswerSecrets | None = None
    example: Any = None


class SubscriberSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of the `subscriber` decorator.

    Attributes:
        pattern: The pattern of topics.
        where: A CEL condition over ``message`` and ``topic``, or None.
        capacity: The number of messages that its mailbox holds.
    """

    pattern: str
    where: str | None
    capacity: int


class ProgressListener(Protocol):
    """Receives the progress of an operation; see `OperationContext.progress`."""

    def __call__(self, done: float, total: float | None, text: str) -> None: ...


Proceed = Callable[[Any], Awaitable[Any]]
"""Calls the handlers that a wrapper wraps, with a message, and returns their response."""


class OperationContext:
    """The context of a call of a handler.

    Attributes:
        topic: The requested topic.
        run_id: The run that sent the request; None outside a run.
        step: The run's step, or None.
        attempt: The number of the attempt, from 1.
        deadline: When the response is due, in seconds as `time.monotonic` counts; None for no
            deadline.
        idempotency_key: ``<run_id>/<step>``, the same for every attempt; None outside a run.
        plugin: The plugin that handles the request.
    """

    __slots__ = (
        "_listener", "attempt", "deadline", "idempotency_key", "plugin", "run_id", "step", "topic",
    )  # fmt: skip

    def __init__(
        self,
        topic: str,
        plugin: str = "",
        *,
        run_id: str | None = None,
        step: str | None = None,
        attempt: int = 1,
        deadline: float | None = None,
        idempotency_key: str | None = None,
        listener: ProgressListener | None = None,
    ) -> None:
        self.topic = topic
        self.plugin = plugin
        self.run_id = run_id
        self.step = step
        self.attempt = attempt
        self.deadline = deadline
        self.idempotency_key = idempotency_key
        self._listener = listener

    @property
    def logger(self) -> logging.Logger:
        """The plugin's logger."""
        return logging.getLogger(f"qtforge.plugin.{self.plugin}")

    def remaining_s(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None when there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Report progress to the caller, such as the command line; cheap where none listens.

        Args:
            done: The amount done, in any unit.
            total: The whole amount, or None where it is not known.
            text: What is done at the moment, such as ``page 3``.
        """
        if self._listener is not None:
            self._listener(done, total, text)


def operation(
    topic: str,
    *,
    accepts: str | None = None,
    execution: Execution = "auto",
    tryfirst: bool = False,
    trylast: bool = False,
    wrapper: bool = False,
    secret_fields: Sequence[str] = (),
    keep_secrets: bool = False,
    example: Any = None,
) -> Callable[[F], F]:
    """Make a method the handler of requests on a topic.

    An ``async def`` method is called on the event loop, a ``def`` method in a worker thread, and
    with ``execution="process"`` in a worker process, which is ended when the request's time is
    over. The method takes the message and, as an optional second parameter, an
    `OperationContext`. A wrapper is ``async``, and takes the message, the context and `Proceed`.

    Args:
        topic: Words joined by dots, such as ``document.parse``.
        accepts: A CEL condition over ``message``; the method is called only where it holds.
        execution: ``auto`` for the event loop or a thread, ``process`` for a worker process.
        tryfirst: Dispatch to it before the other handlers of the topic.
        trylast: Dispatch to it after the other handlers of the topic.
        wrapper: Wrap the handlers of the topic, to change messages, responses or errors.
        secret_fields: Paths of the answer, such as ``token`` or ``auth.password``, whose values
            a run keeps apart: its results have a reference there, and the messages of later
            steps the value. In a list, a path applies to each item.
        keep_secrets: Store the answer in a run with the known secrets that it contains, such as
            a revealed ``${secret.NAME}``, instead of references in their places.
        example: A message that the method can always answer, without an effect that remains;
            ``qtforge-host plugins check`` asks once with it. None for a method that is not tried.

    Returns:
        A decorator, which returns the method itself.

    Raises:
        InvalidTopicError: The topic is not well formed.
        TypeError: The topic is not a text, as with ``@operation`` without parentheses.
        ValueError: The options can't be combined.
    """
    _refuse_no_text(topic, "operation", "document.parse")
    if execution not in typing.get_args(Execution):
        raise ValueError(f"execution is 'auto' or 'process', not {execution!r}")
    if wrapper and (accepts is not None or execution == "process"):
        raise ValueError("a wrapper runs on the loop, for every message of its topic")
    if isinstance(secret_fields, str) or not all(map(_FIELD.fullmatch, secret_fields)):
        raise ValueError(f"secret_fields are paths such as 'auth.password', not {secret_fields!r}")
    if wrapper and (secret_fields or keep_secrets):
        raise ValueError("secret_fields and keep_secrets are options of the wrapped operation")
    secrets = None
    if secret_fields or keep_secrets:
        secrets = AnswerSecrets(fields=tuple(secret_fields), keep=keep_secrets)
    spec = OperationSpec(
        topic=validate_topic(topic),
        accepts=accepts,
        execution=execution,
        wrapper=wrapper,
        secrets=secrets,
        example=example,
    )

    def mark(function: F) -> F:
        if wrapper and not inspect.iscoroutinefunction(function):
            raise ValueError(f"the wrapper {function.__qualname__} must be async")
        options = {
            "specname": spec.topic, "tryfirst": tryfirst, "trylast": trylast, "wrapper": wrapper,
            "hookwrapper": False, "optionalhook": False,
        }  # fmt: skip
        setattr(function, _HOOK_MARK, options)
        setattr(function, _OPERATION_MARK, spec)
        return function

    return mark


def subscriber(pattern: str, *, where: str | None = None, capacity: int = 1024) -> Callable[[F], F]:
    """Make a method a subscriber; it is called with one message at a time, in order.

    Args:
        pattern: A topic, in which ``*`` stands for one word and ``>`` for the rest.
        where: A CEL condition over ``message`` and ``topic``; None for every message.
        capacity: The number of messages that its mailbox holds, at least 1; further messages are
            dropped and counted.

    Returns:
        A decorator, which returns the method itself.

    Raises:
        InvalidTopicError: The pattern is not well formed.
        TypeError: The pattern is not a text, as with ``@subscriber`` without parentheses.
        ValueError: The capacity is below 1.
    """
    _refuse_no_text(pattern, "subscriber", "document.*")
    if capacity < 1:
        raise ValueError(f"capacity is at least 1, not {capacity}")
    spec = SubscriberSpec(pattern=validate_pattern(pattern), where=where, capacity=capacity)

    def mark(function: F) -> F:
        options = {
            "specname": PUBLISH_PREFIX + pattern, "tryfirst": False, "trylast": False,
            "wrapper": False, "hookwrapper": False, "optionalhook": False,
        }  # fmt: skip
        setattr(function, _HOOK_MARK, options)
        setattr(function, _SUBSCRIBER_MARK, spec)
        return function

    return mark


def operation_spec(function: object) -> OperationSpec | None:
    """Return the arguments of a method's `operation` decorator, or None where it has none."""
    spec = getattr(function, _OPERATION_MARK, None)
    return spec if isinstance(spec, OperationSpec) else None


def subscriber_spec(function: object) -> SubscriberSpec | None:
    """Return the arguments of a method's `subscriber` decorator, or None where it has none."""
    spec = getattr(function, _SUBSCRIBER_MARK, None)
    return spec if isinstance(spec, SubscriberSpec) else None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """The signature of a handler.

    Attributes:
        message_type: The annotation of its message; `Any` where it has none.
        response_type: Its return annotation; `Any` where it has none.
        takes_context: Whether it takes an `OperationContext`.
        is_async: Whether it is a coroutine function.
    """

    message_type: Any
    response_type: Any
    takes_context: bool
    is_async: bool


def handler_signature(method: Callable[..., Any], plugin: str, *, extra: int = 1) -> Signature:
    """Return the signature of a handler.

    Args:
        method: A bound method, or a function.
        plugin: The plugin's name, for the error.
        extra: The number of parameters that it may have besides the message.

    Raises:
        PluginError: ``plugin.invalid_handler``: it takes no message or too many arguments,
            or an annotation can't be resolved.
    """
    name = getattr(method, "__qualname__", repr(method))
    try:
        parameters = [
            parameter
            for parameter in inspect.signature(method).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        hints = typing.get_type_hints(method, include_extras=True)
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise PluginError(
            plugin, "plugin.invalid_handler", f"{name}: its annotations can't be resolved: {error}",
            "import the types that it names at run time, not under TYPE_CHECKING",
        ) from error  # fmt: skip
    required = sum(parameter.default is parameter.empty for parameter in parameters)
    if not parameters or required > 1 + extra:
        raise PluginError(
            plugin, "plugin.invalid_handler",
            f"{name} takes {required} arguments; a handler takes a message"
            f" and at most {extra} more",
            "see the signature in the documentation of qtforge_sdk.operation",
        )  # fmt: skip
    response = hints.get("return", Any)
    return Signature(
        message_type=hints.get(parameters[0].name, Any),
        response_type=Any if response is type(None) else response,
        takes_context=len(parameters) > 1,
        is_async=inspect.iscoroutinefunction(method),
    )


def _refuse_no_text(given: object, decorator: str, example: str) -> None:
    if not isinstance(given, str):
        name = getattr(given, "__qualname__", repr(given))
        raise TypeError(f"write @{decorator}({example!r}) above {name}: a topic is a text")
