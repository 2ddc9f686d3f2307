"""Where answers are kept: what each store does."""

from __future__ import annotations

from typing import Protocol

__all__ = ["CacheStore"]


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
