"""Mailboxes: the bounded queue of each subscriber, delivered in order."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from qtforge_host.bus.handler import Predicate
from qtforge_host.bus.message_errors import message_errors
from qtforge_host.bus.statistics import Counters
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.cancellation import DeadlineExceeded, report_late, rest_of
from qtforge_host.code_marks import UNMARKED, AnyMark, Mark
from qtforge_host.event_loop import end_tasks
from qtforge_host.plugin_code import (
    Author,
    discard_awaitable,
    explain,
    is_interruption,
    place_of_function,
)
from qtforge_sdk import HandlerStatistics
from qtforge_sdk.bus import MESSAGE_ID
from qtforge_sdk.conversion import convert, is_untyped, to_plain
from qtforge_sdk.errors import ExpressionError, InvalidMessageError

__all__ = ["DeliveryObserver", "Mailbox"]

_LOG = logging.getLogger("qtforge.bus")
_TURN = 64  # deliveries before other tasks can run
_TIMEOUT_S = 30.0  # for one delivery


class DeliveryObserver(Protocol):
    """Called after each delivery; must be quick and must not raise."""

    def __call__(
        self, mailbox: Mailbox, topic: str, message: Any, error: BaseException | None, /
    ) -> None:
        """Receive a delivered message, and what the subscriber raised, or None."""


class _Identified(NamedTuple):
    """What waits in a mailbox, with the id of the publication."""

    message_id: str
    waiting: Any


class Mailbox:
    """A live subscription.

    Args:
        pattern: The pattern of its topics.
        handler: Called with each message.
        plugin: The subscribing plugin; "" for the host itself.
        version: That plugin's version.
        message_type: The type that the handler takes.
        where: The compiled filter, or None.
        capacity: The most waiting messages.
        threads: Run a ``def`` handler.
        on_close: Called once, when it closes.
        on_delivery: Called after each delivery, or None.
        with_topic: Whether the handler receives (topic, message).
        mark: Marks that the handler is called.
    """

    def __init__(
        self,
        pattern: str,
        handler: Callable[[Any], Any],
        *,
        plugin: str,
        version: str,
        message_type: Any,
        where: Predicate | None,
        capacity: int,
        threads: WorkerThreads,
        on_close: Callable[[Mailbox], None],
        on_delivery: DeliveryObserver | None = None,
        with_topic: bool = False,
        mark: AnyMark = UNMARKED,
    ) -> None:
        self._mark = mark if isinstance(mark, Mark) else None
        self.pattern = pattern
        self.plugin = plugin
        self.version = version
        self.identity = Author(plugin, version)
        self.counters = Counters(pattern, plugin)
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler)
        self._message_type = message_type
        self._untyped = is_untyped(message_type)
        self._where = where
        self._capacity = capacity
        self._threads = threads
        self._on_close = on_close
        self._on_delivery = on_delivery
        self._with_topic = with_topic
        self._decides_late = where is not None and not where.is_cheap
        self._keeps_topic = with_topic or on_delivery is not None or self._decides_late
        self._waiting: deque[Any] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._quiet = asyncio.Event()  # set while nothing waits
        self._quiet.set()
        self._message_id: str | None = None  # of the last delivery; None before the first
        self._delivering = 0
        self._closed = False
        self._warned_full = False
        self._task: asyncio.Task[None] | None = None  # made for the first message

    @property
    def is_full(self) -> bool:
        """Whether the next message would be dropped."""
        return len(self._waiting) >= self._capacity

    @property
    def outstanding(self) -> int:
        """How many messages wait or are being delivered."""
        return len(self._waiting) + self._delivering

    def statistics(self) -> HandlerStatistics:
        """Return the current statistics."""
        self.counters.outstanding = self.outstanding
        return self.counters.snapshot()

    def offer(self, topic: str, message: Any, message_id: str = "") -> bool | None:
        """Add a message; return False when it is full, None when the filter excludes it.

        A costly filter decides before the delivery, and not here.

        Args:
            topic: The topic.
            message: The message.
            message_id: The id of the publication, or "".
        """
        where = self._where
        if where is not None and where.is_cheap and not self._wanted(where, topic, message):
            return None
        queue = self._waiting
        if len(queue) >= self._capacity:
            return False
        waiting = (topic, message) if self._keeps_topic else message
        queue.append(_Identified(message_id, waiting) if message_id else waiting)
        if self._wake is not None:
            self._quiet.clear()
            self._wake.set_result(None)
            self._wake = None
        elif self._task is None:
            self._quiet.clear()
            self._task = asyncio.get_running_loop().create_task(self._deliver_all())
        return True

    def drop(self, topic: str) -> None:
        """Count a message that was not taken, and log the first of a series."""
        self.counters.dropped += 1
        if not self._warned_full:
            self._warned_full = True
            _LOG.warning(
                "%s %s is too slow for '%s': its mailbox of %d is full, messages are dropped",
                self.plugin, self.version, topic, self._capacity,
            )  # fmt: skip

    async def drained(self) -> None:
        """Wait until every waiting message has been handled."""
        await self._quiet.wait()

    def close(self) -> None:
        """Stop deliveries at once; waiting messages are discarded."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._quiet.set()
            if self._task is not None:
                self._task.cancel()
            self._on_close(self)

    async def ended(self) -> None:
        """Wait for the end of its task, after `close`."""
        if self._task is not None:
            await end_tasks({self._task})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wanted(self, where: Predicate, topic: str, message: Any) -> bool:
        try:
            return where.holds({"message": to_plain(message), "topic": topic})
        except (ExpressionError, TypeError) as error:
            self._failed(topic, error)
            if self._on_delivery is not None:
                self._on_delivery(self, topic, message, error)
            return False

    async def _is_wanted(self, topic: str, message: Any) -> bool:
        """Return whether a filter that is too costly for `offer` includes a message.

        Raises:
            ExpressionError: It cannot be evaluated.
        """
        assert self._where is not None  # noqa: S101 - it decides late
        return await self._where.decide({"message": to_plain(message), "topic": topic})

    def _report_late(self, call: object) -> None:
        report_late(call, self.identity, self.pattern)

    def _failed(self, topic: str, error: BaseException) -> None:
        self.counters.errors += 1
        _LOG.error(
            "%s failed on the message of '%s': %s", self.identity, topic,
            explain(error, self._handler), exc_info=error if _LOG.isEnabledFor(10) else None,
        )  # fmt: skip

    async def _deliver_all(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = self._waiting
        while True:
            await self._deliver(_TURN)
            if waiting:
                await asyncio.sleep(0)
                continue
            self._warned_full = False
            self._quiet.set()
            self._wake = loop.create_future()
            await self._wake

    async def _deliver(self, most: int) -> None:
        """Deliver waiting messages, at most so many.

        It is one coroutine for all of them, and makes the first step of a subscriber by hand:
        most deliver without waiting, and cost one call then.
        """
        waiting, counters, mark = self._waiting, self.counters, self._mark
        started = time.monotonic()
        for _ in range(most):
            if not waiting:
                return
            message_id, message = "", waiting.popleft()
            self._delivering = 1
            counters.requests += 1
            if message.__class__ is _Identified:
                message_id, message = message
            if message_id != self._message_id:  # set in the context of the mailbox's own task
                MESSAGE_ID.set(message_id)
                self._message_id = message_id
            given = message
            failure: BaseException | None = None
            if mark is not None:
                mark.enter()
            try:
                if self._keeps_topic:
                    if self._decides_late and not await self._is_wanted(*message):
                        continue
                    if not self._with_topic:
                        message = message[1]
                if not self._untyped and message.__class__ is not self._message_type:
                    message = self._fit(message)
                if self._is_async:
                    work = self._handler(message)
                else:
                    work = self._threads.run(functools.partial(self._handler, message))
                try:
                    first = work.send(None)
                except StopIteration as done:
                    answer = done.value
                else:
                    answer = await rest_of(work, first, started + _TIMEOUT_S, self._report_late)
                if answer is not None and discard_awaitable(answer):
                    where = place_of_function(self._handler)
                    raise TypeError(f"it returned a coroutine: missing await ({where})")
            except DeadlineExceeded:
                counters.timeouts += 1
                failure = TimeoutError(f"not done within {_TIMEOUT_S:g} s")
                self._failed(self.pattern, failure)
            except BaseException as error:
                if is_interruption(error):
                    raise
                failure = error
                self._failed(self.pattern, error)
            finally:
                if mark is not None:
                    mark.leave()
                self._delivering = 0
                ended = time.monotonic()
                counters.ended(ended - started)
                started = ended
            if self._on_delivery is not None:
                topic, published = given
                self._on_delivery(self, topic, published, failure)

    def _fit(self, message: Any) -> Any:
        try:
            return convert(message, self._message_type)
        except msgspec.ValidationError as error:
            why = message_errors(message, self._message_type, error)
            raise InvalidMessageError(self.pattern, why) from error
