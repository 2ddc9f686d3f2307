"""What breakers last did, in a file of the state directory, for whoever looks from outside.

A breaker lives in the process that has it; the file is only told of its transitions. It is
read by nobody but people, so that no run depends on it.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qtforge_host.policies.breaker import Transition

__all__ = ["BreakerFile", "KeptBreaker"]

_LOG: Final = logging.getLogger("qtforge.policies")
_NAME: Final = "breakers.sqlite"
_BUSY_TIMEOUT_S: Final = 0.2  # a breaker waits for nobody
_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS breakers (
    topic TEXT, plugin TEXT, state TEXT NOT NULL, since TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (topic, plugin)
) STRICT, WITHOUT ROWID"""
_KEEP: Final = """INSERT INTO breakers VALUES (?, ?, ?, ?, ?) ON CONFLICT (topic, plugin)
    DO UPDATE SET state = excluded.state, since = excluded.since, reason = excluded.reason"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBreaker:
    """A breaker's last transition, in whichever process.

    Attributes:
        topic: The breaker's topic.
        plugin: The breaker's plugin.
        state: ``closed``, ``open`` or ``half_open``.
        since: When it went into that state, in UTC.
        reason: Why, in one line.
    """

    topic: str
    plugin: str
    state: str
    since: datetime.datetime
    reason: str


class BreakerFile:
    """Keeps each breaker's last transition; one that can't be kept is logged and forgotten.

    Args:
        directory: The state directory, which need not be there.
    """

    def __init__(self, directory: Path) -> None:
        self._path: Final = directory / _NAME

    def keep(self, transition: Transition) -> None:
        """Put a transition in the place of the one before it."""
        row = (
            transition.topic,
            transition.plugin,
            transition.after,
            transition.at.isoformat(),
            transition.reason,
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                connection.execute(_SCHEMA)
                connection.execute(_KEEP, row)
        except (sqlite3.Error, OSError) as error:
            _LOG.warning("%s: a breaker's state is not kept: %s", self._path, error)

    def all(self) -> Sequence[KeptBreaker]:
        """Return every breaker that ever changed its state, by topic and plugin."""
        if not self._path.is_file():
            return []
        try:
            with self._open() as connection:
                rows = connection.execute("SELECT * FROM breakers ORDER BY topic, plugin")
                return [
                    KeptBreaker(
                        topic=topic,
                        plugin=plugin,
                        state=state,
                        since=datetime.datetime.fromisoformat(since),
                        reason=reason,
                    )
                    for topic, plugin, state, since, reason in rows
                ]
        except (sqlite3.Error, OSError, ValueError) as error:
            _LOG.warning("%s can't be read, and may be deleted: %s", self._path, error)
            return []

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)
        try:
            with connection:
                # Nothing depends on it, so no transition waits for the disk.
                connection.execute("PRAGMA synchronous = OFF")
                yield connection
        finally:
            connection.close()
