"""The handler of one plugin for one topic: conversion, execution, statistics, errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

from qtforge_host.bus.frames import Call
from qtforge_host.bus.processes import ProcessWorkers, WorkerDiedError, WorkerFailedError
from qtforge_host.bus.statistics import Counters
from qtforge_host.bus.threads import QueueFull, WorkerThreads
from qtforge_host.bus.transport import Envelope
from qtforge_host.cancellation import DeadlineExceeded, rest_of, run_before
from qtforge_sdk import HandlerInfo, OperationContext
from qtforge_sdk.conversion import convert, is_untyped, to_plain
from qtforge_sdk.errors import (
    BusError,
    HandlerFailedError,
    InvalidMessageError,
    OverloadedError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import OperationSpec, ProgressListener, Signature

__all__ = ["Handler", "Predicate", "describe", "failed"]


class Predicate(Protocol):
    """A compiled condition over a message."""

    source: str

    def holds(self, names: dict[str, Any]) -> bool:
        """Return whether it holds.

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
    ) -> None:
        self.plugin: Final = plugin
        self.version: Final = version
        self.identity: Final = (plugin, version)
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
        self._mask: Final = mask
        self._message_type: Final = signature.message_type
        self._untyped: Final = is_untyped(signature.message_type)
        self._takes_context: Final = signature.takes_context
        self._on_loop: Final = signature.is_async and processes is None

    @property
    def info(self) -> HandlerInfo:
        """The description in `Bus.topics`."""
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
        counters = self.counters
        counters.requests += 1
        counters.outstanding += 1
        started = time.monotonic()
        try:
            if not self._untyped and message.__class__ is not self._message_type:
                message = self.fit(message)
            if not self._on_loop:
                return await run_before(
                    envelope.deadline, self._elsewhere(envelope, message, listener)
                )
            if self._takes_context:
                work = self.method(message, self.context(envelope, listener))
            else:
                work = self.method(message)
            try:
                first = work.send(None)
            except StopIteration as done:
                return done.value
            return await rest_of(work, first, envelope.deadline)
        except DeadlineExceeded:
            counters.errors += 1
            counters.timeouts += 1
            raise RequestTimeoutError(
                self.topic, envelope.timeout_s, self.plugin, self.version
            ) from None
        except (InvalidMessageError, OverloadedError):
            counters.errors += 1
            raise
        except (Exception, SystemExit) as error:
            counters.errors += 1
            raise self.failure(error) from error
        finally:
            counters.outstanding -= 1
            counters.ended(time.monotonic() - started)

    def fit(self, message: Any) -> Any:
        """Convert a message to the type that the method takes.

        Raises:
            InvalidMessageError: It does not fit.
        """
        try:
            return convert(message, self._message_type)
        except msgspec.ValidationError as error:
            why = f"{self.plugin} {self.version} takes {_type_name(self._message_type)}: {error}"
            raise InvalidMessageError(self.topic, why) from error

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

    def failure(self, error: BaseException) -> HandlerFailedError:
        """Return the error for an exception of the method."""
        return failed(self.topic, self.plugin, self.version, error, self._mask)

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
        )
        try:
            result = await workers.run(call, listener)
        except QueueFull:
            raise self._overloaded(workers.capacity) from None
        return convert(result, self.signature.response_type)

    def _overloaded(self, capacity: int) -> OverloadedError:
        return OverloadedError(self.topic, self.plugin, self.version, capacity)


def failed(
    topic: str,
    plugin: str,
    version: str,
    error: BaseException,
    mask: Callable[[str], str] = str,
) -> HandlerFailedError:
    """Return the error that names the plugin whose handler raised, without secrets."""
    if isinstance(error, HandlerFailedError):
        # It called another plugin, which failed: that one's code and fix are useful.
        return HandlerFailedError(
            topic,
            plugin,
            version,
            mask(str(error)),
            error.cause_code,
            mask(error.fix),
            retryable=error.retryable,
            retry_after_s=error.retry_after_s,
        )
    if isinstance(error, QtForgeError):
        code = error.code if not isinstance(error, BusError) else ""
        why = f"{error.what}: {error.why}" if error.why else error.what
        return HandlerFailedError(
            topic,
            plugin,
            version,
            mask(why),
            code,
            mask(error.fix),
            retryable=error.retryable,
            retry_after_s=error.retry_after_s,
        )
    fix = f"it is a fault of {plugin} {version}: report what --debug shows to its author"
    return HandlerFailedError(topic, plugin, version, mask(describe(error)), "", fix)


def describe(error: BaseException) -> str:
    """Return an exception's type and text in one line."""
    if isinstance(error, WorkerDiedError | WorkerFailedError) or not str(error):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
