"""Asks the bus in the name of a run's step, through the cache where the step has one."""

from __future__ import annotations

import time
from typing import Any

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.transport import Envelope
from qtforge_host.policies.cache import ResultCache
from qtforge_host.policies.cache_key import cache_key
from qtforge_host.runs.attempts import Answer, AskCall
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import OperationError
from qtforge_sdk.operations import ProgressListener

__all__ = ["Asker"]


class Asker:
    """Implements `qtforge_host.runs.attempts.Ask`.

    Args:
        bus: What is asked.
        cache: Where answers are kept; None where there is none.
    """

    def __init__(self, bus: MessageBus, cache: ResultCache | None) -> None:
        self._bus = bus
        self._cache = cache

    async def publish(self, topic: str, message: object) -> None:
        """Publish a message; see `MessageBus.publish`."""
        await self._bus.publish(topic, message)

    def topics(self) -> frozenset[str]:
        """Return the topics that somebody answers now, not only stands around."""
        found = self._bus.topics()
        return frozenset(
            topic for topic, handlers in found.items() if not all(each.wrapper for each in handlers)
        )

    async def __call__(self, call: AskCall, listener: ProgressListener, /) -> Answer:
        """Return the answer, and who gave it.

        Raises:
            QtForgeError: As `MessageBus.send`.
        """
        envelope = Envelope(
            call.topic,
            call.message,
            call.timeout_s,
            time.monotonic() + call.timeout_s,
            call.plugin,
            run_id=call.run_id,
            step=call.step,
            attempt=call.attempt,
            idempotency_key=f"{call.run_id}/{call.step}",
        )
        if call.cache is None or self._cache is None:
            return await self._bus.send(envelope, listener), envelope.served_by
        # Who will answer is not known before: a wrapper may change the message. So the versions
        # of all who might are part of the question.
        identity = repr(self._bus.answerers(call.topic))

        async def ask() -> Any:
            value = await self._bus.send(envelope, listener)
            return {"value": to_plain(value), "by": envelope.served_by}

        try:
            key = cache_key(call.topic, identity, "", call.message)
        except TypeError as error:
            what = f"the message of '{call.topic}' can't be looked up in the cache"
            raise OperationError("run.not_storable", what, str(error)) from error
        answer = (await self._cache.answer(call.cache, call.topic, key, ask)).value
        by = answer["by"]
        return answer["value"], None if by is None else (by[0], by[1])
