"""Mailboxes: what is published waits here, in order, for one subscriber."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from qtforge_sdk.conversion import convert
from qtforge_sdk.errors import ExpressionError, InvalidMessageError, QtForgeError
from qtforge_sdk.testing._calls import call
from qtforge_sdk.testing._handlers import Listener
from qtforge_sdk.testing._messages import Delivered, Failed, RecordedMessage
from qtforge_sdk.topics import matches

__all__ = ["Mailbox"]

_LOG: Final = logging.getLogger("qtforge.testing")


class Mailbox:
    """One subscriber's messages; a `qtforge_sdk.Subscription`.

    Args:
        listener: The subscriber.
        record: Where what became of each message is written.
    """

    def __init__(self, listener: Listener, record: list[RecordedMessage]) -> None:
        self.listener = listener
        self.closed = False
        self._record = record
        self._waiting: deque[tuple[str, Any]] = deque()
        self._worker: asyncio.Task[None] | None = None

    @property
    def pattern(self) -> str:
        """The pattern that was subscribed to."""
        return self.listener.spec.pattern

    def wants(self, topic: str, message: object) -> bool:
        """Tell whether the pattern and the filter match; a failing filter does not."""
        if self.closed or not matches(self.pattern, topic):
            return False
        condition = self.listener.condition
        if condition is None:
            return True
        try:
            return condition.holds(message=message, topic=topic)
        except (ExpressionError, TypeError) as error:
            self.listener.counters.errors += 1
            self._failed(topic, message, error, 0.0)
            return False

    def put(self, topic: str, message: object) -> bool:
        """Take a message, unless the mailbox is full; needs the running loop."""
        counters = self.listener.counters
        if len(self._waiting) >= self.listener.spec.capacity:
            counters.dropped += 1
            return False
        counters.outstanding += 1
        self._waiting.append((topic, message))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return True

    @property
    def worker(self) -> asyncio.Task[None] | None:
        """The task that empties the mailbox, while there is something in it."""
        return self._worker

    def close(self) -> None:
        """Stop deliveries at once; what waits is discarded."""
        self.closed = True
        self.listener.counters.outstanding -= len(self._waiting)
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._deliver(*self._waiting.popleft())
        finally:
            self._worker = None

    async def _deliver(self, topic: str, message: Any) -> None:
        listener = self.listener
        counters = listener.counters
        counters.requests += 1
        started = time.perf_counter()
        try:
            await call(listener.function, listener.signature.is_async, self._converted(message))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's; recorded, logged
            counters.errors += 1
            self._failed(topic, message, error, time.perf_counter() - started)
        else:
            self._record.append(
                Delivered(
                    topic=topic, message=message, plugin=listener.plugin, pattern=self.pattern
                )
            )
        finally:
            counters.outstanding -= 1
            counters.durations_s.append(time.perf_counter() - started)

    def _converted(self, message: Any) -> Any:
        try:
            return convert(message, self.listener.signature.message_type)
        except msgspec.ValidationError as error:
            raise InvalidMessageError(self.pattern, str(error)) from error

    def _failed(self, topic: str, message: object, error: BaseException, duration_s: float) -> None:
        plugin = self.listener.plugin
        self._record.append(
            Failed(topic=topic, message=message, error=error, plugin=plugin, duration_s=duration_s)
        )
        _LOG.error(
            "a subscriber of %s to '%s' failed on '%s': %s",
            plugin or "the test", self.pattern, topic, error,
            exc_info=None if isinstance(error, QtForgeError) else error,
        )  # fmt: skip
