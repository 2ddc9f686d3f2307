"""Prepare a shared journal for its first use."""

from __future__ import annotations

from qtforge_host.api.lookup import made_journal
from qtforge_host.config.settings import Settings
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal import SharedJournal

__all__ = ["initialized_journal"]


async def initialized_journal(settings: Settings) -> str:
    """Make the tables of the configured journal, or migrate older ones; return what was done.

    Raises:
        StorageError: It could not be done; nothing was changed.
        ConfigError: No journal of the configured name is installed, or it has no tables.
    """
    journal = made_journal(settings)
    if not isinstance(journal, SharedJournal):
        raise ConfigError(
            settings.journal_source,
            f"the journal '{settings.journal_name}' needs no tables",
            "qtforge-host journal init postgresql://USER@HOST/DATABASE",
        )
    return await journal.initialize()
