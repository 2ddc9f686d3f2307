"""The commands, from click."""

from __future__ import annotations

from collections.abc import Iterator

import click

from qtforge_host.cli.main import cli
from tools.site.reference.markdown import table

__all__ = ["cli_pages"]

_PROGRAM = "qtforge-host"


def cli_pages(path: str) -> dict[str, str]:
    """Return the page of all commands, their arguments and options."""
    context = click.Context(cli, info_name=_PROGRAM)
    parts = [
        "# Commands",
        "Every command, as `--help` prints it. [The command line](../command-line.md) explains"
        " them, their JSON and the exit codes.",
        "## Options before the command",
        _options(cli, context),
    ]
    for command, inner in _commands(cli, context):
        words = inner.command_path.removeprefix(f"{_PROGRAM} ")
        parts.append(f"{'##' if ' ' not in words else '###'} {words}")
        parts.append(_about(command))
        if not isinstance(command, click.Group):
            usage = " ".join(command.collect_usage_pieces(inner))
            parts.append(f"```text\n{inner.command_path} {usage}\n```")
            parts.append(_options(command, inner))
    return {path: "\n\n".join(part for part in parts if part) + "\n"}


def _commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield command, inner
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _about(command: click.Command) -> str:
    """Return a command's help; a paragraph that keeps its lines becomes a block."""
    parts = []
    for paragraph in (command.help or "").partition("\f")[0].split("\n\n"):
        text = paragraph.strip("\n")
        if text.startswith("\b"):
            parts.append(f"```text\n{text[1:].strip(chr(10))}\n```")
        else:
            parts.append(_escaped(" ".join(text.split())))
    return "\n\n".join(parts)


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if _is_shown(parameter) else None
        if record is not None:
            rows.append((f"`{record[0]}`", _escaped(record[1])))
    return table(("option", "meaning"), rows)


def _is_shown(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and "--help" not in parameter.opts


def _escaped(text: str) -> str:
    for character in "\\<>*_$[]":
        text = text.replace(character, f"\\{character}")
    return text
