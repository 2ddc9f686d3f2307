"""List runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from qtforge_postgresql.session import Session
from qtforge_postgresql.texts import is_storable
from qtforge_sdk.journal import MOST_HOLDERS, RunQuery, RunSummary, is_run_id
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.journal_kit.appending import started_by_of
from qtforge_sdk.journal_kit.encoding import from_us, to_us
from qtforge_sdk.journal_kit.search_words import search_terms

__all__ = ["list_runs", "summary_of"]

_SELECT: Final = """SELECT run_id, workflow, kind, status, started_at, finished_at,
    owner IS NOT NULL AND EXISTS (SELECT 1 FROM {s}.owners
        WHERE owners.owner = runs.owner AND owners.expires > clock_timestamp()),
    epoch, parent, label, accepts, kept_at,
    (SELECT coalesce(max(position), 0) FROM {s}.records WHERE run = key), kept > 0, pool, priority,
    title, tags::text, schedule, started_by, error_code, error_plugin, place, holds = 1,
    CASE WHEN status = 'queued' AND place IS NOT NULL AND holds = 0 THEN ARRAY(
        SELECT other.run_id FROM {s}.runs AS other
        WHERE other.workflow = runs.workflow AND other.place = runs.place
            AND other.finished_at IS NULL AND other.holds = 1
        ORDER BY other.key LIMIT %s) END
    FROM {s}.runs WHERE """
_PLACE: Final = "SELECT started_at, key FROM {s}.runs WHERE run_id = %s"
_MOST: Final = (1 << 63) - 1
_LOOKED_AT: Final = 2_000  # newest runs
# Braces are doubled once more: these are formatted before the schema's name is put in.
_NEWEST: Final = """SELECT run, terms FROM {{s}}.searched WHERE run {sign} %s
    ORDER BY run {direction}"""
_IN_NEWEST: Final = """WITH newest AS MATERIALIZED ({newest} LIMIT %s)
    SELECT key FROM newest JOIN {{s}}.runs ON key = run
    WHERE terms @@ %s::text::tsquery AND {condition} ORDER BY key {direction} LIMIT %s"""
_IN_OTHERS: Final = """SELECT key FROM {{s}}.searched JOIN {{s}}.runs ON key = run
    WHERE run {sign} %s AND terms @@ %s::text::tsquery AND {condition}
    ORDER BY {order} {direction} LIMIT %s"""
# How many runs have a word differs too much for one plan for all.
_PLAN_EACH: Final = "SET LOCAL plan_cache_mode = force_custom_plan"


def list_runs(session: Session, query: RunQuery) -> tuple[RunSummary, ...]:
    """Return the runs that a query selects; see `Journal.runs`.

    Raises:
        RunNotFoundError: The query begins after a run that does not exist.
    """
    needed = query.needs or ()
    names = (
        query.workflow,
        query.parent,
        query.pool,
        query.schedule,
        query.error_code,
        query.error_plugin,
        query.waiting_for,
        *needed,
        *query.statuses,
        *query.tags,
        *query.tags.values(),
    )
    if not all(is_storable(name) for name in names if name is not None):
        return ()  # no run has such a name
    needs, given = ["true"], list[Any]()

    def need(condition: str, *values: Any) -> None:
        needs.append(condition)
        given.extend(values)

    if query.statuses:
        need("status = ANY (%s::text[])", sorted(query.statuses))
    if query.workflow is not None:
        need("workflow = %s", query.workflow)
    if query.started_since is not None:
        need("started_at >= %s", to_us(query.started_since))
    if query.started_until is not None:
        need("started_at < %s", to_us(query.started_until))
    if query.parent is not None:
        need("parent = %s", query.parent)
    if query.pool is not None:
        need("pool = %s", query.pool)
    if query.needs is not None:
        name, number = query.needs
        need("%s IN (served::jsonb ->> %s, needs::jsonb ->> %s)", number, name, name)
    if query.schedule is not None:
        need("schedule = %s", query.schedule)
    if query.error_code is not None:
        need("error_code = %s", query.error_code)
    if query.error_plugin is not None:
        need("error_plugin = %s", query.error_plugin)
    if query.tags:
        tags = msgspec.json.encode(dict(query.tags)).decode()
        need("runs.tags <> '{{}}' AND runs.tags @> %s::text::jsonb", tags)
    if query.waiting_for is not None:
        accepted = "unnest(string_to_array(accepts, ' ')) AS name"
        event = query.waiting_for
        above = event.removesuffix(".*")
        below = f"{above}." if event.endswith(".*") else None
        need("status = 'waiting'")
        need(
            f"EXISTS (SELECT 1 FROM {accepted} WHERE name = %s OR starts_with(name, %s))",
            above, below,
        )  # fmt: skip
    if query.search is not None:
        keys = _found(session, query, " AND ".join(needs), given)
        needs, given = ["key = ANY (%s::bigint[])"], [keys]
    direction, sign = ("ASC", ">") if query.oldest_first else ("DESC", "<")
    if query.search is None and query.after is not None:
        need(f"(started_at, key) {sign} (%s, %s)", *_place(session, query.after))
    at = "started_at" if query.search is None else "key"
    order = f" ORDER BY {at} {direction}, key {direction} LIMIT %s"
    given = [MOST_HOLDERS, *given, min(max(query.limit, 0), _MOST)]
    rows = session.rows(f"{_SELECT}{' AND '.join(needs)}{order}", given)
    return tuple(_summary(row) for row in rows)


def _found(session: Session, query: RunQuery, condition: str, given: Sequence[Any]) -> list[int]:
    """Return the keys of the runs that a search finds, at most those of a page.

    A word may be in every run or in none. The newest runs are looked at one by one: frequent
    words are found there. The others are found by the index of words.
    """
    terms = search_terms(query.search or "")
    if not terms or query.limit <= 0:
        return []
    wanted = " & ".join(f"'{term}':*" for term in terms)  # letters and digits only
    name = search_terms(query.workflow or "")
    if name:  # it is among the words of its runs
        wanted += f" & '{max(name, key=len)}'"
    sign, edge = (">", -_MOST) if query.oldest_first else ("<", _MOST)
    direction = "ASC" if query.oldest_first else "DESC"
    if query.after is not None:
        edge = _place(session, query.after)[1]
    newest = _NEWEST.format(sign=sign, direction=direction)
    in_newest = _IN_NEWEST.format(newest=newest, condition=condition, direction=direction)
    # In an order that no index has, so that the index of words is asked. Where something else than
    # a workflow restricts the runs too, the server may know better.
    only_words = msgspec.structs.replace(query, workflow=None, after=None, limit=0) == RunQuery(
        search=query.search, oldest_first=query.oldest_first, limit=0
    )
    in_others = _IN_OTHERS.format(
        sign=sign,
        condition=condition,
        order="run + 0" if only_words else "run",
        direction=direction,
    )
    with session.transaction():
        session.execute(_PLAN_EACH)
        ends = session.rows(f"{newest} OFFSET %s LIMIT 1", (edge, _LOOKED_AT - 1))
        rows = session.rows(in_newest, (edge, _LOOKED_AT, wanted, *given, query.limit))
        left = query.limit - len(rows)
        if ends and left > 0:
            rows += session.rows(in_others, (ends[0][0], wanted, *given, left))
    return [key for (key,) in rows]


def _place(session: Session, run_id: str) -> tuple[int, int]:
    """Return when a run was started, and its key.

    Raises:
        RunNotFoundError: There is no such run.
    """
    row = session.row(_PLACE, (run_id,)) if is_run_id(run_id) else None
    if row is None:
        raise RunNotFoundError(run_id)
    return row[0], row[1]


def summary_of(session: Session, run_id: str) -> RunSummary:
    """Return one run's summary; see `Journal.summary`.

    Raises:
        RunNotFoundError: There is no such run.
    """
    given = (MOST_HOLDERS, run_id)
    row = session.row(f"{_SELECT}run_id = %s", given) if is_run_id(run_id) else None
    if row is None:
        raise RunNotFoundError(run_id)
    return _summary(row)


def _summary(row: Any) -> RunSummary:
    return RunSummary(
        run_id=row[0],
        workflow=row[1],
        kind=row[2],
        status=row[3],
        started_at=from_us(row[4]),
        finished_at=None if row[5] is None else from_us(row[5]),
        owner_alive=row[6],
        epoch=row[7],
        parent=row[8],
        label=row[9],
        accepts=tuple(row[10].split()),
        waiting_since=None if row[11] is None or row[3] != "waiting" else from_us(row[11]),
        records=row[12],
        stateful=row[13],
        pool=row[14],
        priority=row[15],
        title=row[16],
        tags={} if row[17] == "{}" else msgspec.json.decode(row[17], type=dict[str, str]),
        schedule=row[18],
        started_by=started_by_of(row[19]),
        error_code=row[20],
        error_plugin=row[21],
        place=row[22],
        holds_place=row[23],
        held_by=tuple(row[24] or ()),
    )
