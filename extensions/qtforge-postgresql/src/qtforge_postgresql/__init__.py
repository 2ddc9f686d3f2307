"""Runs in PostgreSQL: the journal of any number of machines.

`make_postgresql_journal` is what the entry points ``postgresql`` and ``postgres`` of the group
``qtforge.journals`` name, and `initialize` makes the tables.
"""

from qtforge_postgresql.errors import JournalFailedError, JournalNotReadyError
from qtforge_postgresql.journal import PostgresqlJournal, initialize, make_postgresql_journal

__all__ = [
    "JournalFailedError",
    "JournalNotReadyError",
    "PostgresqlJournal",
    "initialize",
    "make_postgresql_journal",
]
