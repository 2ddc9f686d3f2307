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
        databases: Endpoints by name, for sources to name them.
        roots: Folders that SQLite files are read from; the working directory when silent.
        limit: How many rows a query gives at most where its source says nothing.
        connections: How many queries run at once; more wait.
        allow_writable: Dialects, such as ``mysql``, that are asked although nothing but the
            user's rights keeps a query from writing there.
    """

    databases: dict[str, str] = {}
    roots: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (".",)
    limit: _Positive = 1_000_000
    connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    allow_writable: list[str] = []


class QueryParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a source of type ``database``.

    Attributes:
        query: One statement that reads, with placeholders ``:name``.
        bind: A value for each placeholder; a list for ``in :name``.
        limit: How many rows at most; more make the answer ``truncated``.
        statement_timeout: How long the statement may take, a duration; at most until the
            request's deadline.
        database: The original's name: with an endpoint, the name of the database; without,
            a name from the configuration, a URL, or the path of a SQLite file.
    """

    query: str
    bind: dict[str, Any] = {}
    limit: _Positive | None = None
    statement_timeout: Duration | None = None
    database: str | None = None
