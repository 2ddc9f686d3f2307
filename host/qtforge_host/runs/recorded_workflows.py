"""Find the workflow of a run: the definition that its journal holds, as amended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.runs.state import RunState
from qtforge_host.workflows.code_versions import resumable_versions, resuming
from qtforge_host.workflows.definitions import Problem, Workflow, parse
from qtforge_sdk import Orchestrator
from qtforge_sdk.errors import WorkflowInvalidError, WorkflowVersionError

__all__ = ["RecordedWorkflows"]

_REMEMBERED: Final = 64


class RecordedWorkflows:
    """Finds workflows, by name or from a run's journal.

    Args:
        orchestrators: By their kinds.
        named: Finds a workflow that can run, by its name.
        check: Returns everything that is wrong with a workflow.
        declared: Finds a workflow by its name although plugins that it requires may be missing
            here; None for `named`.
        require: Raises where plugins that a workflow requires are missing here.
        versions: Finds the workflows in Python of a name, whatever their versions; None where
            one continues the runs of all versions.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator[Any]],
        named: Callable[[str], Workflow],
        check: Callable[[Workflow], Sequence[Problem]],
        declared: Callable[[str], Workflow] | None = None,
        require: Callable[[Workflow], None] = lambda workflow: None,
        versions: Callable[[str], Sequence[Workflow]] | None = None,
    ) -> None:
        self._versions = versions
        self._declared = declared or named
        self._require = require
        self._orchestrators = orchestrators
        self._named = named
        self._check = check
        # Many runs of one workflow are resumed one after the other, and an orchestrator caches
        # what it derives from a definition for as long as it gets the same object.
        self._parsed: dict[str, Workflow] = {}

    def named(self, name: str) -> Workflow:
        """Return a workflow that can run here and now.

        Raises:
            WorkflowError: There is none, or it can't.
        """
        return self._named(name)

    def declared(self, name: str) -> Workflow:
        """Return a workflow that may lack plugins here.

        Raises:
            WorkflowError: There is none.
        """
        return self._declared(name)

    def require(self, workflow: Workflow) -> None:
        """Check that the plugins are here that a workflow requires.

        Raises:
            WorkflowUnmetError: One is missing, out of range or not active.
        """
        self._require(workflow)

    def check(self, workflow: Workflow) -> Sequence[Problem]:
        """Return everything that is wrong with a workflow's names and expressions."""
        return self._check(workflow)

    def recorded(self, state: RunState, *, any_version: bool = False) -> Workflow:
        """Return a run's workflow, with its own definition as amended until now.

        Args:
            state: The run's.
            any_version: Whether a workflow in Python continues a run of any version.

        Raises:
            WorkflowVersionError: A workflow in Python is here in other versions only.
            WorkflowError: A Python workflow, or the orchestrator of its kind, is missing.
        """
        started = state.started
        if started is None:
            raise WorkflowInvalidError("?", "the first record of its journal is not its start")
        if not started.definition_text:
            newest = self._named(started.workflow)
            if any_version or state.status == "queued":  # nothing was done with its version
                return newest
            return self._of_version(newest, started.workflow_version)
        workflow = self._of_text(started.definition_text, started.workflow)
        if state.definition is None:
            return workflow
        definition = msgspec.convert(state.definition, workflow.orchestrator.definition_type)
        return msgspec.structs.replace(workflow, definition=definition)

    def _of_version(self, newest: Workflow, version: str) -> Workflow:
        name = newest.definition.name
        if newest.definition.version == version or self._versions is None:
            return newest
        here = self._versions(name)
        found = resuming(here, version)
        if found is None:
            versions = ", ".join(map(resumable_versions, here))
            raise WorkflowVersionError(name, f"started with {name} {version}; here are {versions}")
        self._require(found)
        return found

    def _of_text(self, text: str, name: str) -> Workflow:
        known = self._parsed.get(text)
        if known is not None:
            kind = known.definition.kind
            if self._orchestrators.get(kind) is known.orchestrator:
                return known
        parsed = parse(text, name, self._orchestrators)
        if parsed.workflow is None:
            raise WorkflowInvalidError(name, "\n".join(map(str, parsed.problems)))
        if len(self._parsed) >= _REMEMBERED:
            del self._parsed[next(iter(self._parsed))]
        self._parsed[text] = parsed.workflow
        return parsed.workflow
