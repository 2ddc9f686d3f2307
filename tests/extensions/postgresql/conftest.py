"""A schema of its own for each test, on the server of the session."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from tests.servers.postgresql import PostgreSQL

from qtforge_postgresql import initialize
from qtforge_sdk.journal import JournalSettings


@pytest.fixture
def journal_settings(postgresql: PostgreSQL, tmp_path: Path) -> JournalSettings:
    """The settings of a journal with new tables."""
    url = f"{postgresql.url()}?schema=t{uuid.uuid4().hex[:16]}"
    settings = JournalSettings(directory=tmp_path, url=url)
    asyncio.run(initialize(settings))
    return settings
