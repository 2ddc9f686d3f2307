"""The handler of one plugin for one topic: conversion, execution, statistics, errors."""

from __future__ import annotations

import asyncio
import functools
import time
import types
import typing
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Final, Protocol

import msgspec

from qtforge_host.bus.frames import Call
from qtforge_host.bus.message_errors import message_errors
from qtforge_host.bus.processes import ProcessWorkers, WorkerDiedError, WorkerFailedError
from qtforge_host.bus.statistics import Counters
from qtforge_host.bus.threads import QueueFull, WorkerThreads
from qtforge_host.cancellation import (
    LET_CANCELLATION_OUT,
    CoroutineLeft,
    DeadlineExceeded,
    left_because,
    report_late,
    rest_of,
    run_before,
)
from qtforge_host.loop_watch import LoopWatch
from qtforge_host.plugin_code import (
    Author,
    clean_text,
    description_of,
    discard_awaitable,
    is_interruption,
    place_of,
    place_of_function,
)
from qtforge_host.trace_context import carrier
from qtforge_sdk import HandlerInfo, OperationContext
from qtforge_sdk.conversion import convert, is_untyped, to_plain
from qtforge_sdk.errors import (
    BusError,
    HandlerFailedError,
    InvalidMessageError,
    OperationError,
    OverloadedError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import OperationSpec, ProgressListener, Signature
from qtforge_sdk.runs import AmendingAnswer
from qtforge_sdk.transport import Envelope

__all__ = ["Handler", "Predicate", "failed"]

_AWAITABLES: Final = frozenset({CoroutineType, asyncio.Future, asyncio.Task})


class Predicate(Protocol):
    """A compiled condition over a message."""

    source: str

    @property
    def is_cheap(self) -> bool:
        """Whether `holds` is quick for every message."""

    def holds(self, names: dict[str, Any]) -> bool:
        """Return whether it holds.

        Raises:
            ExpressionError: It cannot be evaluated, or only by `decide`.
        """

    async def decide(self, names: dict[str, Any]) -> bool:
        """Return whether it holds, and evaluate it in another process where that takes long.

        Raises:
            ExpressionError: It cannot be evaluated.
        """


class Handler:
    """A compiled handler.

    Args:
        plugin: The plugin's name.
        version: The plugin's version.
        method: The bound method.
        spec: Arguments of the `qtforge_sdk.operation` decorator.
        signature: The types of the method.
        accepts: The compiled condition, or None.
        rank: 0 for ``tryfirst``, 2 for ``trylast``, otherwise 1.
        threads: Run a ``def`` method.
        processes: Run an ``execution="process"`` method; None runs it like any other.
        mask: Removes secrets from an error's text.
        watch: Knows when the event loop was blocked; None where it is not watched.
    """

    def __init__(
        self,
        plugin: str,
        version: str,
        method: Callable[..., Any],
        spec: OperationSpec,
        signature: Signature,
        accepts: Predicate | None,
        rank: int,
        threads: WorkerThreads,
        processes: ProcessWorkers | None,
        mask: Callable[[str], str] = str,
        watch: LoopWatch | None = None,
    ) -> None:
        self.plugin: Final = plugin
        self.version: Final = version
        self.identity: Final = Author(plugin, version)
        self.node: Final = ""
        self.is_healthy: Final = True
        self.breaker_name: Final = plugin
        self.topic: Final = spec.topic
        self.accepts: Final = accepts
        self.rank: Final = rank
        self.wrapper: Final = spec.wrapper
        self._is_process: Final = spec.execution == "process"
        self.counters: Final = Counters(spec.topic, plugin)
        self.method: Final = method
        self.signature: Final = signature
        self._threads: Final = threads
        self._processes: Final = processes
        self._secrets: Final = spec.secrets
        self._mask: Final = mask
        self._watch: Final = watch
        self._message_type: Final = signature.message_type
        self._untyped: Final = is_untyped(signature.message_type)
        self._takes_context: Final = signature.takes_context
        self._on_loop: Final = signature.is_async and processes is None
        self._answers_all: Final = is_untyped(signature.response_type)
        self._answer_classes: Final = _classes_of(signature.response_type)
        # Almost every answer is of the one class; to compare it is quicker than to look it up.
        self._answer_class: Final = next(iter(self._answer_classes), None)

    @functools.cached_property
    def info(self) -> HandlerInfo:
        """The description in `Bus.topics`; every check of a workflow reads all of them."""
        execution = "async" if self.signature.is_async else "thread"
        return HandlerInfo(
            topic=self.topic,
            plugin=self.plugin,
            version=self.version,
            execution="process" if self._is_process else execution,
            accepts=None if self.accepts is None else self.accepts.source,
            wrapper=self.wrapper,
            message_type=_type_name(self.signature.message_type),
            response_type=_type_name(self.signature.response_type),
        )

    async def call(
        self, envelope: Envelope, message: Any, listener: ProgressListener | None = None
    ) -> Any:
        """Handle one message, and return the response.

        Raises:
            InvalidMessageError: The message does not fit; the method was not called.
            RequestTimeoutError: The deadline passed; the method was cancelled or killed.
            HandlerFailedError: The method raised.
            OverloadedError: The queue of its threads or processes is full.
        """
        envelope.served_by = self.identity
        if self._secrets is not None:
            envelope.secrets = self._secrets
        counters = self.counters
        counters.requests += 1
        counters.outstanding += 1
        started, ended = time.monotonic(), 0.0
        try:
            if not self._untyped and message.__class__ is not self._message_type:
                message = self.fit(message)
            if not self._on_loop:
                answer = await run_before(
                    envelope.deadline, self._elsewhere(envelope, message, listener)
                )
            else:
                if self._takes_context:
                    work = self.method(message, self.context(envelope, listener))
                else:
                    work = self.method(message)
                try:
                    first = work.send(None)
                except StopIteration as done:
                    answer = done.value
                else:
                    answer = await rest_of(work, first, envelope.deadline, self.report_late)
            ended = time.monotonic()
            if ended > envelope.deadline:  # it has blocked the loop, so that nothing cut it off
                raise DeadlineExceeded
            if answer.__class__ is self._answer_class or not self.is_unexpected(answer):
                return answer
            return self.checked(answer)
        except DeadlineExceeded as late:
            counters.errors += 1
            counters.timeouts += 1
            raise self.late(envelope, started, is_left=late.is_left) from None
        except (InvalidMessageError, OverloadedError):
            counters.errors += 1
            raise
        except BaseException as error:
            if is_interruption(error):
                if isinstance(error, CoroutineLeft) and not error.why:
                    error.why = self._left_because()
                raise
            counters.errors += 1
            raise self.failure(error) from error
        finally:
            counters.outstanding -= 1
            counters.ended((ended or time.monotonic()) - started)

    def fit(self, message: Any) -> Any:
        """Convert a message to the type that the method takes.

        Raises:
            InvalidMessageError: It does not fit.
        """
        try:
            return convert(message, self._message_type)
        except msgspec.ValidationError as error:
            takes = f"{self.plugin} {self.version} takes {_type_name(self._message_type)}"
            why = message_errors(message, self._message_type, error)
            raise InvalidMessageError(self.topic, f"{takes}: {why}") from error

    def context(self, envelope: Envelope, listener: ProgressListener | None) -> OperationContext:
        """Return the context of a call."""
        return OperationContext(
            self.topic,
            self.plugin,
            run_id=envelope.run_id,
            step=envelope.step,
            attempt=envelope.attempt,
            deadline=envelope.deadline,
            idempotency_key=envelope.idempotency_key,
            listener=listener,
        )

    def is_unexpected(self, answer: Any) -> bool:
        """Return whether an answer has to be looked at by `checked`."""
        kind = answer.__class__
        return kind not in self._answer_classes and (not self._answers_all or kind in _AWAITABLES)

    def checked(self, answer: Any) -> Any:
        """Return an answer as the type that the method is annotated with.

        Raises:
            OperationError: ``plugin.invalid_answer`` or ``plugin.missing_await``.
        """
        if isinstance(answer, AmendingAnswer):
            inner = answer.answer
            if inner.__class__ in self._answer_classes:
                return answer
            return msgspec.structs.replace(answer, answer=self.checked(inner))
        if discard_awaitable(answer):
            what = f"its answer to '{self.topic}' is a {type(answer).__name__}: missing await"
            fix = f"await it in {place_of_function(self.method)}"
            raise _InvalidAnswerError("plugin.missing_await", what, "", fix)
        try:
            return convert(answer, self.signature.response_type)
        except msgspec.ValidationError as error:
            origin = typing.get_origin(self.signature.response_type)
            if isinstance(error.__cause__, TypeError) and not isinstance(origin, type):
                return answer  # an annotation that can't be checked, such as a type variable
            expected = _type_name(self.signature.response_type)
            what = f"its answer to '{self.topic}' is not of the type {expected}"
            fix = f"correct the answer, or the annotation, in {place_of_function(self.method)}"
            raise _InvalidAnswerError("plugin.invalid_answer", what, str(error), fix) from error

    def report_late(self, call: object) -> None:
        """Log that a call has not ended within the time for its clean-up.

        Args:
            call: Its coroutine.
        """
        report_late(call, self.identity, self.topic)

    def _left_because(self) -> str:
        return left_because(self.identity, self.topic, place_of_function(self.method))

    def late(
        self, envelope: Envelope, started: float, *, is_left: bool = False
    ) -> RequestTimeoutError:
        """Return the error for a call that exceeded its deadline.

        Args:
            envelope: The request.
            started: When the call began, on `time.monotonic`'s scale.
            is_left: Whether it swallowed each cancellation, and was left.
        """
        if is_left:
            late = RequestTimeoutError(
                self.topic, envelope.timeout_s, self.plugin, self.version, self._left_because()
            )
            late.fix = LET_CANCELLATION_OUT
            return late
        why, blocked_s = "", 0.0
        if self._watch is not None:
            why, blocked_s = self._watch.reason_for_delay(started, self.identity)
        return RequestTimeoutError(
            self.topic, envelope.timeout_s, self.plugin, self.version, why,
            excused=blocked_s > 0 and blocked_s >= envelope.timeout_s / 2,
        )  # fmt: skip

    def failure(self, error: BaseException) -> HandlerFailedError:
        """Return the error for an exception of the method."""
        if isinstance(error, _InvalidAnswerError):
            place = place_of_function(self.method)
        elif isinstance(error, WorkerFailedError):
            place = error.place
        elif isinstance(error, QtForgeError):
            place = ""
        else:
            place = place_of(error, self.method)
        return failed(self.topic, self.plugin, self.version, error, self._mask, place)

    def _elsewhere(
        self, envelope: Envelope, message: Any, listener: ProgressListener | None
    ) -> Coroutine[Any, Any, Any]:
        if self._processes is not None:
            return self._in_process(self._processes, envelope, message, listener)
        return self._in_thread(envelope, message, listener)

    async def _in_thread(
        self, envelope: Envelope, message: Any, listener: ProgressListener | None
    ) -> Any:
        arguments = (
            (message, self.context(envelope, listener)) if self._takes_context else (message,)
        )
        try:
            return await self._threads.run(lambda: self.method(*arguments))
        except QueueFull:
            raise self._overloaded(self._threads.capacity) from None

    async def _in_process(
        self,
        workers: ProcessWorkers,
        envelope: Envelope,
        message: Any,
        listener: ProgressListener | None,
    ) -> Any:
        call = Call(
            method=self.method.__name__,
            message=to_plain(message),
            topic=self.topic,
            plugin=self.plugin,
            run_id=envelope.run_id,
            step=envelope.step,
            attempt=envelope.attempt,
            remaining_s=max(0.0, envelope.deadline - time.monotonic()),
            idempotency_key=envelope.idempotency_key,
            trace=carrier(),
        )
        try:
            return await workers.run(call, listener)
        except QueueFull:
            raise self._overloaded(workers.capacity) from None

    def _overloaded(self, capacity: int) -> OverloadedError:
        return OverloadedError(self.topic, self.plugin, self.version, capacity)


class _InvalidAnswerError(OperationError):
    """A method answered, but with something that is not of its type."""


def failed(
    topic: str,
    plugin: str,
    version: str,
    error: BaseException,
    mask: Callable[[str], str] = str,
    place: str = "",
) -> HandlerFailedError:
    """Return the error that names the plugin whose handler raised, without secrets.

    Args:
        topic: The topic that was requested.
        plugin: The plugin.
        version: Its version.
        error: What its handler raised.
        mask: Removes secrets from a text.
        place: ``file:line`` of the plugin's code, or "".
    """
    said = description_of(error)
    code, why, fix = said.code, said.text, said.fix
    if isinstance(error, HandlerFailedError):
        # It called another plugin, which failed: that one's code and fix are useful.
        code, why = clean_text(error.cause_code), clean_text(error)
    elif isinstance(error, BusError):
        code = ""
    elif isinstance(error, WorkerDiedError | WorkerFailedError):
        why = clean_text(error)
    if not isinstance(error, QtForgeError):
        fix = f"it is a fault of {plugin} {version}: report what --debug shows to its author"
    failure = HandlerFailedError(
        topic,
        plugin,
        version,
        mask(why),
        code,
        mask(fix),
        retryable=said.retryable,
        retry_after_s=said.retry_after_s,
        place=place,
    )
    if isinstance(error, WorkerFailedError):
        failure.traceback = mask(error.worker_traceback)
    return failure


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _classes_of(annotation: Any) -> frozenset[type]:
    """Return the classes whose instances need no conversion to an annotation."""
    if annotation is None:
        return frozenset({type(None)})
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return frozenset().union(*map(_classes_of, arguments))
    if isinstance(origin, type) and all(each is Any or each is str for each in arguments):
        if issubclass(dict, origin) and arguments[-1:] == (Any,):
            return frozenset({dict})
        if issubclass(list, origin) and arguments == (Any,):
            return frozenset({list})
        return frozenset()
    if origin is not None or not isinstance(annotation, type):
        return frozenset()
    return frozenset({annotation})
