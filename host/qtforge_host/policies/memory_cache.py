"""A cache store in memory, for tests and for hosts without a state directory."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

__all__ = ["MemoryCache"]

_MAX_BYTES: Final = 64 * 2**20


class _Entry(msgspec.Struct, frozen=True):
    value: bytes
    topic: str
    expires_at_s: float


class MemoryCache:
    """Stores the most recently used entries.

    Args:
        max_bytes: The most bytes of all values together; default 64 MiB.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes: Final = max_bytes
        self._entries: Final[OrderedDict[str, _Entry]] = OrderedDict()  # latest use last
        self._of_topic: Final[dict[str, OrderedDict[str, None]]] = {}
        self._bytes = 0

    async def get(self, key: str, now_s: float) -> bytes | None:
        """Return a value that was put, unless it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now_s >= entry.expires_at_s:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        self._of_topic[entry.topic].move_to_end(key)
        return entry.value

    async def put(
        self, key: str, value: bytes, *, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Store a value; the least recently used entries are dropped where there is no room."""
        if key in self._entries:
            self._drop(key)
        if len(value) > self._max_bytes:
            return
        self._entries[key] = _Entry(value, topic, now_s + ttl_s)
        siblings = self._of_topic.setdefault(topic, OrderedDict())
        siblings[key] = None
        self._bytes += len(value)
        while len(siblings) > max_entries:
            self._drop(next(iter(siblings)))
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def clear(self, topic: str | None = None) -> int:
        """Drop the entries of a topic, or all; return how many."""
        keys = [*(self._entries if topic is None else self._of_topic.get(topic, ()))]
        for key in keys:
            self._drop(key)
        return len(keys)

    async def close(self) -> None:
        """Drop everything."""
        await self.clear()

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key)
        siblings = self._of_topic[entry.topic]
        del siblings[key]
        if not siblings:
            del self._of_topic[entry.topic]
        self._bytes -= len(entry.value)
