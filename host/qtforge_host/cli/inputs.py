"""A run's input from the command line: ``--set key=value``, ``--input FILE``, paths."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from qtforge_host import toml
from qtforge_host.cli.errors import show
from qtforge_host.workflows.inputs import of_text
from qtforge_sdk import Document, OperationError
from qtforge_sdk.validation import decoded

__all__ = [
    "MOST_FILES",
    "document_of",
    "files_of",
    "input_option",
    "parse_assignment",
    "read_input",
    "set_option",
    "typed",
    "without_bad_names",
]

MOST_FILES: Final = 10_000


def files_of(paths: Iterable[str], most: int = MOST_FILES) -> list[str]:
    """Return the paths, each folder replaced by the files in it and below, sorted by name.

    Hidden files and folders, links to folders and what is no regular file are left out of a
    folder. A folder that can't be listed stands for itself, so that reading it reports why.

    Args:
        paths: Of files and folders; what does not exist is kept.
        most: At most so many files.

    Returns:
        Each once, in the order of the paths.

    Raises:
        click.UsageError: There are none, or too many.
    """
    found: dict[str, None] = {}
    for path in paths:
        for file in _walk(path) if Path(path).is_dir() else (path,):
            found[file] = None
            if len(found) > most:
                raise click.UsageError(f"there are more than {most:,} files; name fewer at a time")
    if not found:
        raise click.UsageError(f"there is no file in {', '.join(paths)}")
    return list(found)


def _walk(folder: str) -> Iterator[str]:
    unlisted: list[str] = []
    walked = os.walk(folder, onerror=lambda error: unlisted.append(str(error.filename)))
    for place, folders, names in walked:
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(place, name).is_file():
                yield os.path.join(place, name)
    yield from unlisted


set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An input; KEY may be dotted, VALUE is read as TOML where it is TOML, else as text.",
)


input_option = click.option(
    "--input",
    "input_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML or JSON file with the input's table.",
)


def read_input(
    input_file: Path | None, assignments: Iterable[str], text: str | None = None
) -> dict[str, Any]:
    """Return the input's table; ``--set`` goes over the text, and the text over the file.

    Args:
        input_file: ``--input``.
        assignments: What ``--set`` says.
        text: A JSON object; None for none.

    Raises:
        click.UsageError: The file can't be read or is no table, the text is no JSON object, or an
            assignment has no ``=`` or goes through a value.
    """
    given = {} if input_file is None else _read_table(input_file)
    if text is not None:
        given |= _json_object(text)
    for assignment in assignments:
        keys, value = parse_assignment(assignment)
        _assign(given, keys, value, assignment)
    return given


def typed(table: Mapping[str, Any], assignments: Iterable[str], declared: object) -> dict[str, Any]:
    """Return an input whose ``--set`` values are read by the types that a workflow declares.

    Args:
        table: The input, as `read_input` has read it.
        assignments: What ``--set`` says.
        declared: The workflow's ``inputs``.
    """
    found = dict(table)
    if isinstance(declared, Mapping):
        for assignment in assignments:
            key, _, text = assignment.partition("=")
            if key in declared:
                found[key] = of_text(declared[key], text)
    return found


def parse_assignment(assignment: str) -> tuple[list[str], Any]:
    """Return the keys and the value of ``KEY=VALUE``.

    Raises:
        click.UsageError: It has no ``=``, or an empty key.
    """
    key, equals, text = assignment.partition("=")
    if not equals or not all(key.split(".")):
        raise click.UsageError(f"--set takes KEY=VALUE, and this is '{assignment}'")
    return key.split("."), _value(text)


def document_of(path: str) -> Document:
    """Return a path as a workflow's ``input.document``."""
    return Document(name=Path(path).name or path, path=str(Path(path).absolute()))


def without_bad_names(paths: Sequence[str]) -> list[str]:
    """Return the paths that a run can keep; say of each other one that it is left out.

    A name in UTF-8 can be kept; Linux allows any bytes.
    """
    kept = []
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")
            error = OperationError(
                "document.bad_name",
                f"the file '{shown}' is left out",
                "its name is not UTF-8, so that no run can keep it",
                "rename it",
            )
            show(error, debug=False)
        else:
            kept.append(path)
    return kept


def _read_table(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".json":
            table = decoded(msgspec.json.decode, content)
        else:
            table = toml.read(content.decode())
    except OSError as error:
        raise click.UsageError(f"--input {path}: {error.strerror or error}") from error
    except toml.TomlLimitError as error:
        raise click.UsageError(f"--input {path}: {error}") from error
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--input {path}: it is not TOML or JSON: {error}") from error
    if not isinstance(table, dict):
        raise click.UsageError(f"--input {path}: it must hold a table of inputs")
    return table


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = decoded(msgspec.json.decode, text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        fix = "give a JSON object such as '{\"key\": 1}', or --set key=1"
        raise click.UsageError(f"MESSAGE is not JSON: {error}; {fix}") from error
    if not isinstance(found, dict):
        raise click.UsageError("MESSAGE has to be a JSON object such as '{\"key\": 1}'")
    return found


def _value(text: str) -> Any:
    try:
        table = toml.read(f"value = {text}")
    except toml.TomlLimitError as error:
        raise click.UsageError(f"--set: {error}: {error.fix}") from error
    except tomllib.TOMLDecodeError:
        return text
    # A text with a line break could define further keys; then it is meant as text.
    return table["value"] if len(table) == 1 else text


def _assign(table: dict[str, Any], keys: list[str], value: Any, assignment: str) -> None:
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"--set {assignment}: '{key}' is a value already, not a table")
        table = inner
    table[keys[-1]] = value
