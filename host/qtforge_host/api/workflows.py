"""A run's workflow as its journal holds it, without starting a host."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_host.cli.session import Session
from qtforge_host.plugins.extensions import load_orchestrators
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Problem, Workflow
from qtforge_sdk.errors import WorkflowError, WorkflowNotFoundError

__all__ = ["WorkflowsOfRuns"]


class WorkflowsOfRuns:
    """Finds the workflows of runs; imports their kinds, and no plugin.

    Args:
        session: Says where things are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: dict[tuple[str, str], Workflow | None] = {}
        self._recorded: dict[str, RecordedWorkflows] = {}

    def of(self, history: RunState) -> Workflow | None:
        """Return a run's workflow; None where it is written in Python or its kind is not here."""
        started = history.started
        if started is None or not started.definition_text:
            return None
        key = (started.kind, started.definition_text)
        if history.definition is not None:
            return self._read(history, started.kind)  # amended: no other run has the same
        if key not in self._found:
            self._found[key] = self._read(history, started.kind)
        return self._found[key]

    def _read(self, history: RunState, kind: str) -> Workflow | None:
        if kind not in self._recorded:
            settings = self._session.settings
            resolution = resolve_installed(settings).resolution
            kinds = load_orchestrators(resolution, PluginLoader(), settings, only=kind)
            self._recorded[kind] = RecordedWorkflows(kinds, _nowhere, _unchecked)
        try:
            return self._recorded[kind].recorded(history)
        except WorkflowError:
            return None


def _nowhere(name: str) -> Workflow:
    raise WorkflowNotFoundError(name)


def _unchecked(workflow: Workflow) -> Sequence[Problem]:
    return ()
