"""The plugin: the kind ``open-workflow``, and the workflows of a folder of YAML files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_sample_openworkflow.definition import OpenWorkflow, check_document, read_document
from qtforge_sample_openworkflow.evaluation import EVALUATE, Evaluation, evaluate
from qtforge_sample_openworkflow.execution import Execution
from qtforge_sample_openworkflow.faults import Fault, FaultedError
from qtforge_sdk import DefinitionChecker, Orchestrator, Plugin, Run, hookimpl, operation

__all__ = ["OpenWorkflowConfig", "OpenWorkflowOrchestrator", "OpenWorkflows", "definition_of"]

_SUFFIXES: Final = (".json", ".yaml", ".yml")


class OpenWorkflowConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of open-workflow.

    Attributes:
        folder: A folder of ``.yaml`` and ``.json`` files, each a workflow; "" for none.
    """

    folder: str = ""


class OpenWorkflowOrchestrator(Orchestrator[OpenWorkflow]):
    """Executes workflows of the Open Workflow Specification 1.0."""

    kind = "open-workflow"

    def check(self, definition: OpenWorkflow, checker: DefinitionChecker) -> None:
        """Report every problem, with the JSON pointer of its task."""
        try:
            document = read_document(definition.source)
        except ValueError as error:
            checker.problem("source", str(error))
            return
        check_document(document, checker)

    async def execute(self, run: Run) -> Any:
        """Execute the tasks.

        Raises:
            FaultedError: A task failed, and no other catches its error.
        """
        document = read_document(run.definition.source)
        started = await run.step("/started", lambda: run.now().isoformat())
        try:
            return await Execution(run, document, started).execute()
        except Fault as fault:
            error = fault.error
            detail = f": {error['detail']}" if error.get("detail") else ""
            why = f"{error.get('status')} at {error['instance']}, {error.get('type')}{detail}"
            raise FaultedError(str(error.get("title", "the workflow faulted")), why) from fault


class OpenWorkflows(Plugin):
    """Contributes the kind, and the workflows of the configured folder."""

    Config = OpenWorkflowConfig
    config: OpenWorkflowConfig

    @operation(EVALUATE, execution="process", example={"template": "${ .n + 1 }", "data": {"n": 1}})
    def evaluate(self, request: Evaluation) -> dict[str, Any]:
        """Evaluate the expressions of a template, as ``value``."""
        return {"value": evaluate(request)}

    @hookimpl
    def qtforge_orchestrators(self) -> Iterable[type]:
        """Contribute the kind."""
        return [OpenWorkflowOrchestrator]

    @hookimpl
    def qtforge_workflows(self) -> Iterable[str]:
        """Contribute a workflow for each file of the folder."""
        if not self.config.folder:
            return []
        folder = Path(self.config.folder)
        files = sorted(each for each in folder.iterdir() if each.suffix in _SUFFIXES)
        return [definition_of(each.read_text(encoding="utf-8"), each.stem) for each in files]


def definition_of(source: str, name: str = "") -> str:
    """Return the TOML definition of a workflow of the specification.

    Args:
        source: The workflow in YAML or JSON.
        name: Its name where the document does not say one, since it is damaged.
    """
    try:
        about = read_document(source)["document"]
    except ValueError:
        about = {}
    parts = {
        "name": str(about.get("name", name)),
        "kind": "open-workflow",
        "version": str(about.get("version", "1.0.0")),
        "description": " ".join(str(about.get("summary", about.get("title", ""))).split()),
        "source": source,
    }
    # A JSON text is a TOML one, but for a character that JSON leaves as it is.
    return "".join(
        f"{key} = {json.dumps(text, ensure_ascii=False)}\n".replace("\x7f", "\\u007F")
        for key, text in parts.items()
    )
