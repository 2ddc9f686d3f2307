"""Lists of topics and workflows, from an earlier command where nothing has changed since.

They are those of a host that would be started for them, and need none: no plugin is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from qtforge_host.api.documents import Topics, Workflows
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.listings import kept_listing

if TYPE_CHECKING:  # heavy, and what is kept needs none
    from qtforge_host.app import Host

__all__ = ["TOPICS", "WORKFLOWS", "keep", "kept_topics", "kept_workflows"]

TOPICS: Final = "topics"
WORKFLOWS: Final = "workflows"


def kept_topics(settings: Settings) -> Topics | None:
    """Return the handlers of every topic; None where a host has to be asked."""
    found = kept_listing(settings, TOPICS)
    return None if found is None else msgspec.msgpack.decode(found, type=Topics)


def kept_workflows(settings: Settings) -> Workflows | None:
    """Return every workflow, and whether it can run; None where a host has to be asked."""
    found = kept_listing(settings, WORKFLOWS)
    return None if found is None else msgspec.msgpack.decode(found, type=Workflows)


def keep(host: Host, name: str, listed: Topics | Workflows) -> None:
    """Keep what a host has listed, for the next command."""
    host.keep_listing(name, msgspec.msgpack.encode(listed))
