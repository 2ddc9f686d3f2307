"""Search runs by words.

A word may be in every run or in none, and so may be what the runs are restricted to otherwise.
The newest runs are looked at one by one: frequent words are found there. Then the runs that the
other conditions leave, where these are few. Only then the index is asked, for rare words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.journal.listing_queries import is_storable, runs_of_keys, waits_for
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.search_index import ALL_WORDS
from qtforge_sdk.journal import RunQuery, RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.journal_kit.encoding import to_us
from qtforge_sdk.journal_kit.search_words import search_terms

__all__ = ["search_runs"]

_LOOKED_AT: Final = 2_000  # newest runs
_FEW: Final = 5_000  # runs that the other conditions leave
_MOST_EXPANDED: Final = 20  # words that begin with one of the search
_MOST: Final = (1 << 63) - 1

_WORDS: Final = f"instr(' ' || {ALL_WORDS}, :word{{number}}) > 0"
_TAGGED: Final = """runs.key IN
    (SELECT run FROM tags WHERE name = :tag{number} AND value = :value{number})"""
_NEEDING: Final = """EXISTS (SELECT 1 FROM json_each({column}) AS each
    WHERE each.key = :need AND each.value = :major)"""
_NEWEST_END: Final = """SELECT run FROM searched WHERE run {before} :edge
    ORDER BY run {order} LIMIT 1 OFFSET :offset"""
_NEWEST: Final = """SELECT run FROM searched CROSS JOIN runs ON runs.key = run
    WHERE run {before} :edge AND run {after} :end AND {all}
    ORDER BY run {order} LIMIT :limit"""
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE {indexed} LIMIT :few + 1)"
# Not by the key: the index of a condition is shorter.
_LEFT: Final = """SELECT runs.key FROM runs CROSS JOIN searched ON searched.run = runs.key
    WHERE +runs.key {before} :edge AND {all} ORDER BY +runs.key {order} LIMIT :limit"""
_BY_INDEX: Final = """SELECT search.rowid FROM search
    CROSS JOIN searched ON searched.run = search.rowid
    CROSS JOIN runs ON runs.key = search.rowid
    WHERE search MATCH :match AND search.rowid {before} :edge AND {all}
    ORDER BY search.rowid {order} LIMIT :limit"""
_NOT_INDEXED: Final = """SELECT searched.run FROM search_new
    CROSS JOIN searched ON searched.run = search_new.run
    CROSS JOIN runs ON runs.key = search_new.run
    WHERE search_new.run {before} :edge AND {all}
    ORDER BY search_new.run {order} LIMIT :limit"""
_TERMS: Final = """CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_terms
    USING fts5vocab('main', 'search', 'instance')"""
_TERM: Final = "SELECT term FROM temp.search_terms WHERE term >= ? LIMIT 1"


def search_runs(
    connection: sqlite3.Connection, locks: OwnerLocks, query: RunQuery
) -> tuple[RunSummary, ...]:
    """Return the runs that a query with a ``search`` selects; see `Journal.runs`.

    Args:
        connection: Where to read.
        locks: Tells which owners are alive.
        query: The query.

    Raises:
        RunNotFoundError: The query begins after a run that does not exist.
    """
    terms = search_terms(query.search or "")
    if not terms or query.limit <= 0 or not is_storable(query):
        return ()
    connection.create_function("waits_for", 2, waits_for, deterministic=True)
    return runs_of_keys(connection, locks, _Search(connection, query, terms).keys())


class _Search:
    """One search.

    Args:
        connection: Where to read.
        query: What the runs are restricted to.
        terms: The words that they have.
    """

    def __init__(
        self, connection: sqlite3.Connection, query: RunQuery, terms: Sequence[str]
    ) -> None:
        self._connection = connection
        self._query = query
        self._terms = terms
        self._given: dict[str, Any] = {
            "edge": self._edge(), "few": _FEW, "offset": _LOOKED_AT - 1,
        }  # fmt: skip
        self._indexed = list(self._indexed_conditions())
        self._conditions = [*self._indexed, *self._other_conditions()]

    def keys(self) -> list[int]:
        """Return the keys of the runs, in their order."""
        wanted = self._query.limit
        end = self._read(_NEWEST_END)
        # Where there are no more runs than that, all of them are looked at.
        first = -_MOST if not self._query.oldest_first else _MOST
        found = self._read(_NEWEST, end=end[0] if end else first, limit=wanted)
        if not end or len(found) >= wanted:
            return found
        self._given["edge"] = end[0]
        left = wanted - len(found)
        if self._indexed and self._read(_COUNT)[0] <= _FEW:
            return found + self._read(_LEFT, limit=left)
        more = set(self._read(_NOT_INDEXED, limit=left))
        match = self._match()
        if match is not None:
            more.update(self._read(_BY_INDEX, match=match, limit=left))
        ordered = sorted(more, reverse=not self._query.oldest_first)
        return found + ordered[:left]

    def _read(self, statement: str, **more: Any) -> list[int]:
        oldest_first = self._query.oldest_first
        text = statement.format(
            before=">" if oldest_first else "<",
            after="<=" if oldest_first else ">=",
            order="ASC" if oldest_first else "DESC",
            all=" AND ".join(self._conditions),
            indexed=" AND ".join(self._indexed),
        )
        return [key for (key,) in self._connection.execute(text, {**self._given, **more})]

    def _edge(self) -> int:
        after = self._query.after
        if after is None:
            return -_MOST if self._query.oldest_first else _MOST
        row = self._connection.execute("SELECT key FROM runs WHERE run_id = ?", (after,)).fetchone()
        if row is None:
            raise RunNotFoundError(after)
        return int(row[0])

    def _indexed_conditions(self) -> Iterator[str]:
        """Yield the conditions that an index of ``runs`` or ``tags`` answers."""
        query, given = self._query, self._given
        if query.statuses:
            given["statuses"] = msgspec.json.encode(sorted(query.statuses)).decode()
            yield "status IN (SELECT value FROM json_each(:statuses))"
        for column in ("workflow", "parent", "schedule", "error_code", "error_plugin"):
            value = getattr(query, column)
            if value is not None:
                given[column] = value
                yield f"{column} = :{column}"
        if query.waiting_for is not None:
            given["event"] = query.waiting_for
            yield "status = 'waiting' AND waits_for(accepts, :event)"
        for number, (name, value) in enumerate(query.tags.items()):
            given[f"tag{number}"], given[f"value{number}"] = name, value
            yield _TAGGED.format(number=number)

    def _other_conditions(self) -> Iterator[str]:
        query, given = self._query, self._given
        if query.started_since is not None:
            given["since"] = to_us(query.started_since)
            yield "started_at >= :since"
        if query.started_until is not None:
            given["until"] = to_us(query.started_until)
            yield "started_at < :until"
        if query.pool is not None:
            given["pool"] = query.pool
            yield "pool = :pool"
        if query.needs is not None:
            given["need"], given["major"] = query.needs
            yield f"({_NEEDING.format(column='needs')} OR {_NEEDING.format(column='served')})"
        for number, term in enumerate(self._terms):
            given[f"word{number}"] = f" {term}"
            yield _WORDS.format(number=number)

    def _match(self) -> str | None:
        """Return what to ask the index for; None where it has no such run.

        A word with which very many others begin is left to the conditions, which are asked of
        every run that the index finds; of such words alone the longest counts.
        """
        self._connection.execute(_TERMS)
        needed = []
        for term in self._terms:
            words = self._expanded(term)
            if words is None:
                continue
            if not words:
                return None
            needed.append(f"({' OR '.join(map(_quoted, words))})")
        if not needed:
            needed.append(f"{_quoted(max(self._terms, key=len))}*")
        if self._query.workflow is not None:  # its name is among the words of its runs
            name = search_terms(self._query.workflow)
            needed += [_quoted(max(name, key=len))] if name else []
        return " AND ".join(needed)

    def _expanded(self, term: str) -> list[str] | None:
        """Return the words that begin with one; None where they are too many."""
        found: list[str] = []
        least = term
        while len(found) <= _MOST_EXPANDED:
            row = self._connection.execute(_TERM, (least,)).fetchone()
            if row is None or not row[0].startswith(term):
                return found
            found.append(row[0])
            least = f"{row[0]}\x01"
        return None


def _quoted(word: str) -> str:
    """Return a word, which has letters and digits only, as a text of the index's language."""
    return f'"{word}"'
