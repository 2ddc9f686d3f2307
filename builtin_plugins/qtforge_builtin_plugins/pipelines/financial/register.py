"""The register of earlier invoices, in one SQLite file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from qtforge_builtin_plugins.pipelines.financial.issuer import issuer_key
from qtforge_sdk import OperationError
from qtforge_sdk.sqlite_store import Schema, SqliteStore, StoreError

__all__ = ["Register", "Registered"]

_VERSION_1: Final = (
    "CREATE TABLE invoices ("
    " seq INTEGER PRIMARY KEY, number TEXT NOT NULL, sha256 TEXT NOT NULL, issuer TEXT,"
    " iban TEXT, total TEXT, currency TEXT, issued_on TEXT, name TEXT NOT NULL, request_id TEXT,"
    " UNIQUE (number, sha256)"
    ") STRICT",
    "CREATE INDEX invoices_by_request ON invoices (request_id)",
)
_SCHEMA: Final = Schema(application_id=0x51466972, migrations=(_VERSION_1,))  # "QFir"
_COLUMNS: Final = "number, sha256, issuer, iban, total, currency, issued_on, name"
_NO_SIGN: Final = re.compile(r"[\W_]+")


class Registered(msgspec.Struct, frozen=True, kw_only=True):
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
    """The registered invoices; may be used by several threads and host processes at once.

    Args:
        path: The database's file; its folder is made when something is registered.
        busy_timeout_s: How long to wait for another writer, in seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self._store = SqliteStore(path, _SCHEMA, busy_timeout_s=busy_timeout_s)

    def enter(self, invoice: Registered, request_id: str | None) -> list[Registered]:
        """Register an invoice; the same document again changes nothing.

        Returns:
            Earlier invoices with the same number and other content, and with the same issuer
            as far as that is known.

        Raises:
            OperationError: ``fraud.register_unusable``.
        """
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

    def forget(self, request_id: str) -> int:
        """Remove a request's registrations; return their number.

        Raises:
            OperationError: As for `enter`.
        """
        if not self.path.exists():
            return 0
        with self._transaction() as connection:
            return connection.execute(
                "DELETE FROM invoices WHERE request_id = ?", (request_id,)
            ).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._store.transaction() as connection:
                yield connection
        except StoreError as error:
            raise OperationError(
                "fraud.register_unusable", error.what, error.why,
                "fix it or its permissions, or set path in the configuration of fraud-detector",
            ) from error  # fmt: skip


def _same_issuer(one: Registered, other: Registered) -> bool:
    """Return whether two invoices with one number have the same issuer.

    Many issuers use numbers such as 1001, so another property must be equal.
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
