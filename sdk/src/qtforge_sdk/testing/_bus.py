"""The bus of the test host: in memory, on one loop, with everything recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from qtforge_sdk.bus import HandlerInfo, HandlerStatistics, MessageHandler, Published
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import BusClosedError, BusError
from qtforge_sdk.operations import SubscriberSpec
from qtforge_sdk.testing._handlers import compile_listener
from qtforge_sdk.testing._mailboxes import Mailbox
from qtforge_sdk.testing._messages import (
    Answered,
    Failed,
    PublishedMessage,
    RecordedMessage,
    Requested,
)
from qtforge_sdk.testing._observers import notify
from qtforge_sdk.testing._plugins import LocalPlugins
from qtforge_sdk.testing._requests import Request, answer
from qtforge_sdk.topics import validate_pattern, validate_topic

__all__ = ["InMemoryBus"]

DEFAULT_TIMEOUT_S: Final = 30.0


class InMemoryBus:
    """A `qtforge_sdk.Bus` over the plugins of a test.

    Where the host balances, limits and breaks circuits, this one asks the first handler
    that accepts; all else is as `qtforge_sdk.Bus` says.

    Args:
        plugins: Whose operations it dispatches.
        record: Where every message is written.
    """

    def __init__(self, plugins: LocalPlugins, record: list[RecordedMessage]) -> None:
        self._plugins = plugins
        self._record = record
        self._mailboxes: list[Mailbox] = []
        self._closed = False

    def attach(self, name: str) -> None:
        """Open the mailboxes of a plugin's subscribers."""
        self._mailboxes += [
            Mailbox(listener, self._record) for listener in self._plugins.listeners(name)
        ]

    def detach(self, name: str) -> None:
        """Close them."""
        for mailbox in self._mailboxes:
            if mailbox.listener.plugin == name:
                mailbox.close()

    async def request(
        self,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        response_type: Any = None,
        plugin: str | None = None,
    ) -> Any:
        """Ask the topic's first handler that accepts the message; see `qtforge_sdk.Bus`."""
        self._check_open()
        timeout_s = DEFAULT_TIMEOUT_S if timeout is None else wait_seconds(timeout)
        started = time.monotonic()
        asked = Request(topic, message, timeout_s, response_type, plugin, started + timeout_s)
        self._record.append(Requested(topic=topic, message=message))
        notify(self._plugins.hook.qtforge_before_request, topic=topic, message=message)
        try:
            response = await answer(asked, self._plugins.route(validate_topic(topic)))
        except BusError as error:
            self._failed(asked, error, time.monotonic() - started)
            raise
        self._answered(asked, response, time.monotonic() - started)
        return response

    async def publish(self, topic: str, message: object) -> Published:
        """Put the message into every mailbox that wants it; see `qtforge_sdk.Bus`."""
        self._check_open()
        validate_topic(topic)
        wanted = [mailbox for mailbox in self._mailboxes if mailbox.wants(topic, message)]
        taken = [mailbox.put(topic, message) for mailbox in wanted]
        published = Published(delivered=taken.count(True), dropped=taken.count(False))
        self._record.append(
            PublishedMessage(
                topic=topic,
                message=message,
                delivered=published.delivered,
                dropped=published.dropped,
            )
        )
        return published

    def subscribe(
        self,
        pattern: str,
        handler: MessageHandler,
        *,
        where: str | None = None,
        capacity: int = 1024,
    ) -> Mailbox:
        """Hear what is published under a pattern; see `qtforge_sdk.Bus`."""
        self._check_open()
        if capacity < 1:
            raise ValueError(f"capacity is at least 1, not {capacity}")
        spec = SubscriberSpec(pattern=validate_pattern(pattern), where=where, capacity=capacity)
        listener = compile_listener(handler, "", spec)
        assert listener is not None  # noqa: S101 - it is None only without a spec
        mailbox = Mailbox(listener, self._record)
        self._mailboxes.append(mailbox)
        return mailbox

    def topics(self) -> Mapping[str, Sequence[HandlerInfo]]:
        """Return each topic's handlers in the order in which they are asked, wrappers first."""
        return {
            topic: tuple(handler.info() for handler in self._plugins.route(topic))
            for topic in self._plugins.topics()
        }

    def statistics(self) -> Sequence[HandlerStatistics]:
        """Return what every handler and subscriber has done, by topic, then plugin."""
        handlers = (
            handler.counters.snapshot()
            for topic in self._plugins.topics()
            for handler in self._plugins.route(topic)
        )
        listeners = (mailbox.listener.counters.snapshot() for mailbox in self._mailboxes)
        return sorted((*handlers, *listeners), key=lambda each: (each.topic, each.plugin))

    async def drain(self, timeout_s: float) -> bool:
        """Wait until every mailbox is empty and every subscriber idle.

        Returns:
            False when the time was over first.
        """
        deadline = time.monotonic() + timeout_s
        while workers := {each.worker for each in self._mailboxes if each.worker is not None}:
            await asyncio.wait(workers, timeout=max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                return False
        return True

    def close(self) -> None:
        """Refuse further messages and discard what waits."""
        self._closed = True
        for mailbox in self._mailboxes:
            mailbox.close()

    def _check_open(self) -> None:
        if self._closed:
            raise BusClosedError("the bus is closed", "the test host has been closed")

    def _answered(self, asked: Request, response: object, duration_s: float) -> None:
        plugin, version = _who(asked)
        self._record.append(
            Answered(
                topic=asked.topic,
                message=asked.message,
                response=response,
                plugin=plugin,
                version=version,
                duration_s=duration_s,
            )
        )
        notify(
            self._plugins.hook.qtforge_after_request,
            topic=asked.topic,
            message=asked.message,
            response=response,
            plugin=plugin,
            duration_s=duration_s,
        )

    def _failed(self, asked: Request, error: BusError, duration_s: float) -> None:
        # The error knows better than the request who failed: it may be a wrapper.
        plugin = getattr(error, "plugin", "") or _who(asked)[0]
        failed = Failed(
            topic=asked.topic,
            message=asked.message,
            error=error,
            plugin=plugin,
            duration_s=duration_s,
        )
        self._record.append(failed)
        notify(
            self._plugins.hook.qtforge_on_request_error,
            topic=asked.topic,
            message=asked.message,
            error=error,
            plugin=plugin,
            duration_s=duration_s,
        )


def _who(asked: Request) -> tuple[str, str]:
    """Return plugin and version of whoever answers; a wrapper alone may have."""
    return ("", "") if asked.handler is None else (asked.handler.plugin, asked.handler.version)
