"""A topic's route: its wrappers and handlers, compiled when registrations change."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from qtforge_host.bus.deadline import DeadlineExceeded, run_before
from qtforge_host.bus.handler import Handler, failed
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
    """

    def __init__(
        self, topic: str, handlers: Sequence[Handler], wrappers: Sequence[Handler]
    ) -> None:
        self.topic = topic
        self.handlers = tuple(handlers)
        self.wrappers = tuple(wrappers)
        only = self.handlers[0] if len(self.handlers) == 1 else None
        self.only = only if only is not None and only.accepts is None and not wrappers else None

    async def dispatch(self, envelope: Envelope, listener: ProgressListener | None) -> Any:
        """Return the answer, through every wrapper.

        Raises:
            BusError: As `Bus.request` says.
        """
        return await self._from(0, envelope, listener, envelope.payload)

    async def _from(
        self, depth: int, envelope: Envelope, listener: ProgressListener | None, message: Any
    ) -> Any:
        if depth == len(self.wrappers):
            handler = self.choose(envelope, message)
            return await handler.call(envelope, message, listener)
        wrapper = self.wrappers[depth]

        async def proceed(passed_on: Any) -> Any:
            return await self._from(depth + 1, envelope, listener, passed_on)

        return await _wrap(wrapper, envelope, listener, message, proceed)

    def choose(self, envelope: Envelope, message: Any) -> Handler:
        """Return the handler to ask: of the first rank that accepts, the least busy one.

        Raises:
            NoHandlerError: Nobody accepts the message.
        """
        chosen: Handler | None = None
        names: dict[str, Any] | None = None
        refusals: list[str] = []
        for handler in self.handlers:
            if chosen is not None and handler.rank > chosen.rank:
                break
            if envelope.plugin is not None and handler.plugin != envelope.plugin:
                continue
            if handler.accepts is not None:
                if names is None:
                    names = {"message": _plain(self.topic, message)}
                try:
                    if not handler.accepts.holds(names):
                        refusals.append(f"{handler.plugin} accepts {handler.accepts.source}")
                        continue
                except ExpressionError as error:
                    refusals.append(f"{handler.plugin} can't tell whether it accepts: {error.why}")
                    continue
            if chosen is None or handler.counters.outstanding < chosen.counters.outstanding:
                chosen = handler
        if chosen is None:
            raise self._nobody(envelope.plugin, refusals)
        return chosen

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


def _plain(topic: str, message: Any) -> Any:
    try:
        return to_plain(message)
    except (TypeError, QtForgeError) as error:
        raise InvalidMessageError(
            topic, f"it has no plain form to be judged by: {error}"
        ) from error
