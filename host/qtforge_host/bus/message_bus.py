"""The message bus: sends requests to routes and publications to mailboxes."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from qtforge_host.bus.exchange import Exchange
from qtforge_host.bus.handler import Handler, Predicate
from qtforge_host.bus.message_errors import message_errors
from qtforge_host.bus.policy import RequestPolicy
from qtforge_host.bus.remote_handler import RemoteHandler
from qtforge_host.bus.routes import Route
from qtforge_host.bus.subscriptions import DeliveryObserver, Mailbox
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.code_marks import UNMARKED, AnyMark
from qtforge_sdk import HandlerInfo, HandlerStatistics, Published
from qtforge_sdk.bus import MessageHandler
from qtforge_sdk.conversion import convert
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import (
    BusClosedError,
    BusError,
    BusUnavailableError,
    InvalidMessageError,
    NodeGoneError,
    NoHandlerError,
    QtForgeError,
)
from qtforge_sdk.operations import ProgressListener, Signature, handler_signature
from qtforge_sdk.topics import matches, validate_pattern, validate_topic
from qtforge_sdk.transport import Envelope
from qtforge_sdk.validation import did_you_mean

__all__ = ["ConditionCompiler", "LocalExchange", "MessageBus", "Observers", "Relay"]

Relay = Callable[[str, Any, str, bool], Awaitable[None]]
"""Passes a publication on, given its topic, its message, its id, and whether the id lasts."""

_LOG = logging.getLogger("qtforge.bus")
_REMEMBERED_TOPICS = 4096
_REMEMBERED_IDS = 8192
PolicyOf = Callable[[str, int], RequestPolicy | None]
"""Returns the policy of a topic with that many handlers, or None."""
_DEFAULT_TIMEOUT_S = 30.0


class Observers(msgspec.Struct, frozen=True, kw_only=True):
    """The observing hooks, each a function that never raises; None when no plugin has one."""

    before: Callable[..., None] | None = None
    after: Callable[..., None] | None = None
    error: Callable[..., None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is none."""
        return self.before is None and self.after is None and self.error is None


class ConditionCompiler(Protocol):
    """Compiles a condition that uses the given names."""

    def __call__(self, source: str, names: Sequence[str], /) -> Predicate: ...


async def _start_nothing(topic: str) -> None:
    return None


