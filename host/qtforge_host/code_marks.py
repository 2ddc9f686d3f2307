"""Record which plugin code is executing, in a file that survives the process.

A plugin may end the process of ``serve`` outside the steps of runs: in its start, a hook, a
subscriber. The next ``serve`` would be ended in the same way, without a message. So ``serve``
counts the calls of plugin code in memory that is mapped to a file. A process that ends in order
removes the file; where one is left, it names the plugin in whose code the process before ended.

A mark costs a fraction of a microsecond. Code of the host's own distribution has no marks.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from qtforge_sdk.files import private_file

__all__ = ["UNMARKED", "AnyMark", "CodeMarks", "Death", "Mark", "Place"]

Place = Literal["import", "start", "stop", "health check", "hook", "subscriber"]

_PLUGINS: Final = 512  # those after it are not marked
_NAME_BYTES: Final = 120
_PLACES: Final = ("import", "start", "stop", "health check", "hook", "subscriber")
_HEADER: Final = 2  # the numbers of the last mark: its plugin's, its place's
_COUNTS: Final = 4 * (_HEADER + _PLUGINS)
_SIZE: Final = _COUNTS + _PLUGINS * _NAME_BYTES


class Death(NamedTuple):
    """The plugin code in which a process has ended.

    Attributes:
        plugin: The plugin's name.
        place: Where, such as ``start``; "" where that is not known.
    """

    plugin: str
    place: str


class Mark:
    """Counts the calls at one place of one plugin; a context manager that may be nested.

    Args:
        counts: The memory of a `CodeMarks`.
        plugin: The plugin's number.
        place: The place's number.
    """

    __slots__ = ("_counts", "_index", "_place", "_plugin")

    def __init__(self, counts: memoryview, plugin: int, place: int) -> None:
        self._counts: Final = counts
        self._plugin: Final = plugin
        self._place: Final = place
        self._index: Final = _HEADER + plugin

    def enter(self) -> None:
        """Note that a call begins."""
        counts = self._counts
        counts[self._index] += 1
        counts[0] = self._plugin
        counts[1] = self._place

    def leave(self) -> None:
        """Note that a call has ended."""
        self._counts[self._index] -= 1

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()


AnyMark = Mark | contextlib.nullcontext[None]

UNMARKED: Final[AnyMark] = contextlib.nullcontext()
"""Instead of the mark of code that has none."""


class CodeMarks:
    """The marks of a process, in its own memory, or in a file that outlives it.

    Args:
        path: The file; None for none. It belongs to one process at a time.

    Attributes:
        deaths: In whose code the process before has ended; empty where it ended in order.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._numbers: dict[str, int] = {}
        self._memory = memoryview(bytearray(_SIZE if path is not None else _COUNTS))
        self.deaths: tuple[Death, ...] = ()
        if path is not None:
            self.deaths = _read(path)
            with contextlib.suppress(OSError):  # such as a full disk: then there are no marks
                self._memory = _mapped(path)
        self._counts = self._memory[:_COUNTS].cast("I")

    def mark(self, plugin: str, place: Place, *, builtin: bool = False) -> AnyMark:
        """Return the mark of a place in a plugin's code.

        Args:
            plugin: The plugin's name.
            place: Which code it is.
            builtin: Whether it is of the host's own distribution, and has none.
        """
        if builtin or self._path is None:
            return UNMARKED
        number = self._numbers.setdefault(plugin, len(self._numbers))
        if number >= _PLUGINS:
            return UNMARKED
        name, at = plugin.encode()[:_NAME_BYTES], _COUNTS + number * _NAME_BYTES
        self._memory[at : at + len(name)] = name
        return Mark(self._counts, number, _PLACES.index(place))

    def close(self) -> None:
        """Remove the file: the process ends in order."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def _mapped(path: Path) -> memoryview:
    """Return new memory that is a file; what was there is removed."""
    path.unlink(missing_ok=True)
    private_file(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, _SIZE)  # without it, a full disk would end the process
        return memoryview(mmap.mmap(descriptor, _SIZE))
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[Death, ...]:
    """Return the calls that were in progress when the process that wrote a file ended."""
    try:
        content = path.read_bytes()
    except OSError:
        return ()
    if len(content) != _SIZE:
        return ()
    counts = memoryview(content)[:_COUNTS].cast("I")
    last, place = counts[0], counts[1]
    found = [number for number in range(_PLUGINS) if counts[_HEADER + number]]
    if last in found:  # of several, it was called last
        found = [last]

    def name(number: int) -> str:
        at = _COUNTS + number * _NAME_BYTES
        return content[at : at + _NAME_BYTES].rstrip(b"\0").decode("utf-8", "replace")

    where = _PLACES[place] if found == [last] and place < len(_PLACES) else ""
    return tuple(Death(name(number), where) for number in found)
