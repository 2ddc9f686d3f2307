"""`Placements`: which of several nodes holds the data of plugins that keep it on one node."""

from __future__ import annotations

import functools
import logging
import math
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from qtforge_sdk.files import exclusive_lock, write_atomically
from qtforge_sdk.journal import Announcement
from qtforge_sdk.placement import Placement
from qtforge_sdk.validation import decoded

__all__ = ["Placements", "known_placements", "placements_path"]

_LOG: Final = logging.getLogger("qtforge.host")
_FILE: Final = "placements.json"
_MOST: Final = 1000  # plugins in the file
_LOCK_S: Final = 5.0


class _Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """The node that holds a plugin's data."""

    placement: Placement
    node: str


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """The file: what this state directory has, and the first other one of each plugin."""

    own: dict[str, Placement] = {}
    elsewhere: dict[str, _Elsewhere] = {}


def placements_path(state_dir: Path) -> Path:
    """Return the file in a state directory that says where plugins' data are."""
    return state_dir / _FILE


def known_placements(state_dir: Path) -> dict[str, str]:
    """Return the plugins whose data another node holds, with its name, as the file says it."""
    known = _read(placements_path(state_dir))
    return {
        name: other.node
        for name, other in known.elsewhere.items()
        if name not in known.own or other.placement < known.own[name]
    }


class Placements:
    """The placements of plugins, as far as this process and those before it have learnt them.

    A node that is away for a while still holds its data, so what is learnt is kept in a file. The
    file is made when other nodes can be asked for the first time.

    Args:
        state_dir: The state directory.

    Attributes:
        on_change: Called when another node holds a plugin's data than before.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir: Final = state_dir
        self._known = _Known()
        self._elsewhere: Mapping[str, str] = MappingProxyType({})
        self._own: dict[str, Placement] = {}
        self.on_change: list[Callable[[], None]] = []

    @functools.cached_property
    def _place(self) -> str:
        """This state directory among those of all machines; few hosts are asked for it."""
        import hashlib  # its first import makes OpenSSL ready, in 3 ms

        place = f"{socket.gethostname()} {self._state_dir}"
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    @property
    def own(self) -> Mapping[str, Placement]:
        """The plugins of this process that keep data on one node, and their placement here."""
        return self._own

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """The plugins of this process whose data another node holds, with its name."""
        return self._elsewhere

    def share(self, plugins: Mapping[str, Path], *, answers: bool) -> None:
        """Say that other nodes may have plugins too that keep data on one node.

        Args:
            plugins: Those of this process, with their own folders.
            answers: Whether it answers other nodes or takes runs; a process that only asks leaves
                plugins to any node that has them.
        """
        if not plugins:
            return
        path = placements_path(self._state_dir)
        try:
            with exclusive_lock(path, _LOCK_S):
                known = _read(path)
                own = self._placed(plugins, known.own, time.time() if answers else math.inf)
                if answers and {**known.own, **own} != known.own:
                    known = msgspec.structs.replace(known, own={**known.own, **own})
                    write_atomically(path, msgspec.json.encode(known))
        except OSError as error:  # such as a disk that can only be read
            _LOG.warning("%s can't be written: %s", path, error.strerror or error)
            known, own = _Known(), self._placed(plugins, {}, math.inf)
        self._known, self._own = known, own
        self._compare()

    def _placed(
        self, plugins: Mapping[str, Path], before: Mapping[str, Placement], now_s: float
    ) -> dict[str, Placement]:
        found = {}
        for name, folder in plugins.items():
            new = Placement(
                empty=math.isinf(now_s) or not _has_data(folder), since=now_s, place=self._place
            )
            # A state directory that was copied, or whose host was renamed, is another place.
            found[name] = msgspec.structs.replace(before.get(name, new), place=self._place)
        return found

    def observe(self, plugin: str, placement: Placement, node: str) -> None:
        """Notice that another node has a plugin that keeps its data on one node.

        Args:
            plugin: The plugin.
            placement: Where it is.
            node: The node's name, for people.
        """
        own = self._own.get(plugin)
        before = self._known.elsewhere.get(plugin)
        if own is None or placement.place == self._place:
            return
        if before is not None and before.placement <= placement:
            return
        path = placements_path(self._state_dir)
        found = _Elsewhere(placement=placement, node=node)
        try:
            with exclusive_lock(path, _LOCK_S):
                known = _read(path)
                other = known.elsewhere.get(plugin)
                if other is None or placement < other.placement:
                    elsewhere = {**known.elsewhere, plugin: found}
                    known = msgspec.structs.replace(known, elsewhere=elsewhere)
                    if len(elsewhere) <= _MOST:
                        write_atomically(path, msgspec.json.encode(known))
                self._known = known
        except OSError as error:  # it holds for this process
            _LOG.warning("%s can't be written: %s", path, error.strerror or error)
            elsewhere = {**self._known.elsewhere, plugin: found}
            self._known = msgspec.structs.replace(self._known, elsewhere=elsewhere)
        self._compare()

    def observe_all(self, others: Iterable[Announcement]) -> None:
        """Notice what other processes have, as they say it in the journal that all share."""
        for other in others:
            for plugin, placement in other.placements.items():
                self.observe(plugin, placement, other.node)

    def first(self, plugin: str) -> Placement | None:
        """Return the first placement of a plugin that this process has or has learnt of."""
        other = self._known.elsewhere.get(plugin)
        found = [each for each in (self._own.get(plugin), other and other.placement) if each]
        return min(found, default=None)

    def _compare(self) -> None:
        found = {
            name: other.node
            for name, other in self._known.elsewhere.items()
            if name in self._own and other.placement < self._own[name]
        }
        if found == self._elsewhere:
            return
        for name in found.keys() - self._elsewhere.keys():
            _LOG.info(
                "the data of the plugin %s are on the node %s, which answers for it", name,
                found[name],
            )  # fmt: skip
        self._elsewhere = MappingProxyType(found)
        for each in self.on_change:
            each()


def _read(path: Path) -> _Known:
    try:
        return decoded(msgspec.json.Decoder(_Known).decode, path.read_bytes())
    except FileNotFoundError:
        return _Known()
    except (OSError, msgspec.DecodeError) as error:
        _LOG.warning("%s can't be read, so it is made anew: %s", path, error)
        return _Known()


def _has_data(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
