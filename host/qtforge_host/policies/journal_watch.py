"""`JournalWatch`: what the journal says of other processes, while there is something to share."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal, Standing

__all__ = ["JournalWatch"]

_LOOK_S: Final = 1.0  # between two looks
_IDLE_LOOKS: Final = 10  # after which nobody looks, until something is requested again


class JournalWatch:
    """Looks at `Journal.standing` once a second while it is in use; for use on one event loop.

    Args:
        journal: The journal.
        on_look: Called with what was found, and whether this process may have lost what it had
            of the journal since the look before.
        is_needed: Whether to go on although nothing was requested for a while.
    """

    def __init__(
        self,
        journal: Journal,
        on_look: Callable[[Standing, bool], Awaitable[None]],
        is_needed: Callable[[], bool],
    ) -> None:
        self._journal: Final = journal
        self._on_look: Final = on_look
        self._is_needed: Final = is_needed
        self._looking: Final = asyncio.Lock()
        self._looked_at_s = -math.inf
        self._fresh_until_s = -math.inf
        self._is_used = False  # since the last look
        self._idle_looks = 0
        self._next: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_fresh(self) -> bool:
        """Whether this process surely has what it had of the journal at the last look."""
        return self._fresh_until_s == math.inf or time.monotonic() < self._fresh_until_s

    @property
    def looked_at_s(self) -> float:
        """When the last look began, by `time.monotonic`."""
        return self._looked_at_s

    @property
    def is_awake(self) -> bool:
        """Whether the next look comes by itself."""
        return self._next is not None or self._task is not None

    def note_use(self) -> None:
        """Note that something is requested."""
        self._is_used = True

    async def refresh(self) -> None:
        """Look now, unless that was just done.

        Raises:
            StorageError: The journal does not answer.
        """
        self.note_use()
        if not self._is_current():
            async with self._looking:
                if not self._is_current():
                    await self._look()
        self._schedule()

    def _is_current(self) -> bool:
        return self.is_fresh and time.monotonic() < self._looked_at_s + _LOOK_S

    async def close(self) -> None:
        """Look no more."""
        self._is_closed = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        begun_s = time.monotonic()
        was_fresh = self.is_fresh
        standing = await self._journal.standing()
        lives_for_s = standing.lives_for_s
        self._fresh_until_s = math.inf if lives_for_s is None else begun_s + lives_for_s
        self._looked_at_s = begun_s
        await self._on_look(standing, not was_fresh)

    def _schedule(self) -> None:
        if not self._is_closed and not self.is_awake:
            # No sleeping task: a clock of tests may wait until every task waits for it.
            self._next = asyncio.get_running_loop().call_later(_LOOK_S, self._begin)

    def _begin(self) -> None:
        self._next = None
        self._task = asyncio.ensure_future(self._look_again())

    async def _look_again(self) -> None:
        try:
            async with self._looking:
                await self._look()
        except QtForgeError:
            pass  # those who need an answer say so
        finally:
            self._task = None
        self._idle_looks = 0 if self._is_used else self._idle_looks + 1
        self._is_used = False
        if self._idle_looks < _IDLE_LOOKS or self._is_needed():
            self._schedule()
