"""``qtforge-host runs``: the group; each command's module is imported when it is needed."""

from __future__ import annotations

import importlib
from typing import Any, Final

import click

from qtforge_host.cli.errors import no_such_command
from qtforge_host.cli.session import journal_option
from qtforge_host.cli.texts import refuse_bad_texts

__all__ = ["runs"]

# Listing must be quick over a million runs, so it imports nothing that executes one.
_COMMANDS: Final = {
    "list": ("list:list_runs", "List runs, newest first."),
    "show": ("show:show", "Show a run's stages and its history."),
    "logs": ("logs:logs", "Show what a run's code has logged and printed."),
    "watch": ("show:watch", "Follow a run until it ends."),
    "resume": ("resume:resume", "Resume interrupted, paused or blocked runs."),
    "retry": ("resume:retry", "Retry a run that did not succeed, from where it failed."),
    "fork": ("resume:fork", "Start a new run from a stage of another."),
    "rerun": ("resume:rerun", "Run the workflow of another run again, with its input."),
    "tag": ("resume:tag", "Change the tags of a run."),
    "cancel": ("cancel:cancel", "Cancel a run."),
    "pause": ("cancel:pause", "Pause a run before its next step."),
    "amend": ("amend:amend", "Change a run's definition while it runs."),
    "prune": ("archive:prune", "Delete runs that ended long ago."),
    "export": ("archive:export", "Write a run to a file."),
    "import": ("archive:import_", "Read a run from a file."),
}


class _Runs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target, _ = _COMMANDS.get(cmd_name, ("", ""))
        if not target:
            if ctx.resilient_parsing or cmd_name.startswith("-"):
                return None
            raise click.UsageError(no_such_command(cmd_name, _COMMANDS), ctx)
        module, _, attribute = target.partition(":")
        found: Any = importlib.import_module(f"qtforge_host.cli.runs.{module}")
        command = refuse_bad_texts(getattr(found, attribute))
        if not ctx.resilient_parsing:
            return command
        # Only a shell that asks for completions waits for what they need.
        completion = importlib.import_module("qtforge_host.cli.completion")
        completed: click.Command = completion.with_names(command)
        return completed

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_Runs,
    epilog="RUN is a run's id, the beginning of one, or 'last' for the newest.",
)
@journal_option
def runs() -> None:
    """List, show, resume, retry, cancel and amend runs."""
