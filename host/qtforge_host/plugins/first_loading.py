"""Load candidates with stevedore: those that have not been loaded before as they are installed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from typing import Any

from stevedore.extension import Extension
from stevedore.named import NamedExtensionManager

from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.class_loading import LoadFailureError
from qtforge_host.plugins.load_outcome import Loaded, explain

__all__ = ["CandidateManager"]

logger = logging.getLogger(__name__)


class CandidateManager(NamedExtensionManager[Any]):
    """Loads the candidates of a group as our scan found them.

    stevedore's own scan is cached on the disk, loses the distribution and becomes stale.

    Args:
        group: The group.
        candidates: The candidates, in the order of loading.
        load: Loads one of them, given what imports what its entry point names.

    Attributes:
        loaded: Key to what was loaded.
        failed: Key to the status of the others.
    """

    def __init__(
        self,
        group: str,
        candidates: Sequence[Candidate],
        load: Callable[[Candidate, Callable[[], Any]], Loaded],
    ) -> None:
        self._candidates = {candidate.name: candidate for candidate in candidates}
        self._load = load
        self.loaded: dict[str, Loaded] = {}
        self.failed: dict[str, Status] = {}
        super().__init__(
            group,
            names=list(self._candidates),
            on_load_failure_callback=self._remember,
            on_missing_entrypoints_callback=None,
        )

    def list_entry_points(self) -> list[EntryPoint]:
        """Return the entry points of our candidates, in our order."""
        points = [candidate.entry_point for candidate in self._candidates.values()]
        return [EntryPoint(each.name, each.value, each.group) for each in points]

    def _load_one_plugin(
        self,
        ep: EntryPoint,
        invoke_on_load: bool,
        invoke_args: tuple[Any, ...],
        invoke_kwds: dict[str, Any],
    ) -> Extension[Any] | None:
        candidate = self._candidates[ep.name]
        found: list[Extension[Any]] = []

        def imported() -> Any:
            extension = super(CandidateManager, self)._load_one_plugin(
                ep, invoke_on_load, invoke_args, invoke_kwds
            )
            if extension is None:  # it is not among the names
                raise LookupError(ep.name)
            found.append(extension)
            return extension.plugin

        self.loaded[candidate.key] = self._load(candidate, imported)
        return found[0]

    def _remember(self, _: object, entry_point: EntryPoint, error: BaseException) -> None:
        candidate = self._candidates[entry_point.name]
        status = error.status if isinstance(error, LoadFailureError) else explain(candidate, error)
        self.failed[candidate.key] = status
        logger.debug("%s %s did not load", candidate.key, candidate.version, exc_info=error)
