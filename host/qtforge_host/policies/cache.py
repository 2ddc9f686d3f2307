"""The result cache: a question that was answered is not asked again for a while."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from qtforge_host.durations import seconds
from qtforge_host.policies.cache_store import CacheStore
from qtforge_host.policies.single_flight import SingleFlight
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.policies import Cache

__all__ = ["CachedAnswer", "ResultCache"]

_LOG: Final = logging.getLogger("qtforge.policies")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """An answer, and where it is from.

    Attributes:
        value: The answer: as the handler gave it where ``source`` is ``handler`` or
            ``shared``, its plain form (as in the journal) where it is ``cache``.
        source: ``handler``, ``cache``, or ``shared``: another that asked at the same time
            was answered.
    """

    value: Any
    source: str


class ResultCache:
    """Answers from a store; asks at most once at a time for each key.

    Args:
        store: Where answers are kept; the cache closes it.
        clock: Whose time counts.
    """

    def __init__(self, store: CacheStore, clock: Clock) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._flights: Final[SingleFlight[CachedAnswer]] = SingleFlight()

    async def answer(
        self, policy: Cache, topic: str, key: str, ask: Callable[[], Awaitable[Any]]
    ) -> CachedAnswer:
        """Return the answer of a question, asking only where it is not known.

        Whoever asks at the same time waits for the first, shares its answer or its error,
        and asks itself when the first is cancelled. Errors are not kept.

        Args:
            policy: For how long, and how many.
            topic: Whose entries the policy's ``max_entries`` counts.
            key: From `cache_key`.
            ask: Asks the handler; it should have a deadline, since others may wait for it.

        Raises:
            ValueError: The policy's ``ttl`` is not a duration.
        """
        ttl_s = seconds(policy.ttl)

        async def lead() -> CachedAnswer:
            found = await self._find(key)
            if found is not msgspec.UNSET:
                return CachedAnswer(value=found, source="cache")
            value = await ask()
            await self._keep(policy, topic, key, value, ttl_s)
            return CachedAnswer(value=value, source="handler")

        answer, led = await self._flights.run(key, lead)
        if led or answer.source == "cache":
            return answer
        return CachedAnswer(value=answer.value, source="shared")

    async def clear(self, topic: str | None = None) -> int:
        """Forget a topic's answers, or all; return how many."""
        return await self._store.clear(topic)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _find(self, key: str) -> Any:
        encoded = await self._store.get(key, self._clock.now().timestamp())
        if encoded is None:
            return msgspec.UNSET
        try:
            return msgspec.msgpack.decode(encoded)
        except msgspec.DecodeError:
            return msgspec.UNSET  # answered anew, and put in its place

    async def _keep(self, policy: Cache, topic: str, key: str, value: Any, ttl_s: float) -> None:
        try:
            encoded = msgspec.msgpack.encode(to_plain(value))
        except (TypeError, ValueError, OverflowError) as error:
            _LOG.warning("an answer of '%s' can't be kept in the result cache: %s", topic, error)
            return
        await self._store.put(
            key,
            encoded,
            topic=topic,
            now_s=self._clock.now().timestamp(),
            ttl_s=ttl_s,
            max_entries=policy.max_entries,
        )
