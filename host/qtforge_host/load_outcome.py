"""What loading gives; apart from it, so that a listing need not import stevedore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qtforge_host.candidates import Candidate
from qtforge_host.declarations import Declarations
from qtforge_host.states import Status

__all__ = ["LoadOutcome", "Loaded"]


class Loaded(NamedTuple):
    """A candidate that was imported.

    Attributes:
        candidate: The candidate.
        plugin_class: What its entry point names.
        plugin: An instance of it; None when none was asked for.
        declarations: What the class declares of other plugins.
    """

    candidate: Candidate
    plugin_class: type[Any]
    plugin: Any
    declarations: Declarations


class LoadOutcome(NamedTuple):
    """What became of the candidates.

    Attributes:
        loaded: Those that were imported, in the order given.
        failed: Key to the ``broken`` status of the others.
    """

    loaded: tuple[Loaded, ...]
    failed: Mapping[str, Status]
