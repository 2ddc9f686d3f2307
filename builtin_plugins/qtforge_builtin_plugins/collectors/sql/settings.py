"""The configuration of database-collector, and the parameters of its sources."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from qtforge_sdk import Duration

__all__ = ["DatabaseConfig", "QueryParameters"]

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of database-collector.

    Attributes:
        databases: Endpoints by name, which sources can use.
        roots: Folders that SQLite files are read from; by default the working directory.
        limit: The most rows of a query whose source has no limit.
        value_bytes: The longest text or blob that a query of a SQLite file may read or compute.
        connections: The most queries at once; others wait.
        allow_writable: Dialects, such as ``mysql``, that may be queried although only the
            user's rights prevent a query from writing.
    """

    databases: dict[str, str] = {}
    roots: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (".",)
    limit: _Positive = 1_000_000
    value_bytes: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 64 << 20
    connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    allow_writable: list[str] = []


class QueryParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a source of type ``database``.

    Attributes:
        query: One statement that reads, with placeholders ``:name``.
        bind: A value for each placeholder; a list for ``in :name``.
        limit: The most rows; with more the answer is ``truncated``.
        statement_timeout: The statement's timeout, a duration; at most until the request's
            deadline.
        database: With an endpoint, the name of the database; without, a name from the
            configuration, a URL, or the path of a SQLite file. The name is the original's.
    """

    query: str
    bind: dict[str, Any] = {}
    limit: _Positive | None = None
    statement_timeout: Duration | None = None
    database: str | None = None
