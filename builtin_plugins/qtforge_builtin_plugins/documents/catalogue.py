"""The documents in one SQLite file: each content once, each document in a full-text index."""

from __future__ import annotations

import datetime
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from qtforge_sdk import OperationError
from qtforge_sdk.messages import (
    DiscardRequest,
    FindRequest,
    FindResponse,
    FoundDocument,
    StoreRequest,
    StoreResponse,
)

__all__ = ["SCHEMA_VERSION", "Catalogue"]

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
# "QFdc": tells this store from another application's database.
_APPLICATION_ID: Final = 0x51466463
# The index keeps no text of its own: it reads the view, so that a text is stored once.
_SCHEMA: Final = (
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
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_STATE: Final = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
    " FROM pragma_application_id, pragma_user_version"
)
_MOST_FOUND: Final = 1000
_RETRY_S: Final = 0.02
_UNWRITABLE: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
     sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)  # fmt: skip


class Catalogue:
    """The store, opened anew for each call.

    A connection for each call costs less than a millisecond and needs no lock: calls come
    from several threads and several host processes, and SQLite itself orders them.

    Args:
        path: The database's file; its folder is made when something is stored.
        busy_timeout_s: How long to wait for another writer, in seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s

    def store(self, request: StoreRequest) -> StoreResponse:
        """Keep a document in one transaction; a known ``request_id`` changes nothing.

        Of the same content the text that came first is kept.

        Raises:
            OperationError: ``storage.newer``, ``.damaged``, ``.locked``, ``.unwritable``.
        """
        return self._guarded(lambda: self._store(request))

    def discard(self, request: DiscardRequest) -> int:
        """Remove the documents named, and contents that no document has any more.

        Returns:
            How many documents were removed; 0 when there were none.

        Raises:
            OperationError: As for `store`.
        """
        return self._guarded(lambda: self._discard(request)) if self.path.exists() else 0

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
        return self._guarded(lambda: self._find(phrase, request.limit))

    def _store(self, request: StoreRequest) -> StoreResponse:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        metadata = request.metadata
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT document_id, sha256 FROM documents WHERE request_id = ?",
                (request.request_id,),
            ).fetchone()
            if known is not None:
                return StoreResponse(document_id=known[0], sha256=known[1], new_content=False)
            inserted = connection.execute(
                "INSERT INTO contents VALUES (?, ?) ON CONFLICT DO NOTHING",
                (metadata.sha256, request.parsed_content),
            )
            document_id = str(uuid.uuid4())
            analysis = request.analysis_results
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
        return StoreResponse(
            document_id=document_id, sha256=metadata.sha256, new_content=inserted.rowcount == 1
        )

    def _discard(self, request: DiscardRequest) -> int:
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT seq, sha256 FROM documents WHERE document_id = ? OR request_id = ?",
                (request.document_id, request.request_id),
            ).fetchall()
            for seq, sha256 in rows:
                # An index without a text of its own must be told what it had of the document.
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

    def _find(self, phrase: str, limit: int) -> FindResponse:
        with closing(self._connect()) as connection:
            (total,) = connection.execute(
                "SELECT count(*) FROM search WHERE search MATCH ?", (phrase,)
            ).fetchone()
            rows = connection.execute(
                "SELECT document_id, documents.name, sha256, documents.title, document_type,"
                " language, stored_at, snippet(search, -1, '[', ']', '…', 16)"
                " FROM search JOIN documents ON documents.seq = search.rowid"
                " WHERE search MATCH ? ORDER BY rank, seq LIMIT ?",
                (phrase, limit),
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
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            # IMMEDIATE takes the writer's lock now: a lock that is wanted only after reading
            # can't be waited for.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            if self._version(connection) == 0:
                self._create(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the schema's version, 0 for a new file.

        Raises:
            OperationError: It is newer than this code, or another application's.
        """
        # One statement, so that all three are of the same moment: another process may be
        # making the schema right now.
        application, version, tables = connection.execute(_STATE).fetchone()
        if application not in (0, _APPLICATION_ID) or (tables and application == 0):
            raise OperationError(
                "storage.damaged", f"{self.path} is not a document store",
                "it is another application's database",
                "set path in the configuration of document-storage to another file",
            )  # fmt: skip
        if version > SCHEMA_VERSION:
            raise OperationError(
                "storage.newer", f"{self.path} was written by a newer version",
                f"its schema is {version}, and this version knows {SCHEMA_VERSION}",
                "update qtforge-host, or set path in the configuration of document-storage",
            )  # fmt: skip
        return int(version)

    def _create(self, connection: sqlite3.Connection) -> None:
        self._wait_for_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been first while this one waited.
            if self._version(connection) == 0:
                for statement in _SCHEMA:
                    connection.execute(statement)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def _wait_for_wal(self, connection: sqlite3.Connection) -> None:
        """Set the write-ahead log, which lets readers go on beside a writer.

        SQLite's own timeout does not hold for this change, so the wait is here.
        """
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)
            else:
                return

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            raise _translated(error, self.path, self._busy_timeout_s) from error
        except OSError as error:
            raise _unwritable(self.path, str(error)) from error


def _translated(error: sqlite3.Error, path: Path, waited_s: float) -> OperationError:
    code = _primary_code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OperationError(
            "storage.locked", f"{path} is locked",
            f"another program has been writing for {waited_s:g} s",
            "try again, or raise busy_timeout_s in the configuration of document-storage",
        )  # fmt: skip
    if code in _UNWRITABLE:
        return _unwritable(path, str(error))
    return OperationError(
        "storage.damaged", f"{path} is damaged", str(error),
        "restore it from a backup, or move it away to begin a new store",
    )  # fmt: skip


def _unwritable(path: Path, why: str) -> OperationError:
    return OperationError(
        "storage.unwritable", f"{path} can't be written", why,
        "free space there, mend the permissions, or set path in the configuration of"
        " document-storage",
    )  # fmt: skip


def _details(request: StoreRequest) -> bytes:
    # The text is in `contents`, once.
    return msgspec.json.encode(msgspec.structs.replace(request, parsed_content=""))


def _primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, without the extension in the higher bits."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _match_phrase(query: str) -> str:
    """Return an FTS5 expression in which every word of the query is a quoted string.

    Raises:
        OperationError: ``storage.invalid_query``: it has no word.
    """
    words = [word.replace("\0", "") for word in query.split() if any(map(str.isalnum, word))]
    if not words:
        raise OperationError(
            "storage.invalid_query", "the query has no words", f"it is {query!r}",
            "give one or more words that stand in the documents",
        )  # fmt: skip
    return " ".join('"' + word.replace('"', '""') + '"' for word in words)
