"""What commands have listed of plugins and workflows, so that the next one need not start a host.

A listing is kept with what was found of the installed plugins, and counts as long as that does,
and as long as every file that it was made from is as it was; see `listing_files`.
"""

from __future__ import annotations

import os

from qtforge_host.config.settings import Settings
from qtforge_host.plugins.found_cache import FoundCache

__all__ = ["environment_of", "is_kept_for", "kept_listing"]


def kept_listing(settings: Settings, name: str) -> bytes | None:
    """Return a listing that was kept; None where there is none, or something has changed.

    Args:
        settings: The configuration.
        name: Which listing.
    """
    if not is_kept_for(settings):
        return None
    found = FoundCache(settings).read()
    listing = None if found is None else found.listings.get(name)
    if listing is None or listing.environment != environment_of(settings):
        return None
    return listing.content if all(each.is_current() for each in listing.files) else None


def is_kept_for(settings: Settings) -> bool:
    """Return whether listings depend on nothing but files and the environment."""
    return not (settings.bus or settings.has_shared_journal)


def environment_of(settings: Settings) -> str:
    """Return what a listing depends on besides files."""
    return f"{settings.config_path}\n{os.environ.get('PATH', '')}"
