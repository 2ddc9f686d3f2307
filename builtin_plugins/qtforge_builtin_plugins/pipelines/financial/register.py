"""The invoices that were seen before, in one SQLite file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from qtforge_builtin_plugins.pipelines.financial.issuer import issuer_key
from qtforge_sdk import OperationError

__all__ = ["SCHEMA_VERSION", "Register", "Registered"]

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x51466972  # "QFir": tells it from another application's database
_SCHEMA: Final = (
    "CREATE TABLE invoices ("
    " seq INTEGER PRIMARY KEY, number TEXT NOT NULL, sha256 TEXT NOT NULL, issuer TEXT,"
    " iban TEXT, total TEXT, currency TEXT, issued_on TEXT, name TEXT NOT NULL, request_id TEXT,"
    " UNIQUE (number, sha256)"
    ") STRICT",
    "CREATE INDEX invoices_by_request ON invoices (request_id)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_STATE: Final = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
    " FROM pragma_application_id, pragma_user_version"
)
_COLUMNS: Final = "number, sha256, issuer, iban, total, currency, issued_on, name"
_NO_SIGN: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An invoice in the register.

    Attributes:
        number: As written; compared without marks and case.
        sha256: Of the document.
        issuer: Its name, or None.
        iban: Where to pay, or None.
        total: As decimal text, or None.
        currency: ISO 4217, or None.
        issued_on: ISO 8601, or None.
        name: The document's name.
    """

    number: str
    sha256: str
    name: str
    issuer: str | None = None
    iban: str | None = None
    total: str | None = None
    currency: str | None = None
    issued_on: str | None = None


class Register:
    """Remembers invoices; opened anew for each call, as calls come from several threads.

    Args:
        path: The database's file; its folder is made when something is registered.
        busy_timeout_s: How long to wait for another writer, in seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s

    def enter(self, invoice: Registered, request_id: str | None) -> list[Registered]:
        """Register an invoice; the same document again changes nothing.

        Returns:
            Invoices that were registered before this one, with the same number and other
            content, and the same issuer as far as that is known.

        Raises:
            OperationError: ``fraud.register_unusable``.
        """
        return self._guarded(lambda: self._enter(invoice, request_id))

    def forget(self, request_id: str) -> int:
        """Remove what a request registered; return how many that were.

        Raises:
            OperationError: As for `enter`.
        """
        return self._guarded(lambda: self._forget(request_id)) if self.path.exists() else 0

    def _enter(self, invoice: Registered, request_id: str | None) -> list[Registered]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        number = _NO_SIGN.sub("", invoice.number).casefold()
        with self._transaction() as connection:
            connection.execute(
                f"INSERT INTO invoices ({_COLUMNS}, request_id)"  # noqa: S608 - a constant
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    number, invoice.sha256, invoice.issuer, invoice.iban, invoice.total,
                    invoice.currency, invoice.issued_on, invoice.name, request_id,
                ),
            )  # fmt: skip
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM invoices WHERE number = :number"  # noqa: S608
                " AND sha256 <> :sha256"
                " AND seq < (SELECT seq FROM invoices WHERE number = :number AND sha256 = :sha256)"
                " ORDER BY seq LIMIT 1000",
                {"number": number, "sha256": invoice.sha256},
            ).fetchall()
        names = [name.strip() for name in _COLUMNS.split(",")]
        others = [Registered(**dict(zip(names, row, strict=True))) for row in rows]
        return [other for other in others if _same_issuer(invoice, other)]

    def _forget(self, request_id: str) -> int:
        with self._transaction() as connection:
            return connection.execute(
                "DELETE FROM invoices WHERE request_id = ?", (request_id,)
            ).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
        with closing(connection):
            # The writer's lock now: one that is wanted only after reading can't be waited for.
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._prepare(connection)
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        application, version, tables = connection.execute(_STATE).fetchone()
        if application == 0 and not tables:
            for statement in _SCHEMA:
                connection.execute(statement)
        elif application != _APPLICATION_ID or version > SCHEMA_VERSION:
            raise self._unusable("it is another application's database, or of a newer version")

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> OperationError:
        return OperationError(
            "fraud.register_unusable", f"{self.path} can't be used", why,
            "mend it or its permissions, or set path in the configuration of fraud-detector",
        )  # fmt: skip


def _same_issuer(one: Registered, other: Registered) -> bool:
    """Tell whether two invoices of one number are of one issuer.

    Numbers such as 1001 are used by many issuers, so something else must agree.
    """
    if one.issuer and other.issuer and issuer_key(one.issuer) == issuer_key(other.issuer):
        return True
    if one.iban and one.iban == other.iban:
        return True
    if one.issuer and other.issuer:
        return False
    paid = (one.total, one.currency, one.issued_on)
    return None not in (one.total, one.issued_on) and paid == (
        other.total, other.currency, other.issued_on,
    )  # fmt: skip
