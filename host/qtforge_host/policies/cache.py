"""The result cache: a question that was answered is not asked again for a while."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from qtforge_host.durations import seconds
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.policies import Cache

__all__ = ["CacheStore", "CachedAnswer", "ResultCache", "SingleFlight", "cache_key"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class _HandedOver:
    """Whoever led was cancelled: the next in the queue leads."""


class SingleFlight(Generic[T]):
    """The first to ask for a key does the work; those that come meanwhile share its result.

    When it fails, they get its exception. When it is cancelled, the first of them does the
    work anew, with its own function. For use on one event loop.
    """

    def __init__(self) -> None:
        self._flights: Final[dict[str, asyncio.Future[_Done[T] | _Failed | _HandedOver]]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Do the work, or wait for who does it.

        Args:
            key: What is asked for.
            work: How to do it; it should have a deadline of its own, since others wait.

        Returns:
            The result, and whether this call did the work itself.
        """
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait((flight,))  # being cancelled here leaves the flight alone
            outcome = flight.result()
            if isinstance(outcome, _Done):
                return outcome.value, False
            if isinstance(outcome, _Failed):
                raise outcome.error
        return await self._lead(key, work), True

    async def _lead(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        outcome: _Done[T] | _Failed | _HandedOver = _HandedOver()
        try:
            value = await work()
            outcome = _Done(value)
            return value
        except Exception as error:
            outcome = _Failed(error)
            raise
        finally:  # also when cancelled or when the process is to exit
            del self._flights[key]
            flight.set_result(outcome)


class CacheStore(Protocol):
    """Keeps bytes by key, for a while and up to a bound; losing some is no failure.

    Times are seconds since 1970, since a store may outlive its process.
    """

    async def get(self, key: str, now_s: float) -> bytes | None:
        """Return what was put, unless its time is over or it is no longer sound."""

    async def put(
        self, key: str, value: bytes, *, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Keep a value, in the place of an earlier one of that key.

        Args:
            key: From `cache_key`.
            value: What to keep; one that is too large for the store is not kept.
            topic: Whose entries ``max_entries`` counts.
            now_s: The time.
            ttl_s: How long it may be used, in seconds.
            max_entries: How many of the topic's are kept; others make room.
        """

    async def clear(self, topic: str | None = None) -> int:
        """Drop a topic's entries, or all; return how many."""

    async def close(self) -> None:
        """Let go of everything; the store is not used afterwards."""


_NATIVE: Final = (bytes, bytearray, memoryview)


def cache_key(topic: str, plugin: str, version: str, message: Any) -> str:
    """Return the key of a question: the same for the same content, in every process.

    The message counts as its plain form, with mappings and sets in a fixed order; so a
    Struct and the mapping of its fields are one question.

    Args:
        topic: What is asked.
        plugin: Who is asked.
        version: That plugin's version; another version is another question.
        message: With what.

    Returns:
        64 hexadecimal digits, a SHA-256.

    Raises:
        TypeError: Something in the message has no plain form.

    >>> a = cache_key("a.b", "plug", "1.0", {"x": 1, "y": 2})
    >>> a == cache_key("a.b", "plug", "1.0", {"y": 2, "x": 1}), len(a)
    (True, 64)
    """
    # Dates become text in both passes; `str_keys` makes keys comparable, so sortable.
    plain = msgspec.to_builtins(
        message, builtin_types=_NATIVE, str_keys=True, order="deterministic"
    )
    encoded = msgspec.msgpack.encode([topic, plugin, version, plain], order="sorted")
    return hashlib.sha256(encoded).hexdigest()


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
