"""The result cache: a handler's result is reused for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.durations import seconds
from qtforge_sdk.policies import Cache

__all__ = ["CacheStore", "CachedAnswer", "ResultCache", "SingleFlight", "cache_key"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.policies")
_NATIVE: Final = (bytes, bytearray, memoryview)


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A result, and its source.

    Attributes:
        value: The result: the handler's object where ``source`` is ``handler`` or ``shared``,
            plain values (as in the journal) where it is ``cache``.
        source: ``handler``, ``cache``, or ``shared``: the result of a concurrent request for
            the same key.
    """

    value: Any
    source: str


class CacheStore(Protocol):
    """Stores bytes by key for a limited time, up to a limit; it may lose entries.

    Times are seconds since 1970, because a store may outlive its process.
    """

    async def get(self, key: str, now_s: float) -> bytes | None:
        """Return a value that was put, unless it has expired or is damaged."""

    async def put(
        self, key: str, value: bytes, *, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Store a value, replacing an earlier one of that key.

        Args:
            key: From `cache_key`.
            value: The value; one that is too large for the store is not stored.
            topic: The topic that ``max_entries`` applies to.
            now_s: The time.
            ttl_s: How long the value may be used, in seconds.
            max_entries: The most entries of the topic; others are dropped.
        """

    async def clear(self, topic: str | None = None) -> int:
        """Drop the entries of a topic, or all; return how many."""

    async def close(self) -> None:
        """Close the store; it is not used afterwards."""


class ResultCache:
    """Results from a store, or from the handler: at most one call at a time for each key.

    Args:
        store: Stores the results; the cache closes it.
        clock: Tells when results expire.
    """

    def __init__(self, store: CacheStore, clock: Clock) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._flights: Final[SingleFlight[CachedAnswer]] = SingleFlight()

    async def answer(
        self, policy: Cache, topic: str, key: str, ask: Callable[[], Awaitable[Any]]
    ) -> CachedAnswer:
        """Return the result for a key, calling the handler only when it is not cached.

        Concurrent requests for the key wait for the first one and share its result or error;
        when it is cancelled, the next one calls the handler. Errors are not cached.

        Args:
            policy: How long results may be used, and how many are stored.
            topic: The topic that the policy's ``max_entries`` applies to.
            key: From `cache_key`.
            ask: Calls the handler; it should have a deadline, because others may wait for it.
        """
        ttl_s = seconds(policy.ttl)

        async def lead() -> CachedAnswer:
            found = await self._find(key)
            if found is not msgspec.UNSET:
                return CachedAnswer(value=found, source="cache")
            value = await ask()
            await self._put(policy, topic, key, value, ttl_s)
            return CachedAnswer(value=value, source="handler")

        answer, led = await self._flights.run(key, lead)
        if led or answer.source == "cache":
            return answer
        return CachedAnswer(value=answer.value, source="shared")

    async def clear(self, topic: str | None = None) -> int:
        """Drop the results of a topic, or all; return how many."""
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
            return msgspec.UNSET  # the handler is called, and the entry replaced

    async def _put(self, policy: Cache, topic: str, key: str, value: Any, ttl_s: float) -> None:
        try:
            encoded = msgspec.msgpack.encode(to_plain(value))
        except (TypeError, ValueError, OverflowError) as error:
            _LOG.warning("a result of '%s' can't be stored in the result cache: %s", topic, error)
            return
        await self._store.put(
            key,
            encoded,
            topic=topic,
            now_s=self._clock.now().timestamp(),
            ttl_s=ttl_s,
            max_entries=policy.max_entries,
        )


def cache_key(topic: str, plugin: str, version: str, message: Any) -> str:
    """Return the cache key of a request: the same for the same content, in every process.

    The message is converted to plain values, with mappings and sets in a fixed order; so a
    Struct and the mapping of its fields have the same key.

    Args:
        topic: The topic.
        plugin: The plugin that handles it.
        version: That plugin's version; another version has another key.
        message: The request's message.

    Returns:
        64 hexadecimal digits, a SHA-256.

    Raises:
        TypeError: Something in the message can't be converted to plain values.

    >>> a = cache_key("a.b", "plug", "1.0", {"x": 1, "y": 2})
    >>> a == cache_key("a.b", "plug", "1.0", {"y": 2, "x": 1}), len(a)
    (True, 64)
    """
    # Dates become text in both passes; `str_keys` makes keys comparable, so that they sort.
    plain = msgspec.to_builtins(
        message, builtin_types=_NATIVE, str_keys=True, order="deterministic"
    )
    encoded = msgspec.msgpack.encode([topic, plugin, version, plain], order="sorted")
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    return hashlib.sha256(encoded).hexdigest()


class _Done(msgspec.Struct, Generic[T], frozen=True):
    value: T


class _Failed(msgspec.Struct, frozen=True):
    error: Exception


class _LeaderCancelled:
    """The call was cancelled: the next one in the queue does the work."""


class SingleFlight(Generic[T]):
    """Does the work for a key once; concurrent calls with the key share the result.

    When the work fails, all of them get its exception. When the call that does it is cancelled,
    the next one starts over with its own function. For use on one event loop.
    """

    def __init__(self) -> None:
        self._flights: Final[dict[str, asyncio.Future[_Done[T] | _Failed | _LeaderCancelled]]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Do the work, or wait for the call that does it.

        Args:
            key: Identifies the work.
            work: Does it; it should have a deadline of its own, because others wait.

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
        outcome: _Done[T] | _Failed | _LeaderCancelled = _LeaderCancelled()
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
