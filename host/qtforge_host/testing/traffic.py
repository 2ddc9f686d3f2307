"""Everything that is sent on the bus of a test, in order."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from qtforge_host.bus.message_bus import LocalExchange
from qtforge_host.bus.subscriptions import Mailbox
from qtforge_sdk import Published
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import Envelope

__all__ = [
    "Answered",
    "Call",
    "Delivered",
    "Failed",
    "PublishedMessage",
    "RecordedMessage",
    "Requested",
    "Traffic",
]


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """A request was made.

    Attributes:
        topic: The topic.
        message: The message, as the caller gave it.
    """

    topic: str
    message: Any


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A request was answered.

    Attributes:
        topic: The topic.
        message: The message.
        response: The answer, before it is converted to the caller's ``response_type``.
        plugin: The plugin that answered.
        version: That plugin's version.
        duration_s: In seconds of real time.
    """

    topic: str
    message: Any
    response: Any
    plugin: str
    version: str
    duration_s: float


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A request failed, or a subscriber did.

    Attributes:
        topic: The topic.
        message: The message.
        error: What the caller got; for a subscriber, which has no caller, what it raised.
        plugin: The plugin that failed; "" when none had begun.
        duration_s: In seconds of real time; 0 for a subscriber.
    """

    topic: str
    message: Any
    error: BaseException
    plugin: str
    duration_s: float


class PublishedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message was published.

    Attributes:
        topic: The topic.
        message: The message, as it was given.
        delivered: How many mailboxes took it.
        dropped: How many mailboxes were full.
    """

    topic: str
    message: Any
    delivered: int
    dropped: int


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber has handled a published message.

    Attributes:
        topic: The topic.
        message: The message, as it was published.
        plugin: The subscriber's plugin; "" for one made with ``bus.subscribe``.
        pattern: The pattern of its subscription.
    """

    topic: str
    message: Any
    plugin: str
    pattern: str


RecordedMessage = Requested | Answered | Failed | PublishedMessage | Delivered


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a run's step, or of a plugin.

    Attributes:
        topic: The topic.
        message: The message, as the caller gave it.
        run_id: The run that asks; None for a request outside a run.
        step: That run's step, or None.
        attempt: 1 for the first try.
        at_s: When, in seconds of virtual time since the test began.
    """

    topic: str
    message: Any
    run_id: str | None
    step: str | None
    attempt: int
    at_s: float


class Traffic:
    """An exchange around the bus's own: it records, and sends faked topics to their fakes.

    Args:
        virtual_s: Gives the virtual time, in seconds.
        real_s: Gives the real time, in seconds.

    Attributes:
        messages: Everything that was sent, in order.
        calls: Every request, in order.
        answered_by: The plugin that alone is asked, by topic.
        in_flight: How many requests are being answered, by topic.
        check: Called before a request or a publication is passed on; may refuse it.
        on_call: Called with each request.
    """

    def __init__(self, virtual_s: Callable[[], float], real_s: Callable[[], float]) -> None:
        self.messages: list[RecordedMessage] = []
        self.calls: list[Call] = []
        self.answered_by: dict[str, str] = {}
        self.in_flight: Counter[str] = Counter()
        self.check: Callable[[], None] = lambda: None
        self.on_call: Callable[[Call], None] = lambda call: None
        self._virtual_s = virtual_s
        self._real_s = real_s
        self._inner: LocalExchange

    def around(self, inner: LocalExchange) -> Traffic:
        """Take the bus's own exchange, and return this one."""
        self._inner = inner
        return self

    async def request(self, envelope: Envelope, listener: ProgressListener | None) -> Any:
        """Ask the bus; see `qtforge_host.bus.exchange.Exchange`."""
        self.check()
        topic, message = envelope.topic, envelope.payload
        self.messages.append(Requested(topic=topic, message=message))
        call = Call(
            topic=topic,
            message=message,
            run_id=envelope.run_id,
            step=envelope.step,
            attempt=envelope.attempt,
            at_s=self._virtual_s(),
        )
        self.calls.append(call)
        self.on_call(call)
        envelope.plugin = self.answered_by.get(topic, envelope.plugin)
        self.in_flight[topic] += 1
        started_s = self._real_s()
        try:
            response = await self._inner.request(envelope, listener)
        except Exception as error:
            # The error knows better than the envelope which plugin failed: it may be a wrapper.
            plugin = getattr(error, "plugin", "") or (envelope.served_by or ("", ""))[0]
            took_s = self._real_s() - started_s
            self.messages.append(
                Failed(topic=topic, message=message, error=error, plugin=plugin, duration_s=took_s)
            )
            raise
        finally:
            self.in_flight[topic] -= 1
        plugin, version = envelope.served_by or ("", "")
        self.messages.append(
            Answered(
                topic=topic,
                message=message,
                response=response,
                plugin=plugin,
                version=version,
                duration_s=self._real_s() - started_s,
            )
        )
        return response

    async def publish(self, topic: str, message: Any, message_id: str = "") -> Published:
        """Publish on the bus; see `qtforge_host.bus.exchange.Exchange`."""
        self.check()
        published = await self._inner.publish(topic, message, message_id)
        self.messages.append(
            PublishedMessage(
                topic=topic,
                message=message,
                delivered=published.delivered,
                dropped=published.dropped,
            )
        )
        return published

    @contextlib.contextmanager
    def recording_apart(self, check: Callable[[], None]) -> Iterator[None]:
        """Record what is sent within the context in lists of its own.

        Args:
            check: Called before a request or a publication is passed on; may refuse it.
        """
        before = self.messages, self.calls, self.check
        self.messages, self.calls, self.check = [], [], check
        try:
            yield
        finally:
            self.messages, self.calls, self.check = before

    def delivered(
        self, mailbox: Mailbox, topic: str, message: Any, error: BaseException | None
    ) -> None:
        """Record a delivery; see `qtforge_host.bus.subscriptions.DeliveryObserver`."""
        plugin = mailbox.plugin
        if error is None:
            self.messages.append(
                Delivered(topic=topic, message=message, plugin=plugin, pattern=mailbox.pattern)
            )
        else:
            self.messages.append(
                Failed(topic=topic, message=message, error=error, plugin=plugin, duration_s=0.0)
            )
