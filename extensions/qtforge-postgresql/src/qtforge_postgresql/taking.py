"""Take runs that are to be executed and that no living process owns; see `Journal.take`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from qtforge_postgresql.admissions import ADMISSIBLE, give_place
from qtforge_postgresql.cursors import BEGINNING, Place
from qtforge_postgresql.group import Group
from qtforge_postgresql.session import Session
from qtforge_postgresql.texts import is_storable
from qtforge_sdk.journal import Ownership
from qtforge_sdk.journal_kit.jobs import Change

__all__ = ["Wish", "is_anything_takeable", "take"]

_MOST_DEAD: Final = 100  # processes whose end is noticed at once
# All names of owners that runs have, one look into the index for each, without those that live.
_OWNERS: Final = """WITH RECURSIVE named (owner) AS (
        (SELECT owner FROM {s}.runs WHERE owner IS NOT NULL ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (SELECT owner FROM {s}.runs WHERE owner > named.owner ORDER BY owner LIMIT 1)
        FROM named WHERE owner IS NOT NULL
    ), dead (owner) AS (
        SELECT owner FROM named WHERE owner IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM {s}.owners WHERE owners.owner = named.owner"""
_GONE: Final = f"{_OWNERS}))"
_LAPSED: Final = f"""{_OWNERS} AND (expires > clock_timestamp()
                OR pg_postmaster_start_time() + lease > clock_timestamp())))"""
# Locked ones are writing, and live. Each gets one lease to return after the server has started.
_END_LAPSED: Final = """DELETE FROM {s}.owners WHERE owner IN (
        SELECT owner FROM {s}.owners WHERE expires < clock_timestamp() AND owner <> %s
            AND pg_postmaster_start_time() + lease < clock_timestamp()
        LIMIT %s FOR UPDATE SKIP LOCKED
    )"""
_DEAD: Final = f"{_GONE} SELECT owner FROM dead LIMIT %s"
_NEEDS_ONE: Final = """EXISTS (
        SELECT 1 FROM (
            SELECT * FROM jsonb_each_text(served::jsonb)
            UNION ALL SELECT * FROM jsonb_each_text(needs::jsonb)
        ) AS need (name, number)
        WHERE need.name || '==' || need.number = ANY (%s::text[])
    )"""
_TAKE: Final = """UPDATE {s}.runs SET owner = %s, epoch = epoch + 1
    WHERE key = ANY (%b::bigint[]) RETURNING key, run_id, epoch"""


class Wish(NamedTuple):
    """Which runs are taken; see `Journal.take`.

    Attributes:
        now_us: The time, in microseconds.
        pools: Whose runs are taken; None for those of any pool.
        able: The plugins that serve runs here, with the first number of their version.
        since: Only what may have changed since this place; None for everything.
        again: Whether also blocked and resting runs are taken.
        queued: Whether queued runs are taken.
        needing: Only runs that need one of these, such as ``ocr==1``; None for all.
        leave: No runs that have begun and need one of these.
        may_take_over: Whether runs are taken from owners whose lease has ended.
    """

    now_us: int
    pools: tuple[str, ...] | None
    able: dict[str, str]
    since: Place | None
    again: bool
    queued: bool
    needing: tuple[str, ...] | None
    leave: tuple[str, ...]
    may_take_over: bool


class _Search(NamedTuple):
    """Runs of one kind: tables and conditions, their values, and their order."""

    tables: str
    needs: str
    given: tuple[Any, ...]
    order: str


def is_anything_takeable(session: Session, wish: Wish) -> bool:
    """Return whether there may be something to take, without writing.

    Paused runs are left out; `Queries.cancelled` finds them.
    """
    # An array, with which an index is searched; a table would be joined to all runs.
    unowned = "(runs.owner IS NULL OR runs.owner = ANY (ARRAY(SELECT owner FROM dead)))"
    tests, given = [], list[Any]()
    for search in _searches(wish, ()):
        tests.append(f"EXISTS (SELECT 1 FROM {search.tables} WHERE {search.needs} AND {unowned})")
        given += search.given
    dead = _LAPSED if wish.may_take_over else _GONE
    return bool(session.row(f"{dead} SELECT {' OR '.join(tests)}", given)[0])


def take(limit: int, wish: Wish, cancelled: Sequence[int]) -> Change:
    """Return the change that owns runs, up to a limit; its outcome is a list of `Ownership`.

    Args:
        limit: The largest number of runs.
        wish: Which ones.
        cancelled: Keys of paused runs that were sent a request to cancel them.
    """

    def do(group: Group) -> list[Ownership]:
        session = group.session
        if wish.may_take_over:
            session.execute(_END_LAPSED, (group.owner, _MOST_DEAD))
        # Names are never used again, so that the dead stay dead whatever others do meanwhile.
        dead = [row[0] for row in session.rows(_DEAD, (_MOST_DEAD,))]
        found: dict[int, str | None] = {}
        for search in _searches(wish, cancelled):
            if len(found) >= limit:
                break
            # What others are taking at this moment is skipped, and not waited for.
            rows = session.rows(
                f"SELECT runs.key, runs.owner, runs.place FROM {search.tables} WHERE {search.needs}"
                " AND (runs.owner IS NULL OR runs.owner = ANY (%b::text[]))"
                f" ORDER BY {search.order} LIMIT %s FOR NO KEY UPDATE OF runs SKIP LOCKED",
                (*search.given, dead, limit),
            )
            for key, owner, place in rows:
                if len(found) >= limit:
                    break
                # Its place may be another's by now: then it is left in the queue.
                if place is None or give_place(session, key, wish.now_us, locked=False) == ():
                    found.setdefault(key, owner)
        keys = list(found)[:limit]
        if not keys:
            return []
        taken = {row[0]: row[1:] for row in session.rows(_TAKE, (group.owner, keys))}
        for key in keys:
            group.forget(key)
        return [
            Ownership(
                run_id=taken[key][0],
                epoch=taken[key][1],
                owner=group.owner,
                key=key,
                took_over=found[key] is not None,
            )
            for key in keys
        ]

    return Change(do)


def _searches(wish: Wish, cancelled: Sequence[int]) -> Iterator[_Search]:
    """Give what is searched for, in the order of `Journal.take`."""
    of_all, when = _of_all(wish)
    begun, values = of_all, when
    if leave := _storable(wish.leave):
        begun, values = f"{begun} AND NOT {_NEEDS_ONE}", (*values, leave)
    if wish.since is None or wish.again:
        statuses = "('running', 'blocked')" if wish.again else "('running')"
        needs = f"status IN {statuses} AND finished_at IS NULL{begun}"
        yield _Search("{s}.runs", needs, values, "runs.key")
    yield _Search(
        "{s}.timers JOIN {s}.runs ON runs.key = timers.run",
        f"due <= %s AND status = 'waiting' AND finished_at IS NULL{begun}",
        (wish.now_us, *values),
        "due, runs.key",
    )
    sent, place = "SELECT run FROM {s}.arrivals", tuple[Any, ...]()
    if wish.since not in (None, BEGINNING):
        sent = (
            "SELECT run FROM {s}.inbox JOIN {s}.arrivals USING (run, position)"
            " WHERE (xact, position) > (%s::text::xid8, %s)"
        )
        place = (str(wish.since.xact), wish.since.id) if wish.since else ()
    yield _Search(
        "{s}.runs",
        f"status = 'waiting' AND finished_at IS NULL AND runs.key IN ({sent}){begun}",
        (*place, *values),
        "runs.key",
    )
    if cancelled:
        needs = f"runs.key = ANY (%b::bigint[]) AND status = 'paused'{begun}"
        yield _Search("{s}.runs", needs, (list(cancelled), *values), "runs.key")
    if wish.queued:
        yield _Search(
            "{s}.runs",
            f"""status = 'queued' AND finished_at IS NULL{of_all}
                AND NOT EXISTS (SELECT 1 FROM {{s}}.paused_pools WHERE pool = runs.pool)
                AND (not_before IS NULL OR not_before <= %s) AND {ADMISSIBLE}
                AND NOT EXISTS (SELECT 1 FROM jsonb_each_text(needs::jsonb) AS need
                    WHERE NOT EXISTS (SELECT 1 FROM jsonb_each_text(%s::text::jsonb) AS able
                        WHERE able.key = need.key AND need.value IN (able.value, '*')))""",
            (*when, wish.now_us, wish.now_us, _json(wish.able.items())),
            "priority DESC, runs.key",
        )


def _of_all(wish: Wish) -> tuple[str, tuple[Any, ...]]:
    """Return the conditions for runs of every kind, and their values."""
    needs, values = "", list[Any]()
    if wish.pools is not None:
        pools = _storable(wish.pools)
        # One pool is read along the index, in order.
        needs += " AND pool = %s" if len(pools) == 1 else " AND pool = ANY (%s::text[])"
        values.append(pools[0] if len(pools) == 1 else pools)
    if not wish.again:
        needs += " AND (rest_until IS NULL OR rest_until <= %s)"
        values.append(wish.now_us)
    if wish.needing is not None:
        needs += f" AND {_NEEDS_ONE}"
        values.append(_storable(wish.needing))
    return needs, tuple(values)


def _storable(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if is_storable(text)]


def _json(able: Iterable[tuple[str, str]]) -> str:
    known = {name: number for name, number in able if is_storable(name) and is_storable(number)}
    return msgspec.json.encode(known).decode()
