"""Pictures of workflows on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from qtforge_host.workflows.definitions import Workflow
from qtforge_host.workflows.dot import dot, svg
from qtforge_host.workflows.errors import NotDrawableError
from qtforge_host.workflows.mermaid import mermaid
from qtforge_sdk.files import write_atomically
from qtforge_sdk.graphs import Graph
from qtforge_sdk.records import CheckpointSaved

__all__ = ["drawn", "picture", "write_picture"]

_LANGUAGES: Final[Mapping[str, Callable[[Graph], str]]] = MappingProxyType(
    {"mermaid": mermaid, "dot": dot, "svg": svg}
)
_SUFFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {".mmd": "mermaid", ".md": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}
)


def picture(workflow: Workflow, checkpoints: Sequence[CheckpointSaved] | None = None) -> Graph:
    """Return a workflow's graph.

    Args:
        workflow: The workflow.
        checkpoints: All checkpoints of a run, oldest first: the graph is marked with the run's
            path, where the kind supports that. None for the workflow without a run.

    Raises:
        NotDrawableError: Its kind has none.
    """
    orchestrator, definition = workflow.orchestrator, workflow.definition
    if checkpoints is None:
        drawn = orchestrator.graph(definition)
    else:
        drawn = orchestrator.graph_of_run(definition, checkpoints)
    if drawn is None:
        kind = workflow.definition.kind
        why = f"the kind '{kind}' does not say how its workflows look"
        raise NotDrawableError(f"'{workflow.definition.name}'", why)
    return drawn


def drawn(workflow: Workflow, language: str) -> str:
    """Return a workflow's picture in ``mermaid``, ``dot`` or ``svg``.

    Raises:
        DrawingError: Its kind has none, or see `qtforge_host.workflows.dot.svg`.
    """
    return _LANGUAGES[language](picture(workflow))


def write_picture(graph: Graph, language: str | None, output: Path | None) -> None:
    """Write a picture to a file, or to standard output.

    Raises:
        click.UsageError: The file can't be written.
        DrawingError: See `qtforge_host.workflows.dot.svg`.
    """
    suffix = "" if output is None else output.suffix.lower()
    text = _LANGUAGES[language or _SUFFIXES.get(suffix, "mermaid")](graph)
    if output is None:
        click.echo(text, nl=False)
        return
    if suffix == ".md":
        text = f"```mermaid\n{text}```\n"
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise click.UsageError(f"{output}: {error.strerror or error}") from error
    click.echo(f"{graph.title} is in {output}", err=True)
