"""Writes about limits, rates and breakers; each is a `Change` in a group's transaction.

There is one writer at a time, so that what is read in a change still holds where it is written.
"""

from __future__ import annotations

import datetime
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from qtforge_host.journal.group import GroupCommit
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_sdk.journal import BreakerTrial, Drawn, Holding, OpenBreaker
from qtforge_sdk.journal_kit.jobs import Change
from qtforge_sdk.journal_kit.limits import (
    BREAKER_AGE_S,
    NEW_RATE,
    BreakerRow,
    Claim,
    RateRow,
    allot,
    draw,
    try_breaker,
)

__all__ = [
    "change_breaker_trial",
    "close_breaker",
    "damaged_limits",
    "draw_tokens",
    "drop_damaged_limits",
    "hold_places",
    "open_breaker",
    "open_breakers",
    "short_limits",
]

R = TypeVar("R", bound=NamedTuple)

_LOG: Final = logging.getLogger("qtforge.journal")
_CLAIMS: Final = "SELECT owner, held, wanted, since FROM places WHERE name = ?"
_KEEP_CLAIM: Final = "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?)"
_DROP_CLAIM: Final = "DELETE FROM places WHERE name = ? AND owner = ?"
_RATE: Final = """SELECT full_at, owner, is_short, drawn_by, drawn_at, shared_until
    FROM rates WHERE name = ?"""
_KEEP_RATE: Final = "INSERT OR REPLACE INTO rates VALUES (?, ?, ?, ?, ?, ?, ?)"
_SHORT: Final = """SELECT name FROM places WHERE owner <> :me AND wanted > held
    UNION SELECT name FROM rates WHERE owner = :me AND is_short"""
_BREAKER: Final = """SELECT until, open_for, reason, trial FROM breakers
    WHERE topic = ? AND plugin = ?"""
_BREAKERS: Final = """SELECT topic, plugin, until, open_for, reason, trial FROM breakers
    ORDER BY topic, plugin"""
_KEEP_BREAKER: Final = "INSERT OR REPLACE INTO breakers VALUES (?, ?, ?, ?, ?, ?)"
_NAME: Final = 100  # characters of it that are told
_MOST: Final = 1e11  # of places; in seconds, after the year 5000
# Of each table, how many columns its rows are named by, and what the others are.
_TABLES: Final[Mapping[str, tuple[int, type[NamedTuple]]]] = {
    "places": (1, Claim),
    "rates": (1, RateRow),
    "breakers": (2, BreakerRow),
}
_DROP_BREAKER: Final = "DELETE FROM breakers WHERE topic = ? AND plugin = ?"


def hold_places(limit: str, places: int, using: int, wanted: int, locks: OwnerLocks) -> Change:
    """Return the change that holds places of a limit; its outcome is a `Holding`."""

    def do(group: GroupCommit) -> Holding:
        now_s = time.time()
        execute, me = group.connection.execute, group.owner
        found: dict[str, Claim] = {}
        for values in execute(_CLAIMS, (limit,)).fetchall():
            claim = _row(Claim, values)
            if claim is None:
                execute(_DROP_CLAIM, (limit, values[0]))
            else:
                found[claim.owner] = claim
        before = found.pop(me, None)
        others = []
        for owner, claim in found.items():
            if locks.is_alive(owner):
                others.append(claim)
            else:
                execute(_DROP_CLAIM, (limit, owner))
        mine, holding = allot(
            places, using, wanted, before or Claim(me, 0, 0, now_s), others, now_s
        )
        if not (mine.held or mine.wanted):
            execute(_DROP_CLAIM, (limit, me))
        elif mine != before:
            execute(_KEEP_CLAIM, (limit, *mine))
        return holding

    return Change(do)


