"""`Watch`: the thread that keeps this process's lease, and is notified of other writes.

A sign of life renews the lease, and asks whether there may be new messages. An idle process gives
one with each look for runs to take, in the same transaction, and the thread gives those that are
due in between. Where the server notifies of new messages (LISTEN), they are noticed at once;
through a pooler in transaction mode it does not, and the questions suffice.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import Final

import psycopg
from psycopg import sql

from qtforge_postgresql.contact import Contact
from qtforge_postgresql.limit_changes import BREAKERS, SHORT, parse_breakers, parse_short
from qtforge_postgresql.session import Connector, Session
from qtforge_postgresql.store import PostgresqlStore, Signal
from qtforge_sdk.journal import Standing

__all__ = ["Pulse", "Watch", "beat_interval_s"]

_SHORTEST_S: Final = 2.0  # so that an idle process makes at most 0.5 transactions a second
_FIRST_PAUSE_S: Final = 0.1
_NOT_SEEN: Final = f"""SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
    EXISTS (SELECT 1 FROM {{s}}.inbox WHERE xact >= %s::text::xid8)
    OR EXISTS (SELECT 1 FROM {{s}}.publications WHERE xact >= %s::text::xid8),
    coalesce((SELECT draining FROM {{s}}.owners WHERE owner = %s), false),
    (SELECT coalesce(max(changed)::text || ' ' || count(*), '') FROM {{s}}.owners
        WHERE announced IS NOT NULL AND expires > clock_timestamp()),
    {SHORT}, {BREAKERS}"""
_BEAT: Final = f"""WITH me AS (
        UPDATE {{s}}.owners SET expires = clock_timestamp() + lease WHERE owner = %s
    ) {_NOT_SEEN}"""


def beat_interval_s(lease_s: float) -> float:
    """Return how long an idle process waits between two signs of life, in seconds.

    >>> [round(beat_interval_s(each), 2) for each in (1.0, 3.0, 10.0, 60.0)]
    [0.5, 1.5, 3.33, 20.0]
    """
    return max(lease_s / 3, min(_SHORTEST_S, lease_s / 2))


class Pulse:
    """The signs of life of this process, from any of its connections and threads.

    Args:
        store: The writing half, whose commits renew the lease too.
        contact: Notified of the server's answers.
        signal: Is set when another process may have written.
        lease_s: The length of the lease, in seconds.

    Attributes:
        interval_s: How long an idle process waits between two, in seconds.
        silence_s: After how long without an answer this process is cut off, in seconds.
        at_s: When the last one was answered, on the scale of `time.monotonic`.
    """

    def __init__(
        self, store: PostgresqlStore, contact: Contact, signal: Signal, lease_s: float
    ) -> None:
        self.interval_s = beat_interval_s(lease_s)
        self.silence_s = max(lease_s / 2, self.interval_s + lease_s / 6)
        self.at_s = time.monotonic() - self.interval_s
        self._store = store
        self._contact = contact
        self._signal = signal
        self._lease_s = lease_s
        self._renewed_at_s = self.at_s
        self._seen = "0"  # every transaction before it was visible when it was asked for

    @property
    def lives_for_s(self) -> float:
        """For how many seconds the lease still lasts, whether the server answers or not."""
        renewed_at_s = max(self._renewed_at_s, self._store.renewed_at)
        return renewed_at_s + self._lease_s - time.monotonic()

    def beat(self, session: Session) -> None:
        """Give a sign of life.

        No lock is held meanwhile, as each thread has to be able to. Of two at once, the later
        one may note that less was seen, so that the next one says too often that there is more.

        Raises:
            psycopg.Error: The server did not answer it.
        """
        owner, begun_at = self._store.owner, time.monotonic()
        seen = (self._seen, self._seen, owner, owner, owner)
        if begun_at - self._store.written_at < self.interval_s:
            row = session.row(_NOT_SEEN, seen)  # a commit has renewed the lease
        else:
            row = session.row(_BEAT, (owner, *seen))
            self._renewed_at_s = begun_at
        self._contact.note()
        self._seen, is_new, draining, nodes, short, breakers = row
        standing = Standing(
            owner=owner,
            draining=draining,
            nodes=nodes,
            short=parse_short(short),
            breakers=parse_breakers(breakers),
        )
        if is_new or standing != self._store.standing:
            self._store.standing = standing
            self._signal.set()
        self.at_s = time.monotonic()


class Watch:
    """Keeps the lease from its own connection, until it is closed.

    Args:
        session: The connection.
        connector: Makes another one where it is lost.
        store: The writing half.
        pulse: Gives the signs of life.
        signal: Is set when another process may have written.
        channel: The name under which waking writes are notified.

    Attributes:
        pulse: What it was given.
    """

    def __init__(
        self,
        session: Session,
        connector: Connector,
        store: PostgresqlStore,
        pulse: Pulse,
        signal: Signal,
        channel: str,
    ) -> None:
        self._session = session
        self._connector = connector
        self._store = store
        self.pulse = pulse
        self._signal = signal
        self._channel = channel
        self._ending = False
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(
            target=self._work, name="qtforge-journal-watch", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread, and close the connection; waits for both."""
        self._ending = True
        self._wake.send(b"x")
        self._thread.join()
        self._wake.close()
        self._woken.close()

    # The following methods run in the thread.

    def _work(self) -> None:
        is_listening, pause_s = False, _FIRST_PAUSE_S
        while not self._ending:
            try:
                if self._session.is_broken:
                    self._session = self._connector.connect()
                    is_listening = False
                if not is_listening:
                    self._listen()
                    is_listening = True
                if self._due_in_s() <= 0:
                    self.pulse.beat(self._session)
                pause_s = _FIRST_PAUSE_S
                self._wait(self._due_in_s())
            except psycopg.Error:
                # What comes of it is the writer's to say; here it is tried again.
                self._pause(pause_s)
                pause_s = min(pause_s * 2, self.pulse.interval_s)
        self._session.close()

    def _listen(self) -> None:
        if not self._session.is_pooled:
            listen = sql.SQL("LISTEN {}").format(sql.Identifier(self._channel))
            self._session.connection.execute(listen)
        self._signal.set()  # for what came while nobody listened

    def _due_in_s(self) -> float:
        """Return in how many seconds the next sign of life is due."""
        return self.pulse.at_s + self.pulse.interval_s - time.monotonic()

    def _wait(self, timeout_s: float) -> None:
        """Wait for a notification, or the end, up to a time."""
        pgconn = self._session.connection.pgconn
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(pgconn.socket, select.POLLIN)
        if not poll.poll(max(timeout_s, 0) * 1000):
            return
        pgconn.consume_input()
        while (notification := pgconn.notifies()) is not None:
            if notification.be_pid not in self._store.backend_pids:
                self._signal.set()

    def _pause(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        with contextlib.suppress(OSError):
            poll.poll(timeout_s * 1000)
