"""Print JSON Schemas for editors, or write them to a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from qtforge_host import schema_files
from qtforge_host.cli.terminal import echo, echo_json

__all__ = ["output_option", "write_schema"]

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; the default is standard output.",
)


def write_schema(schema: Mapping[str, Any], output: Path | None) -> None:
    """Write a schema to a file, or to standard output.

    Raises:
        SchemaFileError: The file can't be written.
    """
    if output is None:
        echo_json(schema_files.schema_text(schema))
        return
    schema_files.write_schema(output, schema)
    echo(f"the schema is in {output}", err=True)
