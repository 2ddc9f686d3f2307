"""The journal in PostgreSQL keeps the contract that the SDK ships."""

from __future__ import annotations

import pytest

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.testing.journal_contract import JournalContract, MakeJournal


class TestTheJournalInPostgresql(JournalContract):
    @pytest.fixture
    def make_journal(self, journal_settings: JournalSettings) -> MakeJournal:
        return lambda: PostgresqlJournal(journal_settings)
