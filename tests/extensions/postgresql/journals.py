"""A journal that is open within a block."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings


@contextlib.asynccontextmanager
async def opened(settings: JournalSettings) -> AsyncIterator[PostgresqlJournal]:
    """Open a journal, and close it."""
    journal = PostgresqlJournal(settings)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()
