"""The documents in one SQLite file: each content once, each document in a full-text index."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from qtforge_builtin_plugins.documents.messages import (
    FindRequest,
    FindResponse,
    FoundDocument,
    StoreRequest,
    StoreResponse,
)
from qtforge_sdk import OperationError
from qtforge_sdk.messages import DiscardRequest
from qtforge_sdk.sqlite_store import Schema, SqliteStore, StoreError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Catalogue"]

# The index keeps no text of its own: it reads the view, so that a text is stored once.
_VERSION_1: Final = (
    "CREATE TABLE contents (sha256 TEXT PRIMARY KEY, parsed_content TEXT NOT NULL) STRICT",
    "CREATE TABLE documents ("
    " seq INTEGER PRIMARY KEY, document_id TEXT NOT NULL UNIQUE, request_id TEXT UNIQUE,"
    " sha256 TEXT NOT NULL REFERENCES contents (sha256), name TEXT NOT NULL, title TEXT,"
    " document_type TEXT, language TEXT, stored_at TEXT NOT NULL, details BLOB NOT NULL"
    ") STRICT",
    "CREATE INDEX documents_by_content ON documents (sha256)",
    "CREATE VIEW searchable AS SELECT seq, name, coalesce(title, '') AS title, parsed_content"
    " FROM documents JOIN contents USING (sha256)",
    "CREATE VIRTUAL TABLE search USING fts5 (name, title, parsed_content,"
    " content='searchable', content_rowid='seq', tokenize='unicode61 remove_diacritics 2')",
)
_SCHEMA: Final = Schema(application_id=0x51466463, migrations=(_VERSION_1,))  # "QFdc"
_MOST_FOUND: Final = 1000
# An attachment's request is that of its document, with "/" and a number; "0" follows "/".
_ATTACHED: Final = (
    "SELECT document_id, seq, sha256 FROM documents"
    " WHERE request_id >= :request_id || '/' AND request_id < :request_id || '0' ORDER BY seq"
)


class Catalogue:
    """The stored documents; may be used by several threads and host processes at once.

    Args:
        path: The database's file; its folder is made when something is stored.
        busy_timeout_s: How long to wait for another writer, in seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self._store = SqliteStore(path, _SCHEMA, busy_timeout_s=busy_timeout_s)

    def store(self, request: StoreRequest) -> StoreResponse:
        """Store a document in one transaction; a known ``request_id`` changes nothing.

        When two documents have the same content, the text of the first is kept.

        Raises:
            OperationError: ``storage.newer``, ``.damaged``, ``.locked``, ``.unwritable``.
        """
        with _translated_errors(), self._store.transaction() as connection:
            known = connection.execute(
                "SELECT document_id, sha256 FROM documents WHERE request_id = ?",
                (request.request_id,),
            ).fetchone()
            if known is not None:
                attached = connection.execute(_ATTACHED, {"request_id": request.request_id})
                return StoreResponse(
                    document_id=known[0],
                    sha256=known[1],
                    new_content=False,
                    attachment_ids=[document_id for document_id, _, _ in attached],
                )
            document_id, is_new = _insert(connection, request)
            attachment_ids = [
                _insert(connection, attachment)[0] for attachment in _attachments(request)
            ]
        return StoreResponse(
            document_id=document_id,
            sha256=request.metadata.sha256,
            new_content=is_new,
            attachment_ids=attachment_ids,
        )

    def discard(self, request: DiscardRequest) -> int:
        """Remove the named documents, their attachments, and contents that no document uses.

        Returns:
            The number of documents removed.

        Raises:
            OperationError: As for `store`.
        """
        if not self.path.exists():
            return 0
        with _translated_errors(), self._store.transaction() as connection:
            named = connection.execute(
                "SELECT seq, sha256, request_id FROM documents"
                " WHERE document_id = ? OR request_id = ?",
                (request.document_id, request.request_id),
            ).fetchall()
            rows = [(seq, sha256) for seq, sha256, _ in named]
            for _, _, request_id in named:
                attached = connection.execute(_ATTACHED, {"request_id": request_id})
                rows += [(seq, sha256) for _, seq, sha256 in attached]
            for seq, sha256 in rows:
                # An index without a text of its own needs the indexed text to delete it.
                connection.execute(
                    "INSERT INTO search (search, rowid, name, title, parsed_content) SELECT"
                    " 'delete', seq, name, title, parsed_content FROM searchable WHERE seq = ?",
                    (seq,),
                )
                connection.execute("DELETE FROM documents WHERE seq = ?", (seq,))
                connection.execute(
                    "DELETE FROM contents WHERE sha256 = :sha256"
                    " AND NOT EXISTS (SELECT 1 FROM documents WHERE sha256 = :sha256)",
                    {"sha256": sha256},
                )
        return len(rows)

    def find(self, request: FindRequest) -> FindResponse:
        """Return the documents that have all words of the query.

        Raises:
            OperationError: ``storage.invalid_query``, ``storage.invalid_limit``, and as for
                `store`.
        """
        if not 1 <= request.limit <= _MOST_FOUND:
            raise OperationError(
                "storage.invalid_limit", f"limit is {request.limit}",
                f"it is 1 to {_MOST_FOUND}", "ask for fewer documents",
            )  # fmt: skip
        phrase = _match_phrase(request.query)
        if not self.path.exists():
            return FindResponse(documents=[], total=0)
        with _translated_errors(), self._store.reading() as connection:
            (total,) = connection.execute(
                "SELECT count(*) FROM search WHERE search MATCH ?", (phrase,)
            ).fetchone()
            rows = connection.execute(
                "SELECT document_id, documents.name, sha256, documents.title, document_type,"
                " language, stored_at, snippet(search, -1, '[', ']', '…', 16)"
                " FROM search JOIN documents ON documents.seq = search.rowid"
                " WHERE search MATCH ? ORDER BY rank, seq LIMIT ?",
                (phrase, request.limit),
            ).fetchall()
        return FindResponse(
            documents=[
                FoundDocument(
                    document_id=row[0], name=row[1], sha256=row[2], title=row[3],
                    document_type=row[4], language=row[5], stored_at=row[6],
                    excerpt=" ".join(row[7].split()),
                )
                for row in rows
            ],
            total=total,
        )  # fmt: skip


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise _translated(error) from error


