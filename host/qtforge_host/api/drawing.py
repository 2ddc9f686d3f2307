"""Graphs of workflows and runs, in a language that draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.workflows.dot import dot, svg
from qtforge_host.workflows.errors import NotDrawableError
from qtforge_host.workflows.mermaid import ids_of, mermaid
from qtforge_sdk.graphs import Graph
from qtforge_sdk.records import CheckpointSaved

if TYPE_CHECKING:  # heavy, and most runs are shown without their workflow
    from qtforge_host.workflows.definitions import Workflow

__all__ = ["Language", "draw", "graph_of_run", "graph_of_workflow"]

Language = Literal["mermaid", "dot", "svg"]
_LANGUAGES: Final[Mapping[str, Callable[[Graph], str]]] = MappingProxyType(
    {"mermaid": mermaid, "dot": dot, "svg": svg}
)


def draw(graph: Graph, language: Language) -> str:
    """Return a graph in a language.

    Raises:
        DrawingError: SVG can't be drawn here; see `qtforge_host.workflows.dot.svg`.
    """
    return _LANGUAGES[language](graph)


def graph_of_workflow(workflow: Workflow) -> Graph:
    """Return a workflow's graph.

    Raises:
        NotDrawableError: Its kind draws none.
    """
    return _drawable(workflow, workflow.orchestrator.graph(workflow.definition))


def graph_of_run(run: RunSnapshot, workflow: Workflow | None) -> Graph:
    """Return the graph of a run's workflow, with the run's state and path where its kind can.

    Args:
        run: The run.
        workflow: Its workflow; None where it can't be read here.

    Raises:
        NotDrawableError: The workflow can't be read here, or its kind draws none.
    """
    if workflow is None:
        why = f"it is written in Python, or the kind '{run.state.kind}' is not installed"
        raise NotDrawableError(f"the workflow of {run.run_id}", why)
    checkpoints = [each for each in run.records if isinstance(each, CheckpointSaved)]
    drawn = workflow.orchestrator.graph_of_run(workflow.definition, checkpoints)
    return _drawable(workflow, drawn)


def _drawable(workflow: Workflow, graph: Graph | None) -> Graph:
    if graph is None:
        kind = workflow.definition.kind
        why = f"the kind '{kind}' does not say how its workflows look"
        raise NotDrawableError(f"'{workflow.definition.name}'", why)
    known = set(ids_of(graph))
    ends = (end for each in graph.edges for end in (each.source, each.target))
    lost = next((end for end in ends if end not in known), None)
    if lost is not None:
        why = f"an edge of its graph is at '{lost}', which is no node of it"
        raise NotDrawableError(f"'{workflow.definition.name}'", why)
    return graph
