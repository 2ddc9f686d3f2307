"""The route of a topic: its wrappers and handlers, compiled when registrations change."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from qtforge_host.bus.handler import Handler, Predicate
from qtforge_host.bus.policy import RequestPolicy
from qtforge_host.bus.remote_handler import RemoteHandler
from qtforge_host.cancellation import DeadlineExceeded, run_before
from qtforge_host.plugin_code import is_interruption
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import (
    BusError,
    ExpressionError,
    InvalidMessageError,
    NodeGoneError,
    NoHandlerError,
    OverloadedError,
    PolicyError,
    QtForgeError,
)
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import Envelope

__all__ = ["Route"]

# A wrapper gets a moment more than the handler inside it, so that the handler is named.
_WRAPPER_GRACE_S = 0.05


class Route:
    """Chooses the handler of each request to a topic.

    Args:
        topic: The topic.
        handlers: Ordered by rank: ``tryfirst`` before the others, ``trylast`` after them; of
            one rank, those of this process before those of other nodes.
        wrappers: Outermost first.
        policy: The topic's policy, or None for none.
    """

    def __init__(
        self,
        topic: str,
        handlers: Sequence[Handler | RemoteHandler],
        wrappers: Sequence[Handler],
        policy: RequestPolicy | None = None,
    ) -> None:
        self.topic = topic
        self._policy = policy
        self.handlers = tuple(handlers)
        self.wrappers = tuple(wrappers)
        only = self.handlers[0] if len(self.handlers) == 1 else None
        plain = only is not None and only.accepts is None and not wrappers and policy is None
        self.only = only if plain else None
        self._here = tuple([each for each in handlers if isinstance(each, Handler)])
        self._is_local = len(self._here) == len(self.handlers)
        self._wrapped_by = tuple(wrapper.plugin for wrapper in wrappers)
        conditions = [each.accepts for each in self.handlers if each.accepts is not None]
        self._is_cheap = all(each.is_cheap for each in conditions)

    def of_this_process(self) -> Route:
        """Return the route that answers calls of other nodes: with this process's handlers."""
        return (
            self if self._is_local else Route(self.topic, self._here, self.wrappers, self._policy)
        )

    def dispatch(
        self, envelope: Envelope, listener: ProgressListener | None
    ) -> Coroutine[Any, Any, Any]:
        """Return the answer, through every wrapper.

        Raises:
            BusError: As `Bus.request` says.
        """
        if self._policy is not None:
            return self._in_turn(self._policy, envelope, listener)
        if self._is_cheap and not self.wrappers and self._is_local:  # spares most a coroutine
            message = envelope.payload
            return self.choose(envelope, message).call(envelope, message, listener)
        return self._from(0, envelope, listener, envelope.payload)

    async def _in_turn(
        self, policy: RequestPolicy, envelope: Envelope, listener: ProgressListener | None
    ) -> Any:
        async with policy.turn(envelope.deadline, of_node=envelope.from_node):
            return await self._from(0, envelope, listener, envelope.payload)

    async def _from(
        self, depth: int, envelope: Envelope, listener: ProgressListener | None, message: Any
    ) -> Any:
        if depth == len(self.wrappers):
            decided = None if self._is_cheap else await self._decide(envelope, message)
            if not self._is_local:
                return await self._from_any_node(envelope, listener, message, decided)
            handler = self.choose(envelope, message, decided)
            if self._policy is None:
                return await handler.call(envelope, message, listener)
            return await self._call_with(self._policy, handler, envelope, listener, message)
        wrapper = self.wrappers[depth]
        if (
            envelope.wrapped_by and wrapper.plugin in envelope.wrapped_by
        ):  # on the node that sent the request
            return await self._from(depth + 1, envelope, listener, message)

        async def proceed(forwarded: Any) -> Any:
            return await self._from(depth + 1, envelope, listener, forwarded)

        return await _wrap(wrapper, envelope, listener, message, proceed)

    async def _from_any_node(
        self,
        envelope: Envelope,
        listener: ProgressListener | None,
        message: Any,
        decided: Mapping[int, str | None] | None,
    ) -> Any:
        """Ask one handler after the other until one accepts the call."""
        tried: list[Handler | RemoteHandler] = []
        refused: BusError | None = None
        while True:
            try:
                handler = self.choose(envelope, message, decided, tried)
            except (NoHandlerError, PolicyError):
                if refused is None:
                    raise
                raise refused from None
            if handler.node:
                envelope.wrapped_by = self._wrapped_by
            try:
                if self._policy is None:
                    return await handler.call(envelope, message, listener)
                return await self._call_with(self._policy, handler, envelope, listener, message)
            except (NodeGoneError, OverloadedError) as error:  # nothing was done
                tried.append(handler)
                refused = error

    async def _decide(self, envelope: Envelope, message: Any) -> dict[int, str | None]:
        """Return why handlers with costly conditions refuse a message, by their positions."""
        names = {"message": _plain(self.topic, message)}
        return {
            position: await _costly_refusal(handler, handler.accepts, names)
            for position, handler in enumerate(self.handlers)
            if handler.accepts is not None
            and not handler.accepts.is_cheap
            and envelope.plugin in (None, handler.plugin)
        }

    def choose(
        self,
        envelope: Envelope,
        message: Any,
        decided: Mapping[int, str | None] | None = None,
        tried: Sequence[Handler | RemoteHandler] = (),
    ) -> Handler | RemoteHandler:
        """Return the handler to call: of the first rank that accepts, the least busy one.

        A plugin whose breaker is open is skipped; an unhealthy one is chosen only when there
        is no other, and so is one on a node with another major version than has served the run,
        or on a node that drains. A plugin of this process is preferred to the same one on another
        node.

        Args:
            envelope: The request.
            message: Its message, as the wrappers forwarded it.
            decided: By the position of a handler, why it refuses the message; of the others,
                the conditions are evaluated now.
            tried: Handlers that have not accepted the call; they are skipped.

        Raises:
            NoHandlerError: No handler accepts the message.
            PolicyError: The breakers of all handlers that accept it are open.
        """
        chosen: Handler | RemoteHandler | None = None
        draining: RemoteHandler | None = None  # where there is no other one
        second: Handler | RemoteHandler | None = None  # where there is no better one
        # Of this process, the plugins that can be asked; None where no other node is.
        here: list[str] | None = None if self._is_local else []
        names: dict[str, Any] | None = None
        refusals: list[str] = []
        barred: Exception | None = None
        for position, handler in enumerate(self.handlers):
            if chosen is not None and handler.rank > chosen.rank:
                break
            if envelope.plugin is not None and handler.plugin != envelope.plugin:
                continue
            if here is not None and (handler in tried or (handler.node and handler.plugin in here)):
                continue
            if handler.accepts is not None:
                if decided is not None and position in decided:
                    refusal = decided[position]
                else:
                    names = names or {"message": _plain(self.topic, message)}
                    refusal = _refusal(handler, handler.accepts, names)
                if refusal is not None:
                    refusals.append(refusal)
                    continue
            if self._policy is not None:
                closed = self._policy.refusal(handler.breaker_name)
                if closed is not None:
                    barred = barred or closed
                    continue
                if not (handler.is_healthy and self._policy.is_healthy(handler.breaker_name)):
                    second = second or handler
                    continue
            if here is not None and isinstance(handler, RemoteHandler):
                if not handler.has_served(envelope.versions):
                    second = second or handler
                    continue
                if handler.is_draining:
                    draining = draining or handler
                    continue
            if chosen is None or handler.counters.outstanding < chosen.counters.outstanding:
                chosen = handler
            if here is not None and not handler.node:
                here.append(handler.plugin)
        found = chosen or draining or second
        if found is None:
            raise barred or self._no_handler(envelope.plugin, refusals)
        return found

    async def _call_with(
        self,
        policy: RequestPolicy,
        handler: Handler | RemoteHandler,
        envelope: Envelope,
        listener: ProgressListener | None,
        message: Any,
    ) -> Any:
        permit = policy.before(handler.breaker_name)
        try:
            answer = await handler.call(envelope, message, listener)
        except BaseException as error:
            policy.after(handler.breaker_name, permit, error)
            raise
        policy.after(handler.breaker_name, permit, None)
        return answer

    def _no_handler(self, plugin: str | None, refusals: list[str]) -> NoHandlerError:
        if refusals:
            return NoHandlerError(
                self.topic,
                "none accepts this message: " + "; ".join(refusals),
                "install a plugin that accepts it",
            )
        others = ", ".join(sorted({handler.plugin for handler in self.handlers}))
        fix = "qtforge-host plugins list shows which plugins run"
        return NoHandlerError(self.topic, f"'{plugin}' does not; {others} would", fix)


