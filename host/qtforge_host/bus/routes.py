"""A topic's route: its wrappers and handlers, compiled when registrations change."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from qtforge_host.bus.deadline import DeadlineExceeded, run_before
from qtforge_host.bus.guard import Guard
from qtforge_host.bus.handler import Handler, Predicate, failed
from qtforge_host.bus.transport import Envelope
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import (
    BusError,
    ExpressionError,
    InvalidMessageError,
    NoHandlerError,
    OverloadedError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import ProgressListener

__all__ = ["Route"]

# A wrapper gets a moment more than the handler inside it, so that the handler is named.
_WRAPPER_GRACE_S = 0.05


class Route:
    """Who answers a topic.

    Args:
        topic: The topic.
        handlers: In the order in which they are asked.
        wrappers: Outermost first.
        guard: The topic's policies, or None for none.
    """

    def __init__(
        self,
        topic: str,
        handlers: Sequence[Handler],
        wrappers: Sequence[Handler],
        guard: Guard | None = None,
    ) -> None:
        self.topic = topic
        self._guard = guard
        self.handlers = tuple(handlers)
        self.wrappers = tuple(wrappers)
        only = self.handlers[0] if len(self.handlers) == 1 else None
        plain = only is not None and only.accepts is None and not wrappers and guard is None
        self.only = only if plain else None

    async def dispatch(self, envelope: Envelope, listener: ProgressListener | None) -> Any:
        """Return the answer, through every wrapper.

        Raises:
            BusError: As `Bus.request` says.
        """
        if self._guard is None:
            return await self._from(0, envelope, listener, envelope.payload)
        async with self._guard.turn(envelope.deadline):
            return await self._from(0, envelope, listener, envelope.payload)

    async def _from(
        self, depth: int, envelope: Envelope, listener: ProgressListener | None, message: Any
    ) -> Any:
        if depth == len(self.wrappers):
            handler = self.choose(envelope, message)
            if self._guard is None:
                return await handler.call(envelope, message, listener)
            return await self._guarded(self._guard, handler, envelope, listener, message)
        wrapper = self.wrappers[depth]

        async def proceed(passed_on: Any) -> Any:
            return await self._from(depth + 1, envelope, listener, passed_on)

        return await _wrap(wrapper, envelope, listener, message, proceed)

    def choose(self, envelope: Envelope, message: Any) -> Handler:
        """Return the handler to ask: of the first rank that accepts, the least busy one.

        A plugin whose breaker is open is passed over; an unhealthy one is asked only where
        no other can be.

        Raises:
            NoHandlerError: Nobody accepts the message.
            PolicyError: The breakers of all that accept it are open.
        """
        chosen: Handler | None = None
        unhealthy: Handler | None = None
        names: dict[str, Any] | None = None
        refusals: list[str] = []
        barred: Exception | None = None
        for handler in self.handlers:
            if chosen is not None and handler.rank > chosen.rank:
                break
            if envelope.plugin is not None and handler.plugin != envelope.plugin:
                continue
            if handler.accepts is not None:
                names = names or {"message": _plain(self.topic, message)}
                refusal = _refusal(handler, handler.accepts, names)
                if refusal is not None:
                    refusals.append(refusal)
                    continue
            if self._guard is not None:
                closed = self._guard.refusal(handler.plugin)
                if closed is not None:
                    barred = barred or closed
                    continue
                if not self._guard.is_healthy(handler.plugin):
                    unhealthy = unhealthy or handler
                    continue
            if chosen is None or handler.counters.outstanding < chosen.counters.outstanding:
                chosen = handler
        found = chosen or unhealthy
        if found is None:
            raise barred or self._nobody(envelope.plugin, refusals)
        return found

    async def _guarded(
        self,
        guard: Guard,
        handler: Handler,
        envelope: Envelope,
        listener: ProgressListener | None,
        message: Any,
    ) -> Any:
        permit = guard.before(handler.plugin)
        try:
            answer = await handler.call(envelope, message, listener)
        except BaseException as error:
            guard.after(handler.plugin, permit, error)
            raise
        guard.after(handler.plugin, permit, None)
        return answer

    def _nobody(self, plugin: str | None, refusals: list[str]) -> NoHandlerError:
        if refusals:
            return NoHandlerError(
                self.topic,
                "none accepts this message: " + "; ".join(refusals),
                "install a plugin that accepts it",
            )
        others = ", ".join(sorted({handler.plugin for handler in self.handlers}))
        return NoHandlerError(self.topic, f"'{plugin}' does not; {others} would")


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
        message = wrapper.fit(message)
        context = wrapper.context(envelope, listener)
        work = wrapper.method(message, context, proceed)
        return await run_before(envelope.deadline + _WRAPPER_GRACE_S, work)
    except DeadlineExceeded:
        counters.errors += 1
        counters.timeouts += 1
        raise RequestTimeoutError(
            wrapper.topic, envelope.timeout_s, wrapper.plugin, wrapper.version
        ) from None
    except (BusError, InvalidMessageError, OverloadedError):
        raise  # the handler's own, on its way out
    except (Exception, SystemExit) as error:
        counters.errors += 1
        raise failed(wrapper.topic, wrapper.plugin, wrapper.version, error) from error
    finally:
        counters.outstanding -= 1
        counters.ended(time.monotonic() - started)


def _refusal(handler: Handler, accepts: Predicate, names: dict[str, Any]) -> str | None:
    try:
        if accepts.holds(names):
            return None
    except ExpressionError as error:
        return f"{handler.plugin} can't tell whether it accepts: {error.why}"
    return f"{handler.plugin} accepts {accepts.source}"


def _plain(topic: str, message: Any) -> Any:
    try:
        return to_plain(message)
    except (TypeError, QtForgeError) as error:
        raise InvalidMessageError(
            topic, f"it has no plain form to be judged by: {error}"
        ) from error
