"""List runs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from qtforge_postgresql.session import Session
from qtforge_postgresql.texts import is_storable
from qtforge_sdk.journal import MOST_HOLDERS, RunQuery, RunSummary, is_run_id
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.journal_kit.appending import started_by_of
from qtforge_sdk.journal_kit.encoding import from_us, to_us

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
    needs, given = ["true"], [MOST_HOLDERS]

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
        need("tags <> '{{}}' AND tags @> %s::text::jsonb", tags)
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
    direction, sign = ("ASC", ">") if query.oldest_first else ("DESC", "<")
    if query.after is not None:
        place = session.row(_PLACE, (query.after,)) if is_run_id(query.after) else None
        if place is None:
            raise RunNotFoundError(query.after)
        need(f"(started_at, key) {sign} (%s, %s)", *place)
    order = f" ORDER BY started_at {direction}, key {direction} LIMIT %s"
    given.append(min(max(query.limit, 0), _MOST))
    rows = session.rows(f"{_SELECT}{' AND '.join(needs)}{order}", given)
    return tuple(_summary(row) for row in rows)


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
