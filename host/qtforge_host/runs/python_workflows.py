"""``kind = "python"``: a workflow that is an async function of a plugin."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from qtforge_sdk import Definition, DefinitionChecker, Run
from qtforge_sdk.graphs import Edge, Graph, Node
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["PythonOrchestrator"]


class PythonOrchestrator:
    """Runs one function.

    Args:
        workflow: The function, with what it is called.
    """

    kind: ClassVar[str] = "python"
    definition_type: ClassVar[type[Definition]] = Definition

    def __init__(self, workflow: PythonWorkflow) -> None:
        self._function = workflow.function
        self._takes_input = len(inspect.signature(workflow.function).parameters) > 1

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Check what can be checked without running it."""
        if definition.timeout is not None:
            checker.duration("timeout", definition.timeout)

    def graph(self, definition: Definition) -> Graph:
        """Return one box: which steps a function asks for shows only when it runs."""
        name = getattr(self._function, "__qualname__", "function")
        nodes = (
            Node(id="start", label="start", kind="start"),
            Node(id="function", label=f"{definition.name}\nPython: {name}"),
            Node(id="end", label="end", kind="end"),
        )
        edges = (Edge(source="start", target="function"), Edge(source="function", target="end"))
        return Graph(title=definition.name, nodes=nodes, edges=edges)

    async def execute(self, run: Run) -> Any:
        """Call the function; its return value is the result."""
        if self._takes_input:
            return await self._function(run, run.input)
        return await self._function(run)
