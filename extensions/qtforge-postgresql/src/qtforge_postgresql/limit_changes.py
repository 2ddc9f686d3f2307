"""Writes about limits, rates and breakers; each is a `Change` in a group's transaction.

One process at a time changes them, whatever their name: it has a lock until its transaction ends.
With a lock for each name, two groups could wait for each other.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final

import msgspec

from qtforge_postgresql.group import Group
from qtforge_postgresql.texts import check_text
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
    moment,
    try_breaker,
)

__all__ = [
    "BREAKERS",
    "SHORT",
    "change_breaker_trial",
    "close_breaker",
    "draw_tokens",
    "hold_places",
    "open_breaker",
    "parse_breakers",
    "parse_short",
]

_LOCK: Final = """SELECT pg_advisory_xact_lock(hashtextextended('qtforge-limits:{s}', 0))"""
_NOW: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
# Just after the start of the server all leases have ended, and each owner gets one to return.
_ALIVE: Final = """SELECT owner FROM {s}.owners WHERE (expires > clock_timestamp()
    OR pg_postmaster_start_time() + lease > clock_timestamp())"""
# Who comes back after its lease has ended holds nothing of what it held.
_DROP_LAPSED: Final = f"DELETE FROM {{s}}.places WHERE name = %s AND owner NOT IN ({_ALIVE})"
_CLAIMS: Final = "SELECT owner, held, wanted, since FROM {s}.places WHERE name = %s"
_KEEP_CLAIM: Final = """INSERT INTO {s}.places VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (name, owner) DO UPDATE SET
        held = excluded.held, wanted = excluded.wanted, since = excluded.since"""
_DROP_CLAIM: Final = "DELETE FROM {s}.places WHERE name = %s AND owner = %s"
_RATE: Final = """SELECT full_at, owner, is_short, drawn_by, drawn_at, shared_until
    FROM {s}.rates WHERE name = %s"""
_KEEP_RATE: Final = """INSERT INTO {s}.rates VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (name) DO UPDATE SET
        full_at = excluded.full_at, owner = excluded.owner, is_short = excluded.is_short,
        drawn_by = excluded.drawn_by, drawn_at = excluded.drawn_at,
        shared_until = excluded.shared_until"""
_BREAKER: Final = """SELECT until, open_for, reason, trial FROM {s}.breakers
    WHERE topic = %s AND plugin = %s"""
_KEEP_BREAKER: Final = """INSERT INTO {s}.breakers VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (topic, plugin) DO UPDATE SET
        until = excluded.until, open_for = excluded.open_for, reason = excluded.reason,
        trial = excluded.trial"""
_DROP_BREAKER: Final = "DELETE FROM {s}.breakers WHERE topic = %s AND plugin = %s"
_DROP_OLD: Final = "DELETE FROM {s}.breakers WHERE until < %s"

SHORT: Final = """coalesce((SELECT json_agg(name ORDER BY name)::text FROM (
        SELECT name FROM {s}.places WHERE owner <> %s AND wanted > held
        UNION SELECT name FROM {s}.rates WHERE owner = %s AND is_short
    ) AS short), '[]')"""
"""A column: the limits of which another process wants more than it has; given the owner twice."""
BREAKERS: Final = """coalesce((SELECT json_agg(
        json_build_array(topic, plugin, until, reason) ORDER BY topic, plugin)::text
    FROM {s}.breakers), '[]')"""
"""A column: the breakers that are not closed."""


def hold_places(limit: str, places: int, using: int, wanted: int) -> Change:
    """Return the change that holds places of a limit; its outcome is a `Holding`."""
    check_text("", "a limit", limit)

    def do(group: Group) -> Holding:
        session, me = group.session, group.owner
        session.execute(_LOCK)
        session.execute(_DROP_LAPSED, (limit,))
        (now_s,) = session.row(_NOW)
        found = {row[0]: Claim(*row) for row in session.rows(_CLAIMS, (limit,))}
        before = found.pop(me, None)
        mine, holding = allot(
            places, using, wanted, before or Claim(me, 0, 0, now_s), list(found.values()), now_s
        )
        if not (mine.held or mine.wanted):
            session.execute(_DROP_CLAIM, (limit, me))
        elif mine != before:
            session.execute(_KEEP_CLAIM, (limit, *mine))
        return holding

    return Change(do)


def draw_tokens(
    limit: str,
    wanted: int,
    count: int,
    period_s: float,
    spare_s: float,
    full_in_s: float | None,
) -> Change:
    """Return the change that takes tokens of a rate; its outcome is a `Drawn`."""
    check_text("", "a rate", limit)

    def do(group: Group) -> Drawn:
        session = group.session
        session.execute(_LOCK)
        found = session.row(_RATE, (limit,))
        before = NEW_RATE if found is None else RateRow(*found)
        (now_s,) = session.row(_NOW)
        row, drawn = draw(
            before,
            group.owner,
            now_s,
            _lives(group),
            wanted,
            count=count,
            period_s=period_s,
            spare_s=spare_s,
            full_in_s=full_in_s,
        )
        if row != before:
            session.execute(_KEEP_RATE, (limit, *row))
        return drawn

    return Change(do)


def open_breaker(topic: str, plugin: str, open_for_s: float, reason: str) -> Change:
    """Return the change that opens a breaker; its outcome is until when."""
    check_text("", "a breaker", topic, plugin, reason)

    def do(group: Group) -> datetime.datetime:
        group.session.execute(_LOCK)
        (now_s,) = group.session.row(_NOW)
        group.session.execute(_DROP_OLD, (now_s - BREAKER_AGE_S,))
        row = BreakerRow(now_s + open_for_s, open_for_s, reason, "")
        group.session.execute(_KEEP_BREAKER, (topic, plugin, *row))
        return row.until

    return Change(do)


def change_breaker_trial(topic: str, plugin: str, *, give_up: bool) -> Change:
    """Return the change that asks for trial calls, or returns them; gives a `BreakerTrial`."""
    check_text("", "a breaker", topic, plugin)

    def do(group: Group) -> BreakerTrial:
        group.session.execute(_LOCK)
        found = group.session.row(_BREAKER, (topic, plugin))
        before = None if found is None else BreakerRow(*found)
        (now_s,) = group.session.row(_NOW)
        row, trial = try_breaker(before, group.owner, now_s, _lives(group), give_up=give_up)
        if row is not None and row != before:
            group.session.execute(_KEEP_BREAKER, (topic, plugin, *row))
        return trial

    return Change(do)


def close_breaker(topic: str, plugin: str) -> Change:
    """Return the change that closes a breaker."""
    check_text("", "a breaker", topic, plugin)

    def do(group: Group) -> None:
        group.session.execute(_LOCK)
        group.session.execute(_DROP_BREAKER, (topic, plugin))

    return Change(do)


def parse_short(column: str) -> frozenset[str]:
    """Return the limits of the column `SHORT`."""
    return frozenset(msgspec.json.decode(column, type=list[str]))


def parse_breakers(column: str) -> tuple[OpenBreaker, ...]:
    """Return the breakers of the column `BREAKERS`."""
    rows = msgspec.json.decode(column, type=list[tuple[str, str, float, str]])
    return tuple(
        OpenBreaker(topic=topic, plugin=plugin, until=moment(until), reason=reason)
        for topic, plugin, until, reason in rows
    )


def _lives(group: Group) -> Callable[[str], bool]:
    def lives(owner: str) -> bool:
        row: Any = group.session.row(f"{_ALIVE} AND owner = %s", (owner,))
        return row is not None

    return lives
