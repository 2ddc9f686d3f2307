"""Route documents: the workflow as it is asked for, and a file's decision as a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qtforge_host.api.documents import RoutedFile, RoutingRule, run_error
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.errors import WorkflowInvalidError

__all__ = ["ROUTING_WORKFLOW", "Routed", "routing_workflow"]

ROUTING_WORKFLOW: Final = "document-routing"
"""The workflow whose rules choose a pipeline for each document."""

_DECISION: Final = "routing_decision"
_TYPE: Final = "documentType"


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """A file and its run.

    Attributes:
        file: As it was given, or found in a folder.
        run: Its run.
        dry_run: Whether it was decided only.
    """

    file: str
    run: RunState
    dry_run: bool

    @property
    def decision(self) -> Mapping[str, Any]:
        """The decision; empty where there is none."""
        step = self.run.steps.get(_DECISION)
        return step.data if step is not None and isinstance(step.data, Mapping) else {}

    @property
    def document_type(self) -> str | None:
        """The type of document that was found; None where there is no decision."""
        found = self.decision.get("names", {}).get(_TYPE)
        return None if found is None else str(found)

    def document(self) -> RoutedFile:
        """Return it as ``route --json`` prints it."""
        decision = self.decision
        return RoutedFile(
            file=self.file,
            dry_run=self.dry_run,
            run_id=None if self.dry_run else self.run.run_id,
            status=self.run.status,
            document_type=self.document_type,
            target_pipeline=decision.get("target_pipeline"),
            confidence=decision.get("confidence"),
            reason=decision.get("reason"),
            applied_rules=decision.get("applied_rules", []),
            pipeline_parameters=decision.get("pipeline_parameters", {}),
            names=decision.get("names", {}),
            rules=msgspec.convert(decision.get("rules", []), list[RoutingRule]),
            error=run_error(self.run.error),
        )


def routing_workflow(workflow: Workflow, *, dry_run: bool, explain: bool) -> Workflow:
    """Return a routing workflow that only decides, or explains each rule.

    Args:
        workflow: The workflow.
        dry_run: Whether it decides only, and starts no pipeline.
        explain: Whether it tries every rule, and says of each why it holds or not.

    Raises:
        WorkflowInvalidError: Its kind makes no decision.
    """
    definition = workflow.definition
    changes = {"dry_run": dry_run, "explain": explain}
    if not set(changes) <= set(definition.__struct_fields__):
        why = f"{workflow.source}: its kind is '{definition.kind}', which decides nothing"
        raise WorkflowInvalidError(definition.name, why)
    return msgspec.structs.replace(
        workflow, definition=msgspec.structs.replace(definition, **changes)
    )
