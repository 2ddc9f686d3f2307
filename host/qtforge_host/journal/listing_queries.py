"""List runs; each list is read from one or a few indexes, however many other runs there are."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_sdk.journal import MOST_HOLDERS, RunQuery, RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.journal_kit.appending import started_by_of
from qtforge_sdk.journal_kit.encoding import from_us, to_us

__all__ = ["is_storable", "list_runs", "runs_of_keys", "summary_of", "waits_for"]

_COLUMNS: Final = f"""run_id, workflow, kind, status, started_at, finished_at, owner, epoch, parent,
    label, accepts, kept_at,
    (SELECT coalesce(max(position), 0) FROM records WHERE run = runs.key), kept > 0,
    pool, priority, title, tags, schedule, started_by, error_code, error_plugin, place, holds = 1,
    CASE WHEN status = 'queued' AND place IS NOT NULL AND holds = 0 THEN (
        SELECT json_group_array(run_id) FROM (SELECT other.run_id
            FROM runs AS other INDEXED BY runs_by_place
            WHERE other.workflow = runs.workflow AND other.place = runs.place
                AND other.finished_at IS NULL AND other.holds = 1
            ORDER BY other.key LIMIT {MOST_HOLDERS:d})) END"""  # noqa: S608 - of constants
# ``since`` and ``until`` bound the scan of an index; runs that started at ``at`` are tied.
_NEWEST: Final = """{at} >= :since AND {at} < :until
    AND ({at} <> :at OR {key} < :key) ORDER BY {at} DESC, {key} DESC LIMIT :limit"""
_OLDEST: Final = """{at} >= :since AND {at} < :until
    AND ({at} <> :at OR {key} > :key) ORDER BY {at}, {key} LIMIT :limit"""
_OF_POOL: Final = """(:pool IS NULL OR pool = :pool) AND (:need IS NULL
    OR EXISTS (SELECT 1 FROM json_each(needs) WHERE json_each.key = :need AND value = :major)
    OR EXISTS (SELECT 1 FROM json_each(served) WHERE json_each.key = :need AND value = :major))
    AND """
_TAGGED: Final = """NOT EXISTS (SELECT 1 FROM json_each(:tags) AS wanted WHERE NOT EXISTS (
    SELECT 1 FROM json_each(runs.tags) AS each
        WHERE each.key = wanted.key AND each.value = wanted.value))
    AND """
_OF_SCHEDULE: Final = "schedule = :schedule AND "
_OF_ERROR: Final = "error_code = :error_code AND "
_OF_ERROR_PLUGIN: Final = "error_plugin = :error_plugin AND "
# The runs of one status, and of one workflow and status, lie together in an index each.
_BY_STATUS: Final = f"SELECT {_COLUMNS}, key FROM runs WHERE status = :status AND "  # noqa: S608 - of constants
_BY_WORKFLOW: Final = f"""SELECT {_COLUMNS}, key FROM runs
    WHERE workflow = :workflow AND status = :status AND """  # noqa: S608 - of constants
_BY_PARENT: Final = f"""SELECT {_COLUMNS}, key FROM runs WHERE parent = :parent
    AND (:workflow IS NULL OR workflow = :workflow) AND """  # noqa: S608 - of constants
_SOME: Final = """(:workflow IS NULL OR workflow = :workflow)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses))) AND """
# A row of ``tags`` has the time and the key of its run, so that they are in order.
_BY_TAG: Final = f"""SELECT {_COLUMNS}, runs.key
    FROM (SELECT started_at AS tagged_at, run AS tagged FROM tags
        WHERE name = :tag AND value = :value) CROSS JOIN runs ON runs.key = tagged
    WHERE {_SOME}"""  # noqa: S608 - of constants
_BY_SCHEDULE: Final = f"""SELECT {_COLUMNS}, key FROM runs INDEXED BY runs_by_schedule
    WHERE {_SOME}"""  # noqa: S608 - of constants
_BY_ERROR: Final = f"""SELECT {_COLUMNS}, key FROM runs INDEXED BY runs_by_error
    WHERE {_SOME}"""  # noqa: S608 - of constants
_BY_ERROR_PLUGIN: Final = f"""SELECT {_COLUMNS}, key FROM runs INDEXED BY runs_by_error_plugin
    WHERE {_SOME}"""  # noqa: S608 - of constants
_BY_ACCEPTED: Final = f"""SELECT {_COLUMNS}, key FROM runs INDEXED BY runs_waiting
    WHERE status = 'waiting' AND workflow = :workflow AND accepts = :accepts AND """  # noqa: S608 - of constants
_BY_KEYS: Final = f"""SELECT {_COLUMNS}, runs.key
    FROM (SELECT key AS number, value AS wanted FROM json_each(?))
    CROSS JOIN runs ON runs.key = wanted ORDER BY number"""  # noqa: S608 - of constants
_BY_NAME: Final = f"SELECT {_COLUMNS}, key FROM runs WHERE run_id = ?"  # noqa: S608 - of constants
# One seek for each workflow and set of accepted events; these are few, because the runs of a
# workflow share them.
_ACCEPTED: Final = """WITH RECURSIVE found(key) AS (
    SELECT (SELECT key FROM runs INDEXED BY runs_waiting WHERE status = 'waiting'
        ORDER BY workflow, accepts LIMIT 1)
    UNION ALL
    SELECT coalesce(
        (SELECT key FROM runs AS later INDEXED BY runs_waiting WHERE status = 'waiting'
            AND workflow = runs.workflow AND accepts > runs.accepts ORDER BY accepts LIMIT 1),
        (SELECT key FROM runs AS later INDEXED BY runs_waiting WHERE status = 'waiting'
            AND workflow > runs.workflow ORDER BY workflow, accepts LIMIT 1)
    )
    FROM found CROSS JOIN runs ON runs.key = found.key
) SELECT workflow, accepts FROM found CROSS JOIN runs ON runs.key = found.key"""
# One seek for each status, however many runs have it.
_STATUSES: Final = """WITH RECURSIVE found(status) AS (
    SELECT min(status) FROM runs
    UNION ALL
    SELECT (SELECT min(status) FROM runs WHERE status > found.status) FROM found
    WHERE found.status IS NOT NULL
) SELECT status FROM found WHERE status IS NOT NULL"""
_END_OF_TIME: Final = (1 << 63) - 1

_Row = tuple[
    str, str, str, str, int, int | None, str | None, int, str | None, str, str, int | None,
    int, int, str, int, str, str, str | None, str, str | None, str | None, str | None, int | None,
    str | None, int,
]  # fmt: skip


def list_runs(
    connection: sqlite3.Connection, locks: OwnerLocks, query: RunQuery
) -> tuple[RunSummary, ...]:
    """Return the runs that a query selects; see `Journal.runs`.

    Args:
        connection: Where to read.
        locks: Tells which owners are alive.
        query: The query.

    Raises:
        RunNotFoundError: The query begins after a run that does not exist.
    """
    if not is_storable(query):
        return ()
    ordered = heapq.merge(
        *_candidates(connection, query),
        key=lambda row: (row[4], row[-1]),
        reverse=not query.oldest_first,
    )
    return _summaries(itertools.islice(ordered, max(query.limit, 0)), locks)


def runs_of_keys(
    connection: sqlite3.Connection, locks: OwnerLocks, keys: Sequence[int]
) -> tuple[RunSummary, ...]:
    """Return runs by their keys, in the order of these."""
    given = msgspec.json.encode(keys).decode()
    return _summaries(connection.execute(_BY_KEYS, (given,)), locks)


def is_storable(query: RunQuery) -> bool:
    """Return whether a run can have the texts that a query asks for."""
    texts = (
        *query.tags,
        *query.tags.values(),
        query.schedule or "",
        query.error_code or "",
        query.error_plugin or "",
    )
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def summary_of(connection: sqlite3.Connection, locks: OwnerLocks, run_id: str) -> RunSummary:
    """Return one run's summary; see `Journal.summary`.

    Raises:
        RunNotFoundError: There is no such run.
    """
    row = connection.execute(_BY_NAME, (run_id,)).fetchone()
    if row is None:
        raise RunNotFoundError(run_id)
    return _summary(row, row[6] is not None and locks.is_alive(row[6]))


def waits_for(accepts: str, event: str) -> bool:
    """Return whether a run that accepts these events waits for this one.

    Args:
        accepts: Event names, separated by spaces.
        event: An event's name; with ``.*`` at the end also every name below it.

    >>> waits_for("timer.expired user.action", "user.*")
    True
    >>> waits_for("user.action", "user")
    False
    """
    names = accepts.split()
    if not event.endswith(".*"):
        return event in names
    above = event[:-2]
    return any(each == above or each.startswith(f"{above}.") for each in names)


def _candidates(connection: sqlite3.Connection, query: RunQuery) -> Iterator[list[_Row]]:
    given = _bounds(connection, query)
    order = _OLDEST if query.oldest_first else _NEWEST
    conditions = ""
    if query.pool is not None or query.needs is not None:
        conditions += _OF_POOL
    if query.tags:
        conditions += _TAGGED
    if query.schedule is not None:
        conditions += _OF_SCHEDULE

    if query.error_code is not None:
        conditions += _OF_ERROR
    if query.error_plugin is not None:
        conditions += _OF_ERROR_PLUGIN

    def read(
        statement: str, at: str = "started_at", key: str = "key", **more: str | int
    ) -> list[_Row]:
        whole = statement + conditions + order.format(at=at, key=key)
        return connection.execute(whole, {**given, **more}).fetchall()

    if query.parent is not None:
        # All children, because no index selects the matching ones.
        yield [row for row in read(_BY_PARENT, limit=_END_OF_TIME) if _fits(row, query)]
    elif query.waiting_for is None and query.error_code is not None:
        yield read(_BY_ERROR)
    elif query.waiting_for is None and query.error_plugin is not None:
        yield read(_BY_ERROR_PLUGIN)
    elif query.waiting_for is None and query.tags:
        name, value = next(iter(query.tags.items()))
        yield read(_BY_TAG, "tagged_at", "tagged", tag=name, value=value)
    elif query.waiting_for is None and query.schedule is not None:
        yield read(_BY_SCHEDULE)
    elif query.waiting_for is None:
        statement = _BY_STATUS if query.workflow is None else _BY_WORKFLOW
        for status in query.statuses or [row[0] for row in connection.execute(_STATUSES)]:
            yield read(statement, status=status)
    elif not query.statuses or "waiting" in query.statuses:
        for workflow, accepts in connection.execute(_ACCEPTED).fetchall():
            if query.workflow in (None, workflow) and waits_for(accepts, query.waiting_for):
                yield read(_BY_ACCEPTED, workflow=workflow, accepts=accepts)


def _bounds(connection: sqlite3.Connection, query: RunQuery) -> dict[str, Any]:
    since = to_us(query.started_since) if query.started_since else -_END_OF_TIME
    until = to_us(query.started_until) if query.started_until else _END_OF_TIME
    at, key = -_END_OF_TIME, 0  # no run started then
    if query.after is not None:
        row = connection.execute(
            "SELECT started_at, key FROM runs WHERE run_id = ?", (query.after,)
        ).fetchone()
        if row is None:
            raise RunNotFoundError(query.after)
        at, key = row
        if query.oldest_first:
            since = max(since, at)
        else:
            until = min(until, at + 1)
    return {
        "workflow": query.workflow, "parent": query.parent, "since": since, "until": until,
        "at": at, "key": key, "limit": query.limit, "pool": query.pool,
        "need": None if query.needs is None else query.needs[0],
        "major": None if query.needs is None else query.needs[1],
        "tags": msgspec.json.encode(dict(query.tags)).decode(), "schedule": query.schedule,
        "error_code": query.error_code, "error_plugin": query.error_plugin,
        "statuses": msgspec.json.encode(sorted(query.statuses)).decode()
        if query.statuses else None,
    }  # fmt: skip


def _fits(row: _Row, query: RunQuery) -> bool:
    if query.statuses and row[3] not in query.statuses:
        return False
    if query.waiting_for is None:
        return True
    return row[3] == "waiting" and waits_for(row[10], query.waiting_for)


def _summaries(rows: Iterable[_Row], locks: OwnerLocks) -> tuple[RunSummary, ...]:
    alive: dict[str | None, bool] = {None: False}
    found = []
    for row in rows:
        owner = row[6]
        if owner is not None and owner not in alive:
            alive[owner] = locks.is_alive(owner)
        found.append(_summary(row, alive[owner]))
    return tuple(found)


def _summary(row: _Row, alive: bool) -> RunSummary:
    return RunSummary(
        run_id=row[0],
        workflow=row[1],
        kind=row[2],
        status=row[3],
        started_at=from_us(row[4]),
        finished_at=None if row[5] is None else from_us(row[5]),
        owner_alive=alive,
        epoch=row[7],
        parent=row[8],
        label=row[9],
        accepts=tuple(row[10].split()),
        waiting_since=None if row[11] is None or row[3] != "waiting" else from_us(row[11]),
        records=row[12],
        stateful=bool(row[13]),
        pool=row[14],
        priority=row[15],
        title=row[16],
        tags={} if row[17] == "{}" else msgspec.json.decode(row[17], type=dict[str, str]),
        schedule=row[18],
        started_by=started_by_of(row[19]),
        error_code=row[20],
        error_plugin=row[21],
        place=row[22],
        holds_place=bool(row[23]),
        held_by=() if row[24] is None else tuple(msgspec.json.decode(row[24], type=list[str])),
    )
