"""`AbsentTopics`: which plugins that do not run declare a topic, for the error of a request."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.declarations import source_folder
from qtforge_host.plugins.registry import Entry, Registry

__all__ = ["AbsentTopics"]

# Compiled when it is first used, which most commands never do.
_DECLARED: Final = rb"\boperation\s*\(\s*[\"']([\w.-]{1,200})[\"']"
_MOST_FILES: Final = 500  # of one plugin
_MOST_BYTES: Final = 1 << 20


class AbsentTopics:
    """Topics that plugins declare in their sources, and do not answer, since they do not run.

    The sources are searched at the first question, and no plugin is imported.

    Args:
        registry: Every plugin as it is.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._declared: dict[str, frozenset[str]] = {}  # by the plugin's key

    def reason(self, topic: str) -> tuple[str, str] | None:
        """Return why a topic is not answered, and how to fix it; None where that is not known."""
        found: Entry | None = None
        for each in self._registry:
            key = each.candidate.key
            if each.status.state == "active" or self._registry.is_waiting(key):
                continue
            if key not in self._declared:
                self._declared[key] = frozenset(_declared_by(each.candidate))
            if topic in self._declared[key]:
                found = each
        if found is None:
            return None
        candidate, status = found.candidate, found.status
        name = f"{candidate.name} {candidate.version}"
        return f"{name} does, but is {status.state}: {status.reason}", status.fix


def _declared_by(candidate: Candidate) -> Iterator[str]:
    """Give the topics that are literals in a plugin's source."""
    folder = source_folder(candidate)
    for path in itertools.islice(_sources(folder), _MOST_FILES):
        try:
            text = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        except OSError:
            continue
        for found in re.findall(_DECLARED, text):
            yield found.decode(errors="replace")


def _sources(place: Path | None) -> Iterator[Path]:
    if place is not None and place.is_file():
        yield place
    elif place is not None:
        yield from place.rglob("*.py")