class LocalExchange:
    """The routes and mailboxes of this process."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.incomplete: dict[str, Route] = {}  # of topics for which a plugin is not started yet
        self.mailboxes: list[Mailbox] = []
        self._audiences: dict[str, tuple[Mailbox, ...]] = {}
        self.nodes_trouble: Callable[[], BusUnavailableError | None] = _no_trouble
        self.left: dict[str, str] = {}  # topics that a plugin of this process leaves to others
        self.absent: Callable[[str], tuple[str, str] | None] = lambda topic: None
        self.waiting = WaitingPlugins()

    # Not a coroutine of its own: every request would pass through one more.
    def request(
        self, envelope: Envelope, listener: ProgressListener | None
    ) -> Coroutine[Any, Any, Any]:
        """Send a request to the route of its topic.

        Raises:
            NoHandlerError: No plugin handles the topic.
            BusUnavailableError: None does here, and other nodes can't be reached.
        """
        route = self.routes.get(envelope.topic)
        if route is None:
            if envelope.topic in self.waiting.topics:
                return self._request_started(envelope, listener)
            raise self._no_handler(envelope.topic)
        only = route.only
        if only is not None and envelope.plugin is None:
            return only.call(envelope, envelope.payload, listener)
        return route.dispatch(envelope, listener)

    async def _request_started(self, envelope: Envelope, listener: ProgressListener | None) -> Any:
        """Start the plugins of a topic, then send a request; its time begins when they have."""
        asked = time.monotonic()
        await self.waiting.start_for(envelope.topic)
        envelope.deadline += time.monotonic() - asked
        route = self.routes.get(envelope.topic) or self.incomplete.get(envelope.topic)
        if route is None:
            raise self._no_handler(envelope.topic)
        return await route.dispatch(envelope, listener)

    async def publish(self, topic: str, message: Any, message_id: str = "") -> Published:
        """Put a message into the mailbox of each matching subscriber."""
        if self.waiting.subscribe_to(topic):
            await self.waiting.start_audience(topic)
        audience = self._audiences.get(topic)
        if audience is None:
            audience = self._audience(topic)
        delivered = dropped = 0
        for mailbox in audience:
            taken = mailbox.offer(topic, message, message_id)
            if taken is False:  # a quick subscriber only needs a turn
                await asyncio.sleep(0)
                taken = mailbox.offer(topic, message, message_id)
            if taken:
                delivered += 1
            elif taken is False:
                mailbox.drop(topic)
                dropped += 1
        return Published(delivered, dropped)

    async def until_not_full(self, topic: str) -> None:
        """Wait until the mailboxes of a topic have room."""
        for mailbox in self._audience(topic):
            while mailbox.is_full:
                await mailbox.drained()

    def clear_audiences(self) -> None:
        """Recompute the subscribers of each topic; called when subscriptions change."""
        self._audiences.clear()

    def _audience(self, topic: str) -> tuple[Mailbox, ...]:
        validate_topic(topic)
        if len(self._audiences) >= _REMEMBERED_TOPICS:
            self._audiences.clear()
        audience = tuple(box for box in self.mailboxes if matches(box.pattern, topic))
        self._audiences[topic] = audience
        return audience

    def _no_handler(self, topic: str) -> BusError:
        validate_topic(topic)
        trouble = self.nodes_trouble()
        if trouble is not None:  # another node may handle it
            return trouble
        if topic in self.left:
            return NoHandlerError(
                topic,
                f"the data of '{self.left[topic]}' are on another node, which can't be asked",
                "start that node, and connect the nodes: [host] bus",
            )
        absent = self.absent(topic)
        if absent is not None:
            return NoHandlerError(topic, *absent)
        otherwise = "qtforge-host bus topics shows what can be asked"
        known = sorted({*self.routes, *self.waiting.topics})
        return NoHandlerError(topic, "", did_you_mean(topic, known, otherwise))


class WaitingPlugins:
    """Plugins that are started when a request or a publication first needs them.

    Args:
        plugins: What each of them will answer, by its key.
        patterns: What each of them subscribes to, by its key.
        start_for: Starts the plugins of a topic.
        start_audience: Starts the plugins that subscribe to a topic.

    Attributes:
        topics: The handlers that are expected of each topic, by the key of their plugin.
        patterns: The patterns of all subscriptions that are expected.
    """

    def __init__(
        self,
        plugins: Mapping[str, Sequence[HandlerInfo]] = MappingProxyType({}),
        patterns: Mapping[str, Sequence[str]] = MappingProxyType({}),
        start_for: Callable[[str], Awaitable[None]] = _start_nothing,
        start_audience: Callable[[str], Awaitable[None]] = _start_nothing,
    ) -> None:
        self.start_for = start_for
        self.start_audience = start_audience
        self.topics: dict[str, dict[str, HandlerInfo]] = {}
        self.patterns: frozenset[str] = frozenset()
        self._topics_of = {key: {each.topic for each in found} for key, found in plugins.items()}
        self._patterns_of = dict(patterns)
        for key, found in plugins.items():
            for each in sorted(
                found, key=lambda each: each.wrapper
            ):  # the operation, if there is one
                self.topics.setdefault(each.topic, {}).setdefault(key, each)
        self._join()

    def subscribe_to(self, topic: str) -> bool:
        """Return whether one of them subscribes to a topic."""
        return bool(self.patterns) and any(matches(each, topic) for each in self.patterns)

    def settle(self, key: str) -> list[str]:
        """Take a plugin out; return the topics for which no other one is expected."""
        complete = []
        for topic in self._topics_of.pop(key, ()):
            expected = self.topics[topic]
            expected.pop(key, None)
            if not expected:
                del self.topics[topic]
                complete.append(topic)
        if self._patterns_of.pop(key, None):
            self._join()
        return complete

    def _join(self) -> None:
        self.patterns = frozenset(
            each for patterns in self._patterns_of.values() for each in patterns
        )


class MessageBus:
    """The host's bus; implements `qtforge_sdk.Bus`.

    Args:
        compile_condition: Compiles ``where`` filters.
        threads: Run ``def`` subscribers.
        default_timeout_s: The timeout of requests that name none, in seconds.
        exchange: Given the exchange of this process, returns the one to use; None for that.
        on_delivery: Called after each delivery to a subscriber; None for nothing.
    """

    def __init__(
        self,
        compile_condition: ConditionCompiler,
        threads: WorkerThreads,
        *,
        default_timeout_s: float = _DEFAULT_TIMEOUT_S,
        exchange: Callable[[LocalExchange], Exchange] | None = None,
        on_delivery: DeliveryObserver | None = None,
    ) -> None:
        self._compile = compile_condition
        self._threads = threads
        self._timeout_s = default_timeout_s
        self._local = LocalExchange()
        self._exchange: Exchange = self._local if exchange is None else exchange(self._local)
        self._on_delivery = on_delivery
        self._observers = Observers()
        self._relays: tuple[Relay, ...] = ()
        self._handlers: dict[str, list[Handler]] = {}  # of this process, by topic
        self._remote: dict[str, list[RemoteHandler]] = {}  # of other nodes, by topic
        self._announced: dict[tuple[str, str], None] = {}  # topics and plugins of nodes, ever
        self._changed: set[asyncio.Future[None]] = set()  # of those who wait for a handler
        self._elsewhere: frozenset[str] = frozenset()  # plugins with which another node answers
        self._has_nodes = False
        self._delivered: dict[str, bool] = {}  # the ids of the last publications from elsewhere
        self._is_shared = False
        self.on_routes: Callable[[], None] = _nothing
        self._closed = False

    async def request(
        self,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        response_type: Any = None,
        plugin: str | None = None,
    ) -> Any:
        """Send a request to a handler that accepts it; see `qtforge_sdk.Bus`."""
        if timeout is None:
            timeout_s = self._timeout_s
        elif timeout.__class__ is float and timeout >= 0:  # spares most requests a call
            timeout_s = timeout
        else:
            timeout_s = wait_seconds(timeout)
        envelope = Envelope(topic, message, timeout_s, time.monotonic() + timeout_s, plugin)
        response = await self.send(envelope)
        if response_type is None or response.__class__ is response_type:
            return response
        try:
            return convert(response, response_type)
        except msgspec.ValidationError as error:
            why = message_errors(response, response_type, error)
            raise InvalidMessageError(topic, why, "response") from error

    def send(
        self, envelope: Envelope, listener: ProgressListener | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Send a request in a ready envelope, as the steps of runs do.

        Raises:
            BusError: As `request`.
        """
        if self._closed:
            raise BusClosedError("the bus is closed", "the host is stopping")
        observers = self._observers
        if observers.before is None and observers.after is None and observers.error is None:
            return self._exchange.request(envelope, listener)
        return _observed(envelope, observers, lambda: self._exchange.request(envelope, listener))

    async def answer(self, envelope: Envelope, listener: ProgressListener | None = None) -> Any:
        """Answer a request of another node with a handler of this process.

        Raises:
            NodeGoneError: There is none; nothing was done.
            BusError: As `request`.
        """
        route = None if self._closed else self._local.routes.get(envelope.topic)
        if route is not None:
            route = route.of_this_process()
        if route is None or not any(
            envelope.plugin in (None, handler.plugin) for handler in route.handlers
        ):
            raise NodeGoneError(envelope.topic, "", f"it has no plugin '{envelope.plugin}' now")
        envelope.from_node = True
        observers = self._observers
        if observers.is_idle:
            return await route.dispatch(envelope, listener)
        return await _observed(envelope, observers, lambda: route.dispatch(envelope, listener))

    async def publish(
        self, topic: str, message: object, *, message_id: str | None = None
    ) -> Published:
        """Deliver a message to every subscriber, and pass it on; see `qtforge_sdk.Bus`.

        Args:
            topic: The topic.
            message: The message.
            message_id: The id of a publication that is made again until it has succeeded, as the
                steps of runs are; None for one without such an id.

        Raises:
            QtForgeError: A publication with an id could not be passed on.
        """
        if self._closed:
            raise BusClosedError("the bus is closed", "the host is stopping")
        published = await self._exchange.publish(topic, message, message_id or "")
        if not self._relays:
            return published
        relayed_id = message_id or os.urandom(16).hex()
        lasting = message_id is not None or self._is_shared
        for relay in self._relays:
            try:
                await relay(topic, message, relayed_id, lasting)
            except QtForgeError as error:
                if message_id is not None:
                    raise
                _LOG.warning("'%s' was not passed on: %s", topic, error)
        return published

    async def deliver(
        self, topic: str, message: Any, message_id: str, *, from_node: bool = False
    ) -> None:
        """Deliver what another process has published; the journal waits for a full mailbox.

        A publication may come both through the journal and from its node: it is delivered once.

        Args:
            topic: The topic.
            message: The message.
            message_id: The id of the publication.
            from_node: Whether it came from its node, and not through the journal: it is dropped
                where a mailbox is full, as a publication of this process.
        """
        if self._delivered.get(message_id, from_node) is not from_node:
            return
        if len(self._delivered) >= _REMEMBERED_IDS:
            del self._delivered[next(iter(self._delivered))]
        self._delivered[message_id] = from_node
        if not from_node:
            await self._local.until_not_full(topic)
        await self._exchange.publish(topic, message, message_id)

    def patterns(self) -> set[str]:
        """Return the patterns of all subscriptions."""
        return {mailbox.pattern for mailbox in self._local.mailboxes} | self._local.waiting.patterns

    def add_relay(self, relay: Relay, *, shared: bool = False) -> Callable[[], None]:
        """Pass every publication on, before `publish` returns; return what ends that.

        Args:
            relay: Called with each publication.
            shared: Whether it reaches processes that handle the publication as well, so that
                its id lasts.
        """
        self._is_shared = self._is_shared or shared
        self._relays = (*self._relays, relay)

        def remove() -> None:
            self._relays = tuple(each for each in self._relays if each is not relay)

        return remove

    def subscribe(
        self,
        pattern: str,
        handler: MessageHandler,
        *,
        where: str | None = None,
        capacity: int = 1024,
    ) -> Mailbox:
        """Subscribe to the topics that match a pattern; see `qtforge_sdk.Bus`."""
        return self.add_subscriber(pattern, handler, "", "", where=where, capacity=capacity)

    def subscribe_with_topic(
        self, pattern: str, handler: Callable[[tuple[str, Any]], Any], *, capacity: int = 1024
    ) -> Mailbox:
        """Subscribe to the topics that match a pattern; the handler receives (topic, message)."""
        return self.add_subscriber(
            pattern, handler, "", "", where=None, capacity=capacity, with_topic=True
        )

    def add_subscriber(
        self,
        pattern: str,
        handler: MessageHandler,
        plugin: str,
        version: str,
        *,
        where: str | None,
        capacity: int,
        with_topic: bool = False,
        mark: AnyMark = UNMARKED,
    ) -> Mailbox:
        """Subscribe on behalf of a plugin.

        Args:
            pattern: The pattern of the topics.
            handler: Called with each message.
            plugin: The plugin's name; "" for the host itself.
            version: The plugin's version.
            where: A CEL filter over ``message`` and ``topic``, or None.
            capacity: The most waiting messages.
            with_topic: Whether the handler receives (topic, message), not converted.
            mark: Marks that the handler is called.

        Raises:
            InvalidTopicError: The pattern is not well formed.
            ExpressionError: ``where`` does not compile.
            PluginError: The handler takes no message.
            ValueError: The capacity is below 1.
        """
        if capacity < 1:
            raise ValueError(f"capacity is at least 1, not {capacity}")
        signature = None if with_topic else handler_signature(handler, plugin, extra=0)
        mailbox = Mailbox(
            validate_pattern(pattern),
            handler,
            plugin=plugin,
            version=version,
            message_type=Any if signature is None else signature.message_type,
            where=None if where is None else self._compile(where, ("message", "topic")),
            capacity=capacity,
            threads=self._threads,
            on_close=self._forget,
            on_delivery=self._on_delivery,
            with_topic=with_topic,
            mark=mark,
        )
        self._local.mailboxes.append(mailbox)
        self._local.clear_audiences()
        return mailbox

    def set_routes(
        self,
        handlers: Mapping[str, Iterable[Handler]],
        policy_of: PolicyOf = lambda topic, handlers: None,
    ) -> None:
        """Replace this process's handlers of some topics; called when registrations change.

        Args:
            handlers: The handlers and wrappers of each topic, in pluggy's order; none where the
                topic is no longer answered.
            policy_of: Returns the policy of a topic with that many handlers, or None.
        """
        for topic, found in handlers.items():
            self._handlers[topic] = list(found)
            self._compile_route(topic, policy_of)
        self.on_routes()

    def expect(
        self,
        plugins: Mapping[str, Sequence[HandlerInfo]],
        patterns: Mapping[str, Sequence[str]],
        start_for: Callable[[str], Awaitable[None]],
        start_audience: Callable[[str], Awaitable[None]],
    ) -> None:
        """Let plugins start when they are first asked; called before any route is set.

        Args:
            plugins: What each of them will answer, by its key: topic, plugin and version, and
                whether it is a wrapper.
            patterns: What each of them subscribes to, by its key.
            start_for: Starts the plugins of a topic; they need not be usable then.
            start_audience: Starts the plugins that subscribe to a topic.
        """
        self._local.waiting = WaitingPlugins(plugins, patterns, start_for, start_audience)

    def settle(self, key: str, policy_of: PolicyOf = lambda topic, handlers: None) -> None:
        """Expect a plugin no more: it has started, or can't.

        Args:
            key: Its key, as in `expect`; one that is not expected is ignored.
            policy_of: Returns the policy of a topic with that many handlers, or None.
        """
        for topic in self._local.waiting.settle(key):
            self._compile_route(topic, policy_of)

    def expected_topics(self) -> frozenset[str]:
        """Return the topics that plugins will answer which are not started yet."""
        return frozenset(
            topic
            for topic, found in self._local.waiting.topics.items()
            if not all(each.wrapper for each in found.values())
        )

    async def start_for(self, topic: str) -> None:
        """Start the plugins that answer a topic, where they are not started yet."""
        if topic in self._local.waiting.topics:
            await self._local.waiting.start_for(topic)

    def set_remote_handlers(
        self,
        handlers: Mapping[str, Sequence[RemoteHandler]],
        policy_of: PolicyOf = lambda topic, handlers: None,
    ) -> None:
        """Replace the handlers of other nodes.

        Args:
            handlers: Those of each topic.
            policy_of: Returns the policy of a topic with that many handlers, or None.
        """
        for each in (each for found in handlers.values() for each in found):
            self._announced[each.topic, each.plugin] = None
        while len(self._announced) > _REMEMBERED_TOPICS:
            del self._announced[next(iter(self._announced))]
        before, self._remote = (
            self._remote,
            {topic: list(found) for topic, found in handlers.items() if found},
        )
        for topic in {*before, *self._remote}:
            if before.get(topic) != self._remote.get(topic):
                self._compile_route(topic, policy_of)
        waiting, self._changed = self._changed, set()
        for waits in waiting:
            if not waits.done():
                waits.set_result(None)

    def leave_to_others(
        self,
        plugins: Collection[str],
        policy_of: PolicyOf = lambda topic, handlers: None,
    ) -> None:
        """Do not answer with some plugins of this process: other nodes hold their data.

        Args:
            plugins: Those plugins, in place of those before.
            policy_of: Returns the policy of a topic with that many handlers, or None.
        """
        changed, self._elsewhere = self._elsewhere ^ frozenset(plugins), frozenset(plugins)
        for topic, found in list(self._handlers.items()):
            if any(each.plugin in changed for each in found):
                self._compile_route(topic, policy_of)

    def may_be_answered(self, topic: str, plugin: str | None, error: BusError) -> bool:
        """Return whether a request for which nothing was done may be answered later.

        Args:
            topic: The topic.
            plugin: The only plugin that may answer, or None.
            error: Why nothing was done.
        """
        if not isinstance(error, NoHandlerError):
            return True
        route = self._local.routes.get(topic)
        if route is not None and any(plugin in (None, each.plugin) for each in route.handlers):
            return False  # none of them accepts the message
        if self._has_nodes and any(
            each.plugin in self._elsewhere and plugin in (None, each.plugin)
            for each in self._handlers.get(topic, ())
        ):
            return True
        return any(topic == known and plugin in (None, name) for known, name in self._announced)

    async def until_nodes_change(self, within_s: float) -> None:
        """Wait until the handlers of other nodes change, at most so many seconds."""
        changed = asyncio.get_running_loop().create_future()
        self._changed.add(changed)
        try:
            await asyncio.wait([changed], timeout=within_s)
        finally:
            self._changed.discard(changed)

    def watch_nodes(self, trouble: Callable[[], BusUnavailableError | None]) -> None:
        """Set what returns why other nodes can't be reached, or None while they can."""
        self._has_nodes = True
        self._local.nodes_trouble = trouble

    def explain_absent(self, reason: Callable[[str], tuple[str, str] | None]) -> None:
        """Set what returns why no plugin answers a topic, with the fix, or None."""
        self._local.absent = reason

    def handlers(self) -> list[Handler]:
        """Return every handler of this process, without wrappers."""
        return [each for found in self._handlers.values() for each in found if not each.wrapper]

    def _compile_route(self, topic: str, policy_of: PolicyOf) -> None:
        own, remote = self._handlers.get(topic, []), self._remote.get(topic, ())
        self._local.left.pop(topic, None)
        if not own:
            self._handlers.pop(topic, None)
        elif self._elsewhere:
            left = [each for each in own if not each.wrapper and each.plugin in self._elsewhere]
            own = [each for each in own if each not in left]
            if left:
                self._local.left[topic] = left[0].plugin
        self._local.incomplete.pop(topic, None)
        if not own and not remote:
            self._local.routes.pop(topic, None)
            return
        wrappers = [handler for handler in own if handler.wrapper]
        answering: list[Handler | RemoteHandler] = [each for each in own if not each.wrapper]
        if remote:
            answering = sorted([*answering, *remote], key=lambda each: each.rank)
        policy = policy_of(topic, len(answering))
        route = Route(topic, answering, wrappers, policy)
        if topic in self._local.waiting.topics:
            self._local.incomplete[topic] = route
        else:
            self._local.routes[topic] = route

    def observe(self, observers: Observers) -> None:
        """Replace the observing hooks; called when registrations change."""
        self._observers = observers

    def identities(self, topic: str) -> tuple[tuple[str, str], ...]:
        """Return name and version of every plugin that handles or wraps a topic, sorted."""
        route = self._local.routes.get(topic)
        if route is None:
            return ()
        return tuple(sorted({handler.identity for handler in (*route.wrappers, *route.handlers)}))

    def topics(self) -> Mapping[str, Sequence[HandlerInfo]]:
        """Return each topic's handlers; see `qtforge_sdk.Bus`."""
        return {
            topic: [handler.info for handler in (*route.wrappers, *route.handlers)]
            for topic, route in sorted(self._local.routes.items())
        }

    def signatures(self, topic: str, plugin: str | None = None) -> Sequence[Signature]:
        """Return the signatures of the operations that a request of a topic may reach first.

        That is its outer wrapper, where it has one, else every operation.

        Args:
            topic: The topic.
            plugin: The only plugin that may answer, or None.

        Returns:
            Nothing where one of them is on another node.
        """
        if self._remote.get(topic):
            return ()
        own = self._handlers.get(topic, ())
        for handler in own:
            if handler.wrapper:
                return (handler.signature,)
        return [each.signature for each in own if plugin in (None, each.plugin)]

    def known_topics(self) -> Mapping[str, Sequence[HandlerInfo]]:
        """Return each topic's handlers, those that this process leaves to others included.

        Those of plugins that are not started yet are included too; of them topic, plugin and
        version are known, and whether they are wrappers.
        """
        known = self.topics()
        if self._elsewhere:
            left = {
                topic: [each.info for each in found if each.plugin in self._elsewhere]
                for topic, found in self._handlers.items()
            }
            known = {
                topic: [*known.get(topic, ()), *left.get(topic, ())]
                for topic in sorted({*known, *(topic for topic, found in left.items() if found)})
            }
        expected = self._local.waiting.topics
        if not expected:
            return known
        found = {topic: list(each.values()) for topic, each in expected.items()}
        for topic, handlers in found.items():
            handlers += [each.info for each in self._handlers.get(topic, ())]
        return dict(sorted({**known, **found}.items()))

    def statistics(self) -> Sequence[HandlerStatistics]:
        """Return the statistics of every handler and subscriber; see `qtforge_sdk.Bus`."""
        found = [box.statistics() for box in self._local.mailboxes]
        for route in self._local.routes.values():
            handlers = (*route.wrappers, *route.handlers)
            found += [handler.counters.snapshot() for handler in handlers]
        return sorted(found, key=lambda each: (each.topic, each.plugin))

    @property
    def undelivered(self) -> int:
        """How many messages wait in mailboxes or are being handled by subscribers."""
        return sum(box.outstanding for box in self._local.mailboxes)

    async def drain(self, within_s: float) -> bool:
        """Wait until every mailbox is empty; return whether it was in time."""
        waits = [asyncio.ensure_future(box.drained()) for box in self._local.mailboxes]
        if not waits:
            return True
        _, late = await asyncio.wait(waits, timeout=within_s)
        for wait in late:
            wait.cancel()
        return not late

    async def close(self) -> None:
        """Refuse further messages and close every subscription."""
        self._closed = True
        mailboxes = list(self._local.mailboxes)
        for mailbox in mailboxes:
            mailbox.close()
        for mailbox in mailboxes:
            await mailbox.ended()

    def _forget(self, mailbox: Mailbox) -> None:
        self._local.mailboxes.remove(mailbox)
        self._local.clear_audiences()


def _nothing() -> None:
    return None


def _no_trouble() -> None:
    return None


async def _observed(
    envelope: Envelope, observers: Observers, request: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    topic, message = envelope.topic, envelope.payload
    if observers.before is not None:
        observers.before(topic=topic, message=message)
    started = time.monotonic()
    try:
        response = await request()
    except Exception as error:
        if observers.error is not None:
            took = time.monotonic() - started
            plugin, _ = envelope.served_by or ("", "")
            observers.error(
                topic=topic, message=message, error=error, plugin=plugin, duration_s=took
            )
        raise
    if observers.after is not None:
        took = time.monotonic() - started
        plugin, _ = envelope.served_by or ("", "")
        observers.after(
            topic=topic, message=message, response=response, plugin=plugin, duration_s=took
        )
    return response
