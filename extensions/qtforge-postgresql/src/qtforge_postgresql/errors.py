"""Errors of PostgreSQL as errors of a journal; the only place for it.

::

    StorageError
    ├── JournalUnavailableError    journal.unavailable      it is tried again by time
    ├── JournalNotReadyError       journal.not_ready        tables are missing, older or newer
    └── JournalFailedError         journal.failed           the server refused a statement
"""

from __future__ import annotations

from typing import Final

import psycopg

from qtforge_postgresql.address import EXAMPLE, Address
from qtforge_sdk.errors import StorageError
from qtforge_sdk.journal_errors import JournalUnavailableError

__all__ = [
    "CONNECTION_ERRORS",
    "JournalFailedError",
    "JournalNotReadyError",
    "is_passing",
    "storage_error",
]

CONNECTION_ERRORS: Final = (psycopg.OperationalError, psycopg.InterfaceError)
"""What psycopg raises when a connection is lost or the server can't do its work now."""

# SQLSTATE classes: integrity (a retried group finds its own rows), transaction rollback (deadlock).
_PASSING: Final = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.ReadOnlySqlTransaction,  # the server that was the primary, until a failover
    psycopg.errors.InvalidSqlStatementName,  # a pooler gave the transaction another session
    psycopg.errors.DuplicatePreparedStatement,
)
_ROOM: Final = "raise max_connections, or put pgbouncer before it"
_FIXES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (psycopg.errors.DiskFull, "make room on the disk of the server"),
    (psycopg.errors.TooManyConnections, _ROOM),
    (psycopg.errors.InvalidPassword, "check user and password of the address"),
    (psycopg.errors.InvalidAuthorizationSpecification, "check the user of the address"),
    (
        psycopg.errors.InsufficientPrivilege,
        "grant the user the tables of the schema, or give it one: CREATE SCHEMA .. AUTHORIZATION",
    ),
)


# A refused connection has no code: libpq says in words alone why.
_REFUSALS: Final = (
    ("no password supplied", "the address has no password; it is given as in " + EXAMPLE),
    ("password authentication failed", "check user and password of the address"),
    ("certificate", "check sslmode, sslrootcert, sslcert and sslkey of the address"),
    ("does not support ssl", "check sslmode of the address, and ssl of the server"),
    ("pg_hba.conf", "check user, database and sslmode of the address, and that file of the server"),
    ("too many", _ROOM),
    ("connection slots", _ROOM),
    ("does not exist", "check user and database of the address"),
    ("connection is bad: invalid", "correct that parameter of the address"),
)


class JournalNotReadyError(StorageError):
    """The database has no tables of this version; nothing in it was changed.

    Args:
        where: The journal's address, without a password.
        why: What is wrong.
        fix: How to fix it.
    """

    code = "journal.not_ready"
    retryable = False

    def __init__(self, where: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the journal {where} can't be opened", why, fix)
        self.where = where


class JournalFailedError(StorageError):
    """The server refused a statement; nothing was written.

    Args:
        where: The journal's address, without a password.
        why: What the server says.
        fix: How to fix it.
    """

    code = "journal.failed"

    def __init__(self, where: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the journal {where} can't be used", why, fix)
        self.where = where


def _connection_fix(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.sqlstate is None:
        said = str(error).lower()
        for part, fix in _REFUSALS:
            if part in said:
                return fix
    return "check that the server runs and can be reached from here"


def is_passing(error: Exception) -> bool:
    """Return whether the same statements may succeed in a moment, perhaps on another connection."""
    return isinstance(error, (*CONNECTION_ERRORS, *_PASSING))


def storage_error(address: Address, error: Exception) -> StorageError:
    """Return the error of a journal for one of psycopg; its text has no password."""
    why = address.conceal(" ".join(str(error).split())) or type(error).__name__
    fix = next((fix for kind, fix in _FIXES if isinstance(error, kind)), "")
    found: StorageError
    if isinstance(error, StorageError):
        return error
    if is_passing(error):
        fix = fix or _connection_fix(error)
        found = JournalUnavailableError(address.shown, why, fix)
    else:
        found = JournalFailedError(address.shown, why, fix or "look into the server's log")
    found.__cause__ = error
    return found
