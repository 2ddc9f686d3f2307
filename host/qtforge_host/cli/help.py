"""``qtforge-host help``: the same as ``--help`` after a command."""

from __future__ import annotations

import click

from qtforge_host.cli.errors import no_such_command
from qtforge_host.cli.pager import paged
from qtforge_host.cli.terminal import echo_lines

__all__ = ["help_"]


@click.command("help")
@click.argument("command", nargs=-1)
@click.pass_context
@paged
def help_(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Show how a command is used, such as: help runs list."""
    parent = ctx.find_root()
    for name in command:
        group = parent.command
        names = group.list_commands(parent) if isinstance(group, click.Group) else []
        found = group.get_command(parent, name) if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(no_such_command(name, names), parent)
        if name not in names:  # a plugin's, which has to start first
            with found.make_context(name, [*command[1:], "--help"], parent=parent) as sub:
                found.invoke(sub)
            return
        parent = click.Context(found, info_name=name, parent=parent, obj=ctx.obj)
    echo_lines(parent.get_help())
