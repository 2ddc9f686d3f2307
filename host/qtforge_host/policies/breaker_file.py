"""The last transition of each breaker, in a file that other processes can show.

A breaker itself lives in memory; the file only records its transitions. No run depends on it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.policies.breaker import Transition
from qtforge_sdk.sqlite_store import Schema, SqliteStore, StoreError

__all__ = ["BreakerFile", "SavedBreaker"]

_LOG: Final = logging.getLogger("qtforge.policies")
_NAME: Final = "breakers.sqlite"
_BUSY_TIMEOUT_S: Final = 0.2  # a request waits for this
_SCHEMA: Final = Schema(
    application_id=0,  # files of 1.0.0 have the table, and neither id nor version
    migrations=(
        (
            "CREATE TABLE IF NOT EXISTS breakers ("
            " topic TEXT, plugin TEXT, state TEXT NOT NULL, since TEXT NOT NULL,"
            " reason TEXT NOT NULL, PRIMARY KEY (topic, plugin)) STRICT, WITHOUT ROWID",
        ),
    ),
)
_DELETE: Final = "DELETE FROM breakers WHERE topic = ? AND plugin = ?"
_UPSERT: Final = """INSERT INTO breakers VALUES (?, ?, ?, ?, ?) ON CONFLICT (topic, plugin)
    DO UPDATE SET state = excluded.state, since = excluded.since, reason = excluded.reason"""


class SavedBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """The last transition of a breaker, in any process.

    Attributes:
        topic: The breaker's topic.
        plugin: The breaker's plugin.
        state: ``closed``, ``open`` or ``half_open``.
        since: When it changed to that state, in UTC.
        reason: Why, in one line.
    """

    topic: str
    plugin: str
    state: str
    since: datetime.datetime
    reason: str


class BreakerFile:
    """Saves the last transition of each breaker; a failure to save is logged.

    Args:
        directory: The state directory; it need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._path: Final = directory / _NAME
        # No run depends on the file, so a transition need not wait for the disk.
        self._store: Final = SqliteStore(
            self._path, _SCHEMA, busy_timeout_s=_BUSY_TIMEOUT_S, synchronous="OFF"
        )

    def save(self, transition: Transition) -> None:
        """Save a transition in place of the breaker's previous one."""
        row = (
            transition.topic,
            transition.plugin,
            transition.after,
            transition.at.isoformat(),
            transition.reason,
        )
        try:
            with self._store.transaction() as connection:
                connection.execute(_UPSERT, row)
        except StoreError as error:
            _LOG.warning("%s: a breaker's state is not saved: %s", self._path, error.why)

    def remove(self, topic: str, plugin: str) -> None:
        """Forget a breaker."""
        try:
            with self._store.transaction() as connection:
                connection.execute(_DELETE, (topic, plugin))
        except StoreError as error:
            _LOG.warning("%s: a breaker's state is not removed: %s", self._path, error.why)

    def all(self) -> Sequence[SavedBreaker]:
        """Return every breaker that ever changed its state, sorted by topic and plugin."""
        if not self._path.is_file():
            return []
        try:
            with self._store.reading() as connection:
                rows = connection.execute("SELECT * FROM breakers ORDER BY topic, plugin")
                return [
                    SavedBreaker(
                        topic=topic,
                        plugin=plugin,
                        state=state,
                        since=datetime.datetime.fromisoformat(since),
                        reason=reason,
                    )
                    for topic, plugin, state, since, reason in rows
                ]
        except (StoreError, ValueError) as error:
            why = error.why if isinstance(error, StoreError) else str(error)
            _LOG.warning("%s can't be read, and may be deleted: %s", self._path, why)
            return []
