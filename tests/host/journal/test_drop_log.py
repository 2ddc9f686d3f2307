"""Publications that a journal drops are logged, though not one by one."""

from __future__ import annotations

import asyncio
import datetime
import logging
from pathlib import Path

import pytest

from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import Publication

NOW = datetime.datetime(2026, 3, 4, tzinfo=datetime.UTC)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_dropped_publications_are_logged_once_a_minute(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        journal = SqliteJournal(tmp_path) if kind == "sqlite" else MemoryJournal()
        await journal.open()
        journal.publication_age = datetime.timedelta(hours=1)
        await journal.listen("serve", ["a"])
        for number, hours in enumerate((0, 0, 1, 2, 4)):
            at = NOW + datetime.timedelta(hours=hours)
            await journal.publish(
                Publication(message_id=f"p{number}", topic="a", message={}, at=at)
            )
            assert ("dropped" in caplog.text) == (hours >= 2)
        await journal.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    (line,) = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert "serve were dropped: 2, older than 1:00:00" in line
