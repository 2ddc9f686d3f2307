"""`PostgresqlStore`: what the writing thread needs: groups that are written once, or not at all."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from msgspec.structs import replace

from qtforge_postgresql.address import Address
from qtforge_postgresql.contact import Contact
from qtforge_postgresql.errors import is_passing, storage_error
from qtforge_postgresql.group import Group, LapsedError, WrittenError
from qtforge_postgresql.session import Connector, Session
from qtforge_sdk.errors import StateDirectoryError, StorageError
from qtforge_sdk.journal import Standing
from qtforge_sdk.journal_kit.jobs import Job

__all__ = ["PostgresqlStore", "Signal"]

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
_REGISTER: Final = """INSERT INTO {s}.owners (owner, pid, host, announced, draining, lease, expires)
    VALUES (%s, %s, %s, %s, %s,
        make_interval(secs => %s), clock_timestamp() + make_interval(secs => %s))"""
_LEAVE: Final = "DELETE FROM {s}.owners WHERE owner = %s"
# What nobody has taken over from: its runs are owned by none, which is what its row says too.
_SWEEP: Final = """DELETE FROM {s}.owners WHERE expires < clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM {s}.runs WHERE runs.owner = owners.owner)"""


class Signal:
    """Another process has written; set by one thread, and taken by another."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Say that another process has written."""
        self._event.set()

    def take(self) -> bool:
        """Return whether it was said since the last call."""
        if not self._event.is_set():
            return False
        self._event.clear()
        return True


class PostgresqlStore:
    """Implements `qtforge_sdk.journal_kit.writer.GroupStore`.

    Args:
        address: Where the journal is.
        connector: Makes connections.
        contact: Notified of the server's answers.
        signal: Says that another process wrote.
        lease_s: How long this process owns its runs without a sign of life, in seconds.
        retry_s: For how long a group is tried while the server is away, in seconds.

    Attributes:
        backend_pids: The server's processes that have served this one.
        announced: What this process says of itself, as JSON; None for nothing.
        standing: What the server answered to its last sign of life.
        written_at: When a group was committed last, on the scale of `time.monotonic`.
        renewed_at: When the writing of that group began, which renewed the lease.
    """

    def __init__(
        self,
        address: Address,
        connector: Connector,
        contact: Contact,
        signal: Signal,
        lease_s: float,
        retry_s: float,
    ) -> None:
        self.backend_pids: set[int] = set()
        self.announced: str | None = None
        self.standing = Standing(owner="", draining=False, nodes="")
        self.written_at = 0.0
        self.renewed_at = time.monotonic()
        self._address = address
        self._connector = connector
        self._contact = contact
        self._signal = signal
        self._lease_s = lease_s
        self._retry_s = retry_s
        self._number = 0
        self._gave_up = False
        session = self._connect()
        try:
            self._group = Group(session, address.schema)
            session.execute(_SWEEP)
            self._register()
        except BaseException:
            session.close()
            raise

    @property
    def owner(self) -> str:
        """This process's name in the journal; another one after it was taken over."""
        return self._group.owner

    def commit(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> list[Any]:
        """Do all jobs in one transaction, once; see `GroupStore`.

        While the server is away, they are tried again for a while. A job that the server refuses
        fails alone.
        """
        try:
            return self._commit(jobs, meanwhile)
        except (psycopg.Error, UnicodeEncodeError) as error:
            if len(jobs) == 1 or is_passing(error):
                raise
        outcomes: list[Any] = []
        for job in jobs:
            try:
                outcomes += self._commit([job], meanwhile)
            except (psycopg.Error, UnicodeEncodeError) as error:
                outcomes.append(self.failure(error))
        return outcomes

    def failure(self, error: Exception) -> StorageError:
        """Return the error that callers get; see `GroupStore`."""
        return storage_error(self._address, error)

    def others_wrote(self) -> bool:
        """Return whether another process may have written; see `GroupStore`."""
        return self._signal.take()

    def closed(self) -> StorageError:
        """Return the error of a closed journal."""
        return StateDirectoryError(self._address.shown, "the journal is closed", "open it again")

    def close(self) -> None:
        """Leave, so that others may own the runs at once, and close the connection."""
        with contextlib.suppress(psycopg.Error):
            self._group.session.execute(_LEAVE, (self.owner,))
        self._group.session.close()

    def _commit(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> list[Any]:
        self._number += 1
        until = time.monotonic() + (0.0 if self._gave_up else self._retry_s)
        pause_s, is_lapsed = _FIRST_PAUSE_S, False
        while True:
            try:
                if self._group.session.is_broken:
                    self._reconnect()
                if is_lapsed:
                    self._register()
                    is_lapsed = False
                begun_at = time.monotonic()
                outcomes = self._write(jobs, meanwhile)
            except LapsedError:
                is_lapsed = True
            except psycopg.Error as error:
                if not is_passing(error):
                    raise
                self._connector.note(error, self._group.session)
                if time.monotonic() > until:
                    self._gave_up = True  # until the server answers, others are tried once
                    raise
                meanwhile()  # earlier outcomes don't wait for the server
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                self._gave_up = False
                self._contact.note()
                self.renewed_at, self.written_at = begun_at, time.monotonic()
                return outcomes

    def _write(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> list[Any]:
        try:
            return self._group.write(jobs, self._number, meanwhile)
        except WrittenError:
            return self._group.outcomes_of_written(jobs)

    def _register(self) -> None:
        """Take a name, under which nothing is owned yet."""
        self._group.reset()
        owner = uuid.uuid4().hex
        given = (
            owner, os.getpid(), socket.gethostname(), self.announced, self.standing.draining,
            self._lease_s, self._lease_s,
        )  # fmt: skip
        self._group.session.execute(_REGISTER, given)
        self._group.owner = owner
        self.standing = replace(self.standing, owner=owner)

    def _reconnect(self) -> None:
        self._group.session.close()
        self._group.use(self._connect())

    def _connect(self) -> Session:
        session = self._connector.connect()
        self.backend_pids.add(session.connection.info.backend_pid)
        return session
