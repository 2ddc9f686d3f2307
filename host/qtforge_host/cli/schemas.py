"""Write JSON Schemas for editors, and name them in TOML files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from qtforge_host.cli.terminal import echo, echo_json
from qtforge_sdk.files import write_atomically

__all__ = ["add_header", "output_option", "write_schema"]

_FOLDER: Final = ".schemas"  # beside the definitions
_HEADER: Final = re.compile(r"^#:schema\s", re.MULTILINE)

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; the default is standard output.",
)


def write_schema(schema: Mapping[str, Any], output: Path | None) -> None:
    """Write a schema to a file, or to standard output.

    Raises:
        click.UsageError: The file can't be written.
    """
    if output is None:
        echo_json(_text(schema))
        return
    _write(output, _text(schema) + "\n")
    echo(f"the schema is in {output}", err=True)


def add_header(file: Path, kind: str, schema: Mapping[str, Any]) -> Path | None:
    """Let a definition name the schema of its kind, which is written beside it.

    Args:
        file: The definition.
        kind: Its kind.
        schema: The kind's schema.

    Returns:
        The schema's file; None where the definition names one already.

    Raises:
        click.UsageError: A file can't be read or written.
    """
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: it can't be read: {error}") from error
    if _HEADER.search(text):
        return None
    folder = file.parent / _FOLDER
    target = folder / f"{kind}.json"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{folder}: {error.strerror or error}") from error
    _write(target, _text(schema) + "\n")
    break_ = "\r\n" if "\r\n" in text else "\n"
    _write(file, f"#:schema ./{_FOLDER}/{kind}.json{break_}{text}")
    return target


def _text(schema: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()


def _write(file: Path, text: str) -> None:
    try:
        write_atomically(file, text.encode())
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from error
