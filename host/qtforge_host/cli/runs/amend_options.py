"""Options that change a run's definition, applied in the order in which they are given."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from qtforge_host import toml
from qtforge_host.cli.inputs import parse_assignment
from qtforge_host.runs.amendments import Operation, PatchBuilder, as_document
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.validation import decoded

__all__ = ["Change", "ChangingCommand", "change_options", "given_changes", "patch_of"]

_CHANGES: Final = ("patch", "insert_after", "replace", "remove", "skip", "set")
_ORDER: Final = "qtforge_host.cli.runs.amend_options.order"

Change = tuple[str, Any]
"""An option's name and value."""

_file = click.Path(path_type=Path, dir_okay=False)
_stage_and_file = click.Tuple([str, _file])

_OPTIONS: Final = (
    click.option("--patch", multiple=True, type=_file, help="A JSON Patch (RFC 6902)."),
    click.option(
        "--insert-after",
        multiple=True,
        type=_stage_and_file,
        metavar="STAGE FILE",
        help="Insert a new stage after STAGE; FILE holds its table in TOML.",
    ),
    click.option(
        "--replace",
        multiple=True,
        type=_stage_and_file,
        metavar="STAGE FILE",
        help="Replace STAGE by the stage in FILE.",
    ),
    click.option("--remove", multiple=True, metavar="STAGE", help="Remove the stage."),
    click.option(
        "--skip", multiple=True, metavar="STAGE", help="Skip the stage when the run reaches it."
    ),
    click.option(
        "--set",
        multiple=True,
        metavar="STAGE.KEY=VALUE",
        help="Set a key, such as work.timeout=60s.",
    ),
)


class ChangingCommand(click.Command):
    """A command with `change_options`, which records the order of the options; click does not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [each.name for each in order if each.name in _CHANGES]
        return super().parse_args(ctx, args)


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that change a definition; the command's ``cls`` is `ChangingCommand`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given_changes(ctx: click.Context, options: dict[str, Any]) -> Iterator[Change]:
    """Yield the changes in the order in which they were given, with the contents of their files."""
    order: Sequence[str] = ctx.meta[_ORDER]
    values = {name: iter(options[name]) for name in _CHANGES}
    for name in order:
        value = next(values[name])
        if name == "patch":
            yield name, _patch_in(value)
        elif name in ("insert_after", "replace"):
            yield name, (value[0], _stage_of(value[1]))
        elif name == "set":
            keys, given = parse_assignment(value)
            if len(keys) < 2:
                raise click.UsageError(f"--set takes STAGE.KEY=VALUE, not '{value}'")
            yield name, (keys[0], keys[1:], given)
        else:
            yield name, (value,)


def _patch_in(path: Path) -> list[Any]:
    try:
        return decoded(msgspec.json.Decoder(list[Any]).decode, _read(path))
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--patch {path}: not a JSON list: {error}") from error


def _stage_of(path: Path) -> dict[str, Any]:
    try:
        table = toml.read(_read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: not valid TOML: {error}") from error
    if list(table) == ["stages"]:
        match table["stages"]:
            case [dict() as stage]:
                return stage
            case _:
                raise click.UsageError(f"{path}: it must contain exactly one stage")
    return table


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror or error}") from error


def patch_of(run_id: str, workflow: Workflow, changes: Sequence[Change]) -> list[Operation]:
    """Return the JSON Patch that makes changes to a run's definition.

    Raises:
        AmendmentRefusedError: A change does not fit the definition.
    """
    builder = PatchBuilder(run_id, as_document(workflow.definition))
    for name, value in changes:
        if name == "patch":
            builder.extend(value)
        else:
            getattr(builder, name)(*value)
    return builder.operations
