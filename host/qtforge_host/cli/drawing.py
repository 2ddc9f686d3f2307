"""Write the graph of a workflow or a run to a file or to standard output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from qtforge_host.api.drawing import Language, draw
from qtforge_host.cli.terminal import echo, echo_lines
from qtforge_sdk.files import write_atomically
from qtforge_sdk.graphs import Graph

__all__ = ["write_graph"]

_SUFFIXES: Final[Mapping[str, Language]] = MappingProxyType(
    {".mmd": "mermaid", ".md": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}
)


def write_graph(graph: Graph, language: Language | None, output: Path | None) -> None:
    """Write a graph.

    Args:
        graph: The graph.
        language: The language; None for the one that the file's suffix names, else mermaid.
        output: The file; None for standard output.

    Raises:
        click.UsageError: The file can't be written.
        DrawingError: SVG can't be drawn here.
    """
    suffix = "" if output is None else output.suffix.lower()
    text = draw(graph, language or _SUFFIXES.get(suffix, "mermaid"))
    if output is None:
        echo_lines(text, nl=False)
        return
    if suffix == ".md":
        text = f"```mermaid\n{text}```\n"
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise click.UsageError(f"{output}: {error.strerror or error}") from error
    echo(f"{graph.title} is in {output}", err=True)
