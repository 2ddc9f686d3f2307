"""``qtforge-host completion``: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command(epilog='For bash: eval "$(qtforge-host completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click can't complete for {shell}")
    click.echo(found(root, {}, "qtforge-host", "_QTFORGE_HOST_COMPLETE").source())