def draw_tokens(
    limit: str,
    wanted: int,
    count: int,
    period_s: float,
    spare_s: float,
    full_in_s: float | None,
    locks: OwnerLocks,
) -> Change:
    """Return the change that takes tokens of a rate; its outcome is a `Drawn`."""

    def do(group: GroupCommit) -> Drawn:
        found = group.connection.execute(_RATE, (limit,)).fetchone()
        before = _row(RateRow, found) or NEW_RATE
        row, drawn = draw(
            before,
            group.owner,
            time.time(),
            locks.is_alive,
            wanted,
            count=count,
            period_s=period_s,
            spare_s=spare_s,
            full_in_s=full_in_s,
        )
        if row != before:
            group.connection.execute(_KEEP_RATE, (limit, *row))
        return drawn

    return Change(do)


def short_limits(connection: sqlite3.Connection, me: str) -> frozenset[str]:
    """Return the limits and rates of which another process wants more than it has."""
    return frozenset(name for (name,) in connection.execute(_SHORT, {"me": me}))


def open_breaker(topic: str, plugin: str, open_for_s: float, reason: str) -> Change:
    """Return the change that opens a breaker; its outcome is until when."""

    def do(group: GroupCommit) -> datetime.datetime:
        now_s = time.time()
        group.connection.execute("DELETE FROM breakers WHERE until < ?", (now_s - BREAKER_AGE_S,))
        row = BreakerRow(now_s + open_for_s, open_for_s, reason, "")
        group.connection.execute(_KEEP_BREAKER, (topic, plugin, *row))
        return row.until

    return Change(do)


def change_breaker_trial(topic: str, plugin: str, locks: OwnerLocks, *, give_up: bool) -> Change:
    """Return the change that asks for trial calls, or returns them; gives a `BreakerTrial`."""

    def do(group: GroupCommit) -> BreakerTrial:
        found = group.connection.execute(_BREAKER, (topic, plugin)).fetchone()
        before = _row(BreakerRow, found)
        row, trial = try_breaker(before, group.owner, time.time(), locks.is_alive, give_up=give_up)
        if row is not None and row != before:
            group.connection.execute(_KEEP_BREAKER, (topic, plugin, *row))
        return trial

    return Change(do)


def close_breaker(topic: str, plugin: str) -> Change:
    """Return the change that closes a breaker."""

    def do(group: GroupCommit) -> None:
        group.connection.execute(_DROP_BREAKER, (topic, plugin))

    return Change(do)


def open_breakers(connection: sqlite3.Connection) -> tuple[OpenBreaker, ...]:
    """Return the breakers that are not closed."""
    found = []
    for topic, plugin, *values in connection.execute(_BREAKERS):
        row = _row(BreakerRow, values)
        if row is not None and isinstance(topic, str) and isinstance(plugin, str):
            found.append(
                OpenBreaker(topic=topic, plugin=plugin, until=row.until, reason=row.reason)
            )
    return tuple(found)


def damaged_limits(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield the table and the name of each row that counts as not there, since it is damaged."""
    for table, (names, kind) in _TABLES.items():
        for values in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - a constant
            if not _is_sound(values, names, kind):
                yield table, ", ".join(ascii(each)[:_NAME] for each in values[:names])


def drop_damaged_limits(connection: sqlite3.Connection) -> int:
    """Remove the rows that count as not there; return how many there were."""
    count = 0
    for table, (names, kind) in _TABLES.items():
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a constant
        sound = [values for values in rows if _is_sound(values, names, kind)]
        if len(sound) < len(rows):
            count += len(rows) - len(sound)
            marks = ", ".join("?" * len(rows[0]))
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", sound)  # noqa: S608
    return count


def _is_sound(values: Sequence[Any], names: int, kind: type[NamedTuple]) -> bool:
    return all(isinstance(each, str) for each in values[:names]) and (
        _row(kind, values[names:]) is not None
    )


def _row(kind: type[R], values: Sequence[Any] | None) -> R | None:
    """Return a row; None where there is none, or it is damaged: what it said is soon said anew."""
    if values is None:
        return None
    try:
        row = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError:
        _LOG.debug("a row of the shared limits is damaged, and not used: %r", values)
        return None
    # No NaN and infinity, and neither times nor numbers that can't be counted with.
    is_sound = all(abs(each) < _MOST for each in row if isinstance(each, int | float))
    return row if is_sound else None
