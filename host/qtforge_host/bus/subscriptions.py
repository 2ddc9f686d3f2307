"""Mailboxes: what is published waits here, bounded and in order, one for each subscriber."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from qtforge_host.bus.handler import Predicate, describe
from qtforge_host.bus.statistics import Counters
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.cancellation import DeadlineExceeded, run_before
from qtforge_sdk.conversion import convert, is_untyped, to_plain
from qtforge_sdk.errors import ExpressionError, InvalidMessageError

__all__ = ["DeliveryObserver", "Mailbox"]

_LOG = logging.getLogger("qtforge.bus")
_TURN = 64  # deliveries before the other tasks get a turn
_TIMEOUT_S = 30.0  # for one delivery


class DeliveryObserver(Protocol):
    """Called after each delivery; must be quick and must not raise."""

    def __call__(
        self, mailbox: Mailbox, topic: str, message: Any, error: BaseException | None, /
    ) -> None:
        """Take in a delivery and what the subscriber raised, or None."""


class Mailbox:
    """A live subscription.

    Args:
        pattern: What it hears.
        handler: Called with each message.
        plugin: Whose it is; "" for the host's own.
        version: That plugin's version.
        message_type: What the handler takes.
        where: The compiled filter, or None.
        capacity: How many messages may wait.
        threads: Where a ``def`` handler runs.
        on_close: Told once, when it closes.
        on_delivery: Called after each delivery; None for nothing.
        with_topic: Whether the handler is given (topic, message).
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
    ) -> None:
        self.pattern = pattern
        self.plugin = plugin
        self.version = version
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
        self._keeps_topic = with_topic or on_delivery is not None
        self._waiting: deque[Any] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._quiet = asyncio.Event()  # set while nothing waits
        self._quiet.set()
        self._closed = False
        self._told_full = False
        self._task: asyncio.Task[None] | None = None  # made for the first message

    @property
    def is_full(self) -> bool:
        """Whether the next message would be dropped."""
        return len(self._waiting) >= self._capacity

    def offer(self, topic: str, message: Any) -> bool | None:
        """Take a message; False when it is full, None when the filter leaves it out."""
        if self._where is not None and not self._wanted(self._where, topic, message):
            return None
        if self.is_full:
            self._drop(topic)
            return False
        self._waiting.append((topic, message) if self._keeps_topic else message)
        self.counters.outstanding += 1
        if self._wake is not None:
            self._quiet.clear()
            self._wake.set_result(None)
            self._wake = None
        elif self._task is None:
            self._quiet.clear()
            self._task = asyncio.get_running_loop().create_task(self._deliver_all())
        return True

    async def drained(self) -> None:
        """Wait until every message that waits has been handled."""
        await self._quiet.wait()

    def close(self) -> None:
        """Stop deliveries at once; what waits is discarded."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self.counters.outstanding = 0
            self._quiet.set()
            if self._task is not None:
                self._task.cancel()
            self._on_close(self)

    async def ended(self) -> None:
        """Wait until its task is gone, after `close`."""
        if self._task is not None:
            await asyncio.wait([self._task])

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

    def _drop(self, topic: str) -> None:
        self.counters.dropped += 1
        if not self._told_full:
            self._told_full = True
            _LOG.warning(
                "%s %s is too slow for '%s': its mailbox of %d is full, messages are dropped",
                self.plugin, self.version, topic, self._capacity,
            )  # fmt: skip

    def _failed(self, topic: str, error: BaseException) -> None:
        self.counters.errors += 1
        _LOG.error(
            "%s %s failed on the message of '%s': %s",
            self.plugin, self.version, topic, describe(error), exc_info=_LOG.isEnabledFor(10),
        )  # fmt: skip

    async def _deliver_all(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = self._waiting
        while True:
            for _ in range(_TURN):
                if not waiting:
                    break
                await self._deliver(waiting.popleft())
            if waiting:
                await asyncio.sleep(0)
                continue
            self._told_full = False
            self._quiet.set()
            self._wake = loop.create_future()
            await self._wake

    async def _deliver(self, message: Any) -> None:
        counters = self.counters
        counters.requests += 1
        started = time.monotonic()
        given = message
        failure: BaseException | None = None
        try:
            if self._keeps_topic and not self._with_topic:
                message = message[1]
            if not self._untyped and message.__class__ is not self._message_type:
                message = self._fit(message)
            if self._is_async:
                work = self._handler(message)
            else:
                work = self._threads.run(lambda: self._handler(message))
            await run_before(started + _TIMEOUT_S, work)
        except DeadlineExceeded:
            counters.timeouts += 1
            failure = TimeoutError(f"not done within {_TIMEOUT_S:g} s")
            self._failed(self.pattern, failure)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a subscriber harms nobody else
            failure = error
            self._failed(self.pattern, error)
        finally:
            counters.outstanding -= 1
            counters.ended(time.monotonic() - started)
        if self._on_delivery is not None:
            topic, published = given
            self._on_delivery(self, topic, published, failure)

    def _fit(self, message: Any) -> Any:
        try:
            return convert(message, self._message_type)
        except msgspec.ValidationError as error:
            raise InvalidMessageError(self.pattern, str(error)) from error