async def _wrap(
    wrapper: Handler,
    envelope: Envelope,
    listener: ProgressListener | None,
    message: Any,
    proceed: Any,
) -> Any:
    counters = wrapper.counters
    counters.requests += 1
    counters.outstanding += 1
    started = time.monotonic()
    try:
        envelope.served_by = wrapper.identity  # unless a handler inside it is asked
        message = wrapper.fit(message)
        context = wrapper.context(envelope, listener)
        work = wrapper.method(message, context, proceed)
        deadline = envelope.deadline + _WRAPPER_GRACE_S
        answer = await run_before(deadline, work, wrapper.report_late)
        return wrapper.checked(answer) if wrapper.is_unexpected(answer) else answer
    except DeadlineExceeded as late:
        counters.errors += 1
        counters.timeouts += 1
        raise wrapper.late(envelope, started, is_left=late.is_left) from None
    except (BusError, InvalidMessageError, OverloadedError):
        raise  # it is the handler's, which the wrapper did not replace
    except BaseException as error:
        if is_interruption(error):
            raise
        counters.errors += 1
        raise wrapper.failure(error) from error
    finally:
        counters.outstanding -= 1
        counters.ended(time.monotonic() - started)


def _refusal(
    handler: Handler | RemoteHandler, accepts: Predicate, names: dict[str, Any]
) -> str | None:
    try:
        if accepts.holds(names):
            return None
    except ExpressionError as error:
        return f"{handler.plugin} cannot evaluate its condition: {error.why}"
    return f"{handler.plugin} accepts {accepts.source}"


async def _costly_refusal(
    handler: Handler | RemoteHandler, accepts: Predicate, names: dict[str, Any]
) -> str | None:
    try:
        holds = await accepts.decide(names)
    except ExpressionError as error:
        return f"{handler.plugin} cannot evaluate its condition: {error.why}"
    return None if holds else f"{handler.plugin} accepts {accepts.source}"


def _plain(topic: str, message: Any) -> Any:
    try:
        return to_plain(message)
    except (TypeError, QtForgeError) as error:
        raise InvalidMessageError(
            topic, f"it cannot be converted to plain values for a condition: {error}"
        ) from error
