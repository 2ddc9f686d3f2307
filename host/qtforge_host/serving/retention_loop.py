"""Delete old runs while the process stays up, as ``[retention]`` says."""

from __future__ import annotations

import datetime
import hashlib
import logging
from typing import Final

import msgspec

from qtforge_host.config.retention import RetentionSettings
from qtforge_host.run_files import RunFiles
from qtforge_host.runs.retention import Retention
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal

__all__ = ["RetentionLoop"]

_LOG: Final = logging.getLogger("qtforge.retention")
_KEY: Final = "retention"  # of the value with the last pass
_LIMIT: Final = "retention of runs"  # not the name of a topic, whose limits are beside it
_SHORTEST_S: Final = 60.0
_LONGEST_S: Final = 3600.0
_PAUSE_S: Final = 0.1  # between two batches: what runs write comes first


class _Pass(msgspec.Struct, frozen=True, kw_only=True):
    """The last time that old runs were deleted, by any process of the journal."""

    at: datetime.datetime
    policy: str


class RetentionLoop:
    """Deletes old runs again and again; of the processes of a journal one does it at a time.

    Args:
        settings: When runs are deleted.
        journal: The runs.
        files: The files of runs on this machine.
        clock: The time; that of the journal where several processes share it.
    """

    def __init__(
        self, settings: RetentionSettings, journal: Journal, files: RunFiles, clock: Clock
    ) -> None:
        self._journal = journal
        self._files = files
        self._clock = clock
        self._retention = Retention(settings, journal, files)
        self._policy = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
        self._interval_s = min(max(settings.shortest_s / 10, _SHORTEST_S), _LONGEST_S)
        self._is_on = bool(settings)

    async def run(self) -> None:
        """Delete what is too old, until cancelled; nothing where everything is kept."""
        if not self._is_on:
            return
        while True:
            try:
                await self._take_turn()
            except QtForgeError as error:  # such as a full disk, or a journal that is away
                _LOG.error("old runs are not deleted: %s", error)
            await self._clock.sleep(self._interval_s)

    async def _take_turn(self) -> None:
        try:
            if await self._is_alone() and await self._is_due():
                await self._delete()
        finally:
            await self._hold(0)
        # Those of this machine, also of runs that a process on another one has deleted.
        await self._files.sweep(self._journal)

    async def _delete(self) -> None:
        removed = await self._retention.apply(self._clock.now(), pause=self._pause)
        if removed.count:
            _LOG.info("deleted %d old runs, %d of them children", removed.count, removed.children)
        done = msgspec.json.encode(_Pass(at=self._clock.now(), policy=self._policy))
        _, revision = await self._last()
        await self._journal.keep_value(_KEY, done, revision)

    async def _is_alone(self) -> bool:
        """Return whether this process alone deletes: it holds the only place, until it ends."""
        return await self._hold(1) == 1

    async def _is_due(self) -> bool:
        """Return whether the last pass was long ago, or followed another policy."""
        last, _ = await self._last()
        if last is None or last.policy != self._policy:
            return True
        age_s = (self._clock.now() - last.at).total_seconds()
        return not 0 <= age_s < self._interval_s / 2  # the clock may have been set back

    async def _last(self) -> tuple[_Pass | None, int]:
        for each in await self._journal.kept_values(_KEY):
            if each.key == _KEY:
                try:
                    return msgspec.json.decode(each.data, type=_Pass), each.revision
                except msgspec.DecodeError:
                    return None, each.revision
        return None, 0

    async def _hold(self, wanted: int) -> int:
        return (await self._journal.hold(_LIMIT, 1, using=0, wanted=wanted)).held

    async def _pause(self) -> None:
        await self._clock.sleep(_PAUSE_S)
