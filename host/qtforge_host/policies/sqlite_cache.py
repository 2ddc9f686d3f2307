"""A cache store in a SQLite file of the state directory; it outlives the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from qtforge_host.policies.cache_file import CacheFile, DamagedCacheError

__all__ = ["SqliteCache"]

T = TypeVar("T")
_LOG: Final = logging.getLogger("qtforge.policies")
_MAX_BYTES: Final = 256 * 2**20


class SqliteCache:
    """Keeps entries in a file, from a thread of its own; opens it when it is first needed.

    A damaged file is set aside as ``<name>.damaged``, in the place of an earlier one, and
    begun anew, with a warning. A file that can't be used (the disk is full, or not
    writable) makes every question a new one, with one warning. No caller ever sees an error.

    Args:
        path: The file.
        max_bytes: How much all values together may take; default 256 MiB.
    """

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path: Final = path
        self._max_bytes: Final = max_bytes
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="qtforge-cache")
        self._file: CacheFile | None = None  # touched by that thread only
        self._is_warned = False
        self._is_closed = False

    async def get(self, key: str, now_s: float) -> bytes | None:
        """Return what was put, unless its time is over or it is no longer sound."""
        return await self._do(lambda file: file.get(key, now_s), None)

    async def put(
        self, key: str, value: bytes, *, topic: str, now_s: float, ttl_s: float, max_entries: int
    ) -> None:
        """Keep a value; what was put longest ago makes room."""
        await self._do(lambda file: file.put(key, value, topic, now_s, ttl_s, max_entries), None)

    async def clear(self, topic: str | None = None) -> int:
        """Drop a topic's entries, or all; return how many."""
        return await self._do(lambda file: file.clear(topic), 0)

    async def close(self) -> None:
        """Close the file and end the thread; what is under way is finished first."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        finally:
            self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[CacheFile], T], otherwise: T) -> T:
        if self._is_closed:
            return otherwise
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._attempt, work, otherwise
        )

    def _attempt(self, work: Callable[[CacheFile], T], otherwise: T) -> T:
        try:
            with contextlib.suppress(DamagedCacheError):
                return work(self._opened())
            self._let_go()
            try:  # another process may have begun the file anew meanwhile
                return work(self._opened())
            except DamagedCacheError as error:
                self._set_aside(error)
                return work(self._opened())
        except (DamagedCacheError, sqlite3.Error, OSError) as error:
            if not self._is_warned:
                self._is_warned = True
                _LOG.warning("the result cache %s can't be used: %s", self._path, error)
            return otherwise

    def _opened(self) -> CacheFile:
        if self._file is None:
            self._file = CacheFile(self._path, self._max_bytes)
        return self._file

    def _set_aside(self, error: DamagedCacheError) -> None:
        self._let_go()
        aside = self._path.with_name(f"{self._path.name}.damaged")
        _LOG.warning(
            "the result cache %s is damaged (%s); it is kept as %s, and begun anew",
            self._path,
            error,
            aside.name,
        )
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):  # they belong to the damaged file
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
