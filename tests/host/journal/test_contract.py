"""Both journals keep the contract that the SDK ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.testing.journal_contract import JournalContract, MakeJournal


class TestTheSqliteJournal(JournalContract):
    @pytest.fixture
    def make_journal(self, tmp_path: Path) -> MakeJournal:
        return lambda: SqliteJournal(tmp_path / "journal")


class TestTheMemoryJournal(JournalContract):
    @pytest.fixture
    def make_journal(self) -> MakeJournal:
        store = MemoryStore()
        return lambda: MemoryJournal(store=store)
