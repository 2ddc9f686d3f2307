"""A run's history as text that is the same in every execution, and stored copies of it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from qtforge_host.api.timeline import timeline
from qtforge_sdk import Record
from qtforge_sdk.records import RunResumed, RunWaiting

__all__ = ["Snapshot", "Timelines", "timeline_text"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TOOK: Final = re.compile(r" in \d+\.\d{3} s(?= by |,|$)|, \d+\.\d{3} s late")


def timeline_text(records: Iterable[Record], names: Mapping[str, str]) -> str:
    """Return a run's history, a line for each record, without ids and real durations.

    Where the run rested without a process, and where it was resumed, is left out.

    Args:
        records: All records of the run.
        names: What is written for the ids of runs.

    Returns:
        Lines that begin with the time since the run's start, ``1h30m`` for example.
    """
    shown = [each for each in records if not isinstance(each, RunWaiting) and not _is_quiet(each)]
    if not shown:
        return ""
    start = shown[0].at
    lines = []
    for entry in timeline(shown, time_text=lambda at: _offset(at - start)):
        text = _TOOK.sub("", entry.text)
        for run_id, name in names.items():
            text = text.replace(run_id, name)
        step = f"{entry.step}: " if entry.step else ""
        after = _offset(datetime.timedelta(seconds=entry.after_s))
        lines.append(f"{after:>8}  {step}{text}\n")
    return "".join(lines)


def _is_quiet(record: Record) -> bool:
    return isinstance(record, RunResumed) and not record.note and not record.died


def _offset(since: datetime.timedelta) -> str:
    tenths = max(0, round(since.total_seconds() * 10))
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if count
    ]
    if tenths or not parts:
        parts.append(f"{tenths / 10:g}s")
    return "".join(parts)


class Snapshot(str):
    """A stored timeline; equal to the timeline that it is the copy of.

    It is a text, so that pytest shows how it differs.
    """

    __slots__ = ("_target",)
    _target: Path | None

    @classmethod
    def of(cls, text: str, target: Path | None) -> Snapshot:
        """Return a stored timeline.

        Args:
            text: Its text.
            target: The file to which what it is compared with is written; None to compare.
        """
        made = cls(text)
        made._target = target
        return made

    def __eq__(self, other: object) -> bool:
        if self._target is None or not isinstance(other, str):
            return str.__eq__(self, other)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._target.write_text(other, encoding="utf-8")
        return True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class Timelines:
    """The stored timelines of a folder of tests.

    Args:
        folder: The files are there, ``NAME.txt``.
        update: Whether a comparison writes the file instead (``--update-timelines``).
    """

    def __init__(self, folder: Path, *, update: bool = False) -> None:
        self._folder = folder
        self._update = update

    def find(self, name: str) -> Snapshot:
        """Return a stored timeline.

        Args:
            name: Letters, digits, dots, hyphens and underscores.

        Raises:
            FileNotFoundError: There is none of that name, and it is not to be written now.
            ValueError: The name is not one.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a timeline: letters, digits, '.', '-', '_'")
        path = self._folder / f"{name}.txt"
        if self._update:
            return Snapshot.of("", path)
        try:
            return Snapshot.of(path.read_text(encoding="utf-8"), None)
        except FileNotFoundError:
            why = f"{path} does not exist: write it with pytest --update-timelines"
            raise FileNotFoundError(why) from None
