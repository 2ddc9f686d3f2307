"""The journal in PostgreSQL keeps the contract that the SDK ships."""

from __future__ import annotations

import asyncio

import pytest

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.testing.journal_contract import JournalContract, MakeJournal
from qtforge_sdk.testing.log_contract import assert_keeps_logs


def test_it_keeps_the_logs_of_runs(journal_settings: JournalSettings) -> None:
    async def look() -> None:
        journal = PostgresqlJournal(journal_settings)
        await journal.open()
        try:
            await assert_keeps_logs(journal)
        finally:
            await journal.close()

    asyncio.run(look())


class TestTheJournalInPostgresql(JournalContract):
    @pytest.fixture
    def make_journal(self, journal_settings: JournalSettings) -> MakeJournal:
        return lambda: PostgresqlJournal(journal_settings)
