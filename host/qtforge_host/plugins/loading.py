"""Import accepted candidates; a fault of one plugin does not affect the others."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from qtforge_host.code_marks import CodeMarks
from qtforge_host.plugins.candidates import Candidate, EntryPoint, Status
from qtforge_host.plugins.class_loading import LoadFailureError, has_hooks, load_class
from qtforge_host.plugins.load_outcome import Loaded, LoadOutcome

__all__ = ["LoadOutcome", "Loaded", "PluginLoader", "has_hooks"]

logger = logging.getLogger(__name__)


class PluginLoader:
    """Loads candidates, one after another.

    stevedore loads them, unless all of them were loaded before as they are installed: its import
    takes longer than that of most plugins.

    Args:
        marks: Notes whose code is in progress.
        known: The keys of candidates that were loaded before as they are installed.

    Attributes:
        known: The same.
        succeeded: The keys of those that this loader has loaded.
    """

    def __init__(self, marks: CodeMarks | None = None, known: Collection[str] = ()) -> None:
        self._marks: Final = marks or CodeMarks()
        self.known = known
        self.succeeded: set[str] = set()

    def load(
        self, candidates: Iterable[Candidate], *, import_timeout_s: float, construct: bool = True
    ) -> LoadOutcome:
        """Import every candidate, and make an instance of the class that it names.

        Meanwhile standard output is redirected to standard error, because it is for data.

        Args:
            candidates: The candidates, in the order of loading.
            import_timeout_s: How long each of them may take, in seconds.
            construct: False to import without making instances.
        """
        wanted = tuple(candidates)
        loaded: dict[str, Loaded] = {}
        failed: dict[str, Status] = {}

        def load_one(candidate: Candidate, find: Callable[[], Any]) -> Loaded:
            return load_class(candidate, find, import_timeout_s, self._marks, construct=construct)

        with contextlib.redirect_stdout(sys.stderr):
            for group in dict.fromkeys(candidate.group for candidate in wanted):
                members = [candidate for candidate in wanted if candidate.group == group]
                if all(candidate.key in self.known for candidate in members):
                    _load_known(members, load_one, loaded, failed)
                    continue
                from qtforge_host.plugins.first_loading import CandidateManager  # heavy

                manager = CandidateManager(group, members, load_one)
                loaded.update(manager.loaded)
                failed.update(manager.failed)
        self.succeeded.update(loaded)
        in_order = tuple(loaded[one.key] for one in wanted if one.key in loaded)
        return LoadOutcome(in_order, failed)


def _load_known(
    members: Sequence[Candidate],
    load_one: Callable[[Candidate, Callable[[], Any]], Loaded],
    loaded: dict[str, Loaded],
    failed: dict[str, Status],
) -> None:
    for candidate in members:
        find = functools.partial(_imported, candidate.entry_point)
        try:
            loaded[candidate.key] = load_one(candidate, find)
        except LoadFailureError as error:
            failed[candidate.key] = error.status
            logger.debug("%s %s did not load", candidate.key, candidate.version, exc_info=error)


def _imported(point: EntryPoint) -> Any:
    """Import what an entry point names, as `importlib.metadata.EntryPoint.load` does."""
    module = importlib.import_module(point.module)
    return functools.reduce(getattr, filter(None, point.attr.split(".")), module)
