"""The other processes that take runs from the same journal, and what that means for this one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from qtforge_host.runs.versions import majors
from qtforge_sdk.journal import Announcement, Journal, JournalOwner

__all__ = ["Peers", "Plugins", "plugins_of"]

Plugins = Collection[tuple[str, str]]
"""Plugins by name, each with the first number of its version."""

_AHEAD: Final = 1.25  # times as many runs as the others
_FRESH_S: Final = 0.25  # for which the number of runs of other processes is believed


def plugins_of(versions: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return plugins, each with the first number of its version."""
    return frozenset(majors(versions).items())


class Peers:
    """The live processes that have announced themselves in a journal, besides this one.

    Args:
        journal: The journal.

    Attributes:
        draining: Whether this process was requested to take nothing new.
        changes: How often other processes have come, ended or changed.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: str | None = None  # the nodes at the last look
        self._read_at = 0.0  # on the scale of `time.monotonic`
        self._others: Sequence[JournalOwner] = ()
        self._me: Announcement | None = None
        self.draining = False
        self.changes = 0

    async def announce(self, me: Announcement) -> None:
        """Say what this process is."""
        await self._journal.announce(me)
        self._me = me
        self._known = None

    async def refresh(self) -> None:
        """Learn what has changed; the journal is only read then."""
        standing = await self._journal.standing()
        self.draining = standing.draining
        if standing.nodes == self._known:
            return
        await self._read(standing.owner)
        self._known = standing.nodes
        self.changes += 1

    async def refresh_counts(self, executing: int) -> None:
        """Read how many runs the others execute, where that matters, and unless it was just done.

        Args:
            executing: How many runs this process executes. Without any it takes what it can, unless
                others have newer plugins.
        """
        if not self._others or not (executing or any(self._newer())):
            return
        if time.monotonic() - self._read_at > _FRESH_S:
            await self._read((await self._journal.standing()).owner)

    async def _read(self, mine: str) -> None:
        owners = await self._journal.owners()
        self._read_at = time.monotonic()
        self._others = [each for each in owners if each.announcement and each.owner != mine]

    def count(self) -> int:
        """Return how many processes share queued runs with this one, itself included."""
        mine = set(self._pools())
        return 1 + sum(not mine.isdisjoint(each.pools) for each in self._active())

    def is_ahead(self, executing: int) -> bool:
        """Return whether this process executes clearly more runs than those that have room.

        Args:
            executing: How many runs it executes.
        """
        mine = set(self._pools())
        others = [
            each.runs
            for each in self._others
            if each.announcement is not None
            and not each.draining
            and each.runs < each.announcement.capacity
            and not mine.isdisjoint(each.announcement.pools)
        ]
        mean = (sum(others) + executing) / (len(others) + 1)
        return bool(others) and executing > _AHEAD * mean + 1

    def elsewhere(self) -> frozenset[tuple[str, str]]:
        """Return the plugins that other processes have, and this one has not."""
        found = frozenset[tuple[str, str]]().union(
            *(plugins_of(each.plugins) for each in self.announced())
        )
        return found - self._plugins()

    def have(self, needed: Plugins) -> bool:
        """Return whether another process has all of some plugins."""
        return any(plugins_of(each.plugins).issuperset(needed) for each in self.announced())

    def only_here(self) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Return the pools and plugins that no other process has that takes runs."""
        pools, plugins = set(self._pools()), set(self._plugins())
        for each in self._active():
            pools.difference_update(each.pools)
            plugins.difference_update(plugins_of(each.plugins))
        return frozenset(pools), frozenset(plugins)

    def newer(self) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Return for what new runs are left to others: those with newer plugins that have room.

        Returns:
            The pools that they have in common with this process, and the plugins of this process
            that are older than theirs.
        """
        pools, plugins = set[str](), set[tuple[str, str]]()
        for owner, older in self._newer():
            if owner.announcement and owner.runs < owner.announcement.capacity:
                pools.update(owner.announcement.pools)
                plugins.update(older)
        return frozenset(pools.intersection(self._pools())), frozenset(plugins)

    def _newer(self) -> Iterable[tuple[JournalOwner, set[tuple[str, str]]]]:
        """Give the processes with newer plugins, each with the plugins that are older here."""
        for owner in self._others:
            other, me = owner.announcement, self._me
            if me is not None and other is not None and not owner.draining:
                older = _older(me.plugins, other.plugins)
                if older and not _older(other.plugins, me.plugins):
                    yield owner, older

    def announced(self) -> Iterable[Announcement]:
        """Return what the other processes say of themselves."""
        return (each.announcement for each in self._others if each.announcement is not None)

    def _active(self) -> Iterable[Announcement]:
        return (
            each.announcement
            for each in self._others
            if each.announcement is not None and not each.draining
        )

    def _pools(self) -> Sequence[str]:
        return () if self._me is None else self._me.pools

    def _plugins(self) -> frozenset[tuple[str, str]]:
        return plugins_of({} if self._me is None else self._me.plugins)


def _older(these: Mapping[str, str], those: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return the plugins whose first number is lower than in the others' version."""
    older = {
        name: version
        for name, version in these.items()
        if name in those and _number(version) < _number(those[name])
    }
    return set(majors(older).items())


def _number(version: str) -> int:
    from packaging.version import InvalidVersion, Version  # slow to import

    try:
        return Version(version).major
    except InvalidVersion:
        return 0
