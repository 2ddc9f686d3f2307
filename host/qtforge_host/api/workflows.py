"""Workflows as documents, and a run's workflow as its journal holds it, without a host."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_host.api.documents import WorkflowProblem, WorkflowRow
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.extensions import Orchestrators
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Parsed, Problem, Workflow
from qtforge_sdk.errors import WorkflowError, WorkflowNotFoundError

__all__ = ["WorkflowsOfRuns", "workflow_row"]


def workflow_row(parsed: Parsed, problems: Sequence[Problem]) -> WorkflowRow:
    """Return a workflow's line in a list, with everything that is wrong with it."""
    definition = None if parsed.workflow is None else parsed.workflow.definition
    unmet = any(problem.path.startswith("requires[") for problem in problems)
    return WorkflowRow(
        name=parsed.name or "?",
        kind=definition.kind if definition else "?",
        version=definition.version if definition else "?",
        description=definition.description if definition else "",
        source=parsed.source,
        state="ready" if not problems else "unmet" if unmet else "broken",
        problems=[
            WorkflowProblem(
                source=each.source, line=each.line, path=each.path, what=each.what, fix=each.fix
            )
            for each in problems
        ],
    )


class WorkflowsOfRuns:
    """Reads the workflows of runs; imports their kinds, and no plugin.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: dict[tuple[str, str], Workflow | None] = {}
        self._recorded: RecordedWorkflows | None = None

    def of(self, state: RunState) -> Workflow | None:
        """Return a run's workflow.

        Returns:
            None where it is written in Python, or its kind is not installed.
        """
        started = state.started
        if started is None or not started.definition_text:
            return None
        key = (started.kind, started.definition_text)
        if state.definition is not None:
            return self._read(state)  # amended: no other run has the same
        if key not in self._found:
            self._found[key] = self._read(state)
        return self._found[key]

    def _read(self, state: RunState) -> Workflow | None:
        if self._recorded is None:
            installed = resolve_installed(self._settings)
            loader = PluginLoader(known=installed.loaded)
            kinds = Orchestrators(installed.resolution, loader, self._settings, installed.kinds)
            self._recorded = RecordedWorkflows(kinds, _not_found, _unchecked)
        try:
            return self._recorded.recorded(state)
        except WorkflowError:
            return None


def _not_found(name: str) -> Workflow:
    raise WorkflowNotFoundError(name)


def _unchecked(workflow: Workflow) -> Sequence[Problem]:
    return ()
