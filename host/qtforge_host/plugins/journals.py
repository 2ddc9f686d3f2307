"""The host's own journals, which are made without a look at what is installed.

They are entry points as all journals are. But their names belong to the host, so that no other
distribution can take the runs away, and a command that reads runs need not scan the environment.
Only where the configuration says something about the name does the scan decide.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from fnmatch import fnmatchcase

from qtforge_host.config.secrets import revealed_address
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import HOST_DISTRIBUTION
from qtforge_sdk.journal import Journal, JournalFactory, JournalSettings
from qtforge_sdk.secrets import Secrets

__all__ = ["OWN_JOURNALS", "journal_settings", "own_journal"]


def _sqlite() -> JournalFactory:
    from qtforge_host.journal.sqlite import make_sqlite_journal

    return make_sqlite_journal


def _memory() -> JournalFactory:
    from qtforge_host.journal.memory import make_memory_journal

    return make_memory_journal


OWN_JOURNALS: dict[str, Callable[[], JournalFactory]] = {"memory": _memory, "sqlite": _sqlite}
"""The host's entry points of the group ``qtforge.journals``, by name; each imports its journal."""


def own_journal(settings: Settings, secrets: Secrets) -> Journal | None:
    """Make the configured journal where it is one of the host's own; it is not opened.

    Args:
        settings: The configuration.
        secrets: Those that an address refers to.

    Returns:
        The journal; None where what is installed has to be looked at.

    Raises:
        ConfigError: It was given an address.
    """
    name = settings.journal_name
    found = OWN_JOURNALS.get(name)
    policy = settings.plugin(name)
    blocked = any(fnmatchcase(name, each) or fnmatchcase(HOST_DISTRIBUTION, each)
                  for each in settings.block)  # fmt: skip
    if found is None or blocked or not policy.enabled or policy.distribution is not None:
        return None
    return found()(journal_settings(settings, secrets))


def journal_settings(settings: Settings, secrets: Secrets) -> JournalSettings:
    """Return what the configured journal is made with.

    Args:
        settings: The configuration.
        secrets: Those that an address refers to.

    Raises:
        ConfigError: The address contains a secret that there is not.
    """
    named = settings.journal == settings.journal_name
    where = settings.journal_source
    return JournalSettings(
        directory=settings.state_dir / "runs",
        url="" if named else revealed_address(settings.journal, secrets, where),
        lease_s=settings.journal_lease_s,
        max_value_bytes=settings.max_value_bytes,
        publication_age=datetime.timedelta(seconds=settings.publication_age_s),
    )