def _translated(error: StoreError) -> OperationError:
    match error.reason:
        case "foreign":
            return OperationError(
                "storage.damaged", f"{error.path} is not a document store", error.why,
                "set path in the configuration of document-storage to another file",
            )  # fmt: skip
        case "newer":
            return OperationError(
                "storage.newer", f"{error.path} was written by a newer version", error.why,
                "update qtforge-host, or set path in the configuration of document-storage",
            )  # fmt: skip
        case "busy":
            return OperationError(
                "storage.locked", f"{error.path} is locked", error.why,
                "try again, or raise busy_timeout in the configuration of document-storage",
            )  # fmt: skip
        case "full" | "unwritable":
            return OperationError(
                "storage.unwritable", f"{error.path} can't be written", error.why,
                "free space there, fix the permissions, or set path in the configuration of"
                " document-storage",
            )  # fmt: skip
        case _:
            return OperationError(
                "storage.damaged", f"{error.path} is damaged", error.why,
                "restore it from a backup, or move it away to start a new store",
            )  # fmt: skip


def _insert(connection: sqlite3.Connection, request: StoreRequest) -> tuple[str, bool]:
    """Insert a document; return its identity, and whether its content is new."""
    metadata, analysis = request.metadata, request.analysis_results
    inserted = connection.execute(
        "INSERT INTO contents VALUES (?, ?) ON CONFLICT DO NOTHING",
        (metadata.sha256, request.parsed_content),
    )
    document_id = str(uuid.uuid4())
    seq = connection.execute(
        "INSERT INTO documents (document_id, request_id, sha256, name, title,"
        " document_type, language, stored_at, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document_id, request.request_id, metadata.sha256, metadata.name,
            metadata.title, analysis.document_type if analysis else None,
            analysis.language if analysis else None,
            datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            _details(request),
        ),
    ).lastrowid  # fmt: skip
    connection.execute(
        "INSERT INTO search (rowid, name, title, parsed_content)"
        " SELECT seq, name, title, parsed_content FROM searchable WHERE seq = ?",
        (seq,),
    )
    return document_id, inserted.rowcount == 1


def _attachments(request: StoreRequest) -> Iterator[StoreRequest]:
    """Yield a request for each document within a document."""
    for number, attachment in enumerate(request.attachments, start=1):
        response = attachment.response
        if response is not None:
            yield StoreRequest(
                parsed_content=response.parsed_content,
                metadata=response.metadata,
                request_id=f"{request.request_id}/{number}" if request.request_id else None,
            )


def _details(request: StoreRequest) -> bytes:
    # The text is in `contents`, once, and attachments are documents of their own.
    return msgspec.json.encode(msgspec.structs.replace(request, parsed_content="", attachments=[]))


def _match_phrase(query: str) -> str:
    """Return an FTS5 expression in which every word of the query is a quoted string.

    Raises:
        OperationError: ``storage.invalid_query``: it has no word.
    """
    words = [word.replace("\0", "") for word in query.split() if any(map(str.isalnum, word))]
    if not words:
        raise OperationError(
            "storage.invalid_query", "the query has no words", f"it is {query!r}",
            "give one or more words of the documents",
        )  # fmt: skip
    return " ".join('"' + word.replace('"', '""') + '"' for word in words)
