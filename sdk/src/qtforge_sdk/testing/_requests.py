"""One request: through the wrappers to the handler, with types checked both ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from qtforge_sdk.conversion import convert
from qtforge_sdk.errors import (
    BusError,
    ExpressionError,
    HandlerFailedError,
    InvalidMessageError,
    NoHandlerError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import OperationContext, Proceed
from qtforge_sdk.testing._calls import DeadlineError, call, within
from qtforge_sdk.testing._handlers import Handler

__all__ = ["Request", "answer"]


@dataclass(slots=True)
class Request:
    """What a caller asks, on its way.

    Attributes:
        topic: What.
        message: With what.
        timeout_s: For how long, in seconds.
        response_type: What the answer is converted to, or None for as it is.
        plugin: Ask only this plugin's handlers, or None.
        deadline: When the time is over, on `time.monotonic`'s scale, in seconds.
        handler: Who was chosen to answer; None until then.
    """

    topic: str
    message: Any
    timeout_s: float
    response_type: Any
    plugin: str | None
    deadline: float
    handler: Handler | None = None


async def answer(request: Request, route: Sequence[Handler]) -> Any:
    """Return the answer of the first handler that accepts.

    Args:
        request: What is asked; its ``handler`` is set once it is chosen.
        route: Wrappers, outermost first, then handlers, in the order in which they are asked.

    Raises:
        NoHandlerError: There is none, or none accepts the message.
        InvalidMessageError: The message or the answer does not fit.
        RequestTimeoutError: The time was over.
        HandlerFailedError: The handler or a wrapper raised.
    """
    handlers = [each for each in route if not each.spec.wrapper]
    wrappers = [each for each in route if each.spec.wrapper]
    if not handlers:  # wrappers alone answer nothing
        raise NoHandlerError(
            request.topic, "no plugin of the test has an operation for it", "host.add(...) one"
        )
    proceed = _innermost(request, handlers)
    for wrapper in reversed(wrappers):
        proceed = _around(request, wrapper, proceed)
    try:
        response = await within(proceed(request.message), request.timeout_s)
    except DeadlineError:
        handler = request.handler
        who = ("", "") if handler is None else (handler.plugin, handler.version)
        if handler is not None:
            handler.counters.timeouts += 1
        raise RequestTimeoutError(request.topic, request.timeout_s, *who) from None
    if request.response_type is None:
        return response
    return _fit(response, request.response_type, request.topic, "response")


def _innermost(request: Request, handlers: Sequence[Handler]) -> Proceed:
    async def ask(message: Any) -> Any:
        handler = request.handler = choose(request, handlers, message)
        signature = handler.signature
        arguments: list[object] = [_fit(message, signature.message_type, request.topic, "message")]
        if signature.takes_context:
            arguments.append(
                OperationContext(request.topic, handler.plugin, deadline=request.deadline)
            )
        response = await _counted(request.topic, handler, *arguments)
        return _fit(response, signature.response_type, request.topic, "response")

    return ask


def _around(request: Request, wrapper: Handler, proceed: Proceed) -> Proceed:
    async def wrapped(message: Any) -> Any:
        context = OperationContext(request.topic, wrapper.plugin, deadline=request.deadline)
        fitting = _fit(message, wrapper.signature.message_type, request.topic, "message")
        return await _counted(request.topic, wrapper, fitting, context, proceed)

    return wrapped


def choose(request: Request, handlers: Sequence[Handler], message: object) -> Handler:
    """Return the first handler, of the plugin that is asked for, that accepts the message.

    Raises:
        NoHandlerError: There is none; the reason of each is told.
        InvalidMessageError: A condition is there, and the message has no plain form.
    """
    refusals: list[str] = []
    for handler in handlers:
        if request.plugin is not None and handler.plugin != request.plugin:
            continue
        if handler.condition is None:
            return handler
        try:
            if handler.condition.holds(message=message):
                return handler
            refusals.append(f"{handler.plugin} accepts {handler.condition.source}")
        except ExpressionError as error:
            refusals.append(f"{handler.plugin} can't tell whether it accepts: {error.why}")
        except TypeError as error:
            raise InvalidMessageError(request.topic, f"it has no plain form: {error}") from error
    if refusals:
        raise NoHandlerError(request.topic, "none accepts this message: " + "; ".join(refusals))
    raise NoHandlerError(request.topic, f"'{request.plugin}' has no operation for it")


async def _counted(topic: str, handler: Handler, *arguments: object) -> Any:
    counters = handler.counters
    counters.requests += 1
    counters.outstanding += 1
    started = time.perf_counter()
    try:
        return await call(handler.method, handler.signature.is_async, *arguments)
    except asyncio.CancelledError:
        counters.errors += 1
        raise
    except (Exception, SystemExit) as error:
        counters.errors += 1
        if handler.spec.wrapper and isinstance(error, BusError):
            raise  # what it stands around failed, and is already named
        raise _failure(topic, handler, error) from error
    finally:
        counters.outstanding -= 1
        counters.durations_s.append(time.perf_counter() - started)


def _failure(topic: str, handler: Handler, error: BaseException) -> HandlerFailedError:
    if not isinstance(error, QtForgeError):
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return HandlerFailedError(topic, handler.plugin, handler.version, why)
    why = f"{error.what}: {error.why}" if error.why else error.what
    return HandlerFailedError(
        topic,
        handler.plugin,
        handler.version,
        why,
        error.code,
        error.fix,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
    )


def _fit(value: Any, target: Any, topic: str, role: str) -> Any:
    try:
        return convert(value, target)
    except msgspec.ValidationError as error:
        raise InvalidMessageError(topic, str(error), role) from error
