"""The workflow of a run as its journal holds it: the definition that it was started with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import msgspec

from qtforge_host.runs.definitions import Workflow, parse
from qtforge_host.runs.history import History
from qtforge_host.runs.problems import Problem
from qtforge_sdk import Orchestrator
from qtforge_sdk.errors import WorkflowInvalidError

__all__ = ["RecordedWorkflows"]


class RecordedWorkflows:
    """Finds workflows for the engine.

    Args:
        orchestrators: Each kind's.
        named: Finds a workflow that can run, by its name.
        check: Gives everything that is wrong with a workflow.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        named: Callable[[str], Workflow],
        check: Callable[[Workflow], Sequence[Problem]],
    ) -> None:
        self._orchestrators = orchestrators
        self._named = named
        self._check = check

    def named(self, name: str) -> Workflow:
        """Return a workflow that can run here and now.

        Raises:
            WorkflowError: There is none, or it can't.
        """
        return self._named(name)

    def check(self, workflow: Workflow) -> Sequence[Problem]:
        """Return everything that is wrong with a workflow's names and expressions."""
        return self._check(workflow)

    def recorded(self, history: History) -> Workflow:
        """Return a run's workflow, with the definition that it was started with, as amended.

        Raises:
            WorkflowError: A workflow in Python is not there any more, or no orchestrator of
                its kind is.
        """
        started = history.started
        if started is None:
            raise WorkflowInvalidError("?", "its journal does not begin with its start")
        if not started.definition_text:
            return self._named(started.workflow)
        parsed = parse(started.definition_text, started.workflow, self._orchestrators)
        if parsed.workflow is None:
            raise WorkflowInvalidError(started.workflow, "\n".join(map(str, parsed.problems)))
        if history.definition is None:
            return parsed.workflow
        kind = parsed.workflow.orchestrator.definition_type
        definition = msgspec.convert(history.definition, kind)
        return dataclasses.replace(parsed.workflow, definition=definition)
