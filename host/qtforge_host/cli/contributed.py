"""Commands that plugins contribute: the host is started, then the command gets its bus."""

from __future__ import annotations

import contextlib
import inspect
import sys
from typing import Any, Final

import click

from qtforge_host import event_loop
from qtforge_host.app import Host
from qtforge_host.cli.errors import no_such_command
from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import CleanStream
from qtforge_host.plugin_code import PluginCodeError, describe, is_interruption, place_of
from qtforge_sdk.errors import QtForgeError

__all__ = ["contributed"]

# How a command ends on purpose; ``sys.exit(3)`` gives its exit code.
_ENDINGS: Final = (
    click.ClickException,
    click.exceptions.Exit,
    click.Abort,
    QtForgeError,
    SystemExit,
)


def contributed(name: str, builtin: tuple[str, ...]) -> click.Command:
    """Return a command that starts the host, then does what a plugin's command of that name does.

    Args:
        name: What was typed.
        builtin: The host's own commands, for the nearest name when no plugin has it.
    """

    def callback() -> Any:
        ctx = click.get_current_context()
        # Its colours are its own; nothing else in its texts may control the terminal.
        with contextlib.redirect_stdout(CleanStream(sys.stdout, colors=True)):
            return event_loop.run(_invoke(name, builtin, list(ctx.args), ctx.obj))

    return click.Command(
        name,
        callback=callback,
        add_help_option=False,  # --help is the contributed command's
        context_settings={
            "ignore_unknown_options": True,
            "allow_extra_args": True,
            "allow_interspersed_args": False,
        },
    )


async def _invoke(
    name: str, builtin: tuple[str, ...], arguments: list[str], session: Session
) -> Any:
    async with Host(session.settings, scope="asked") as host:
        commands = await host.commands()
        found = commands.get(name)
        if found is None:
            # The usage shown is that of all commands: there is none with this name.
            group = click.get_current_context().parent
            raise click.UsageError(no_such_command(name, [*builtin, *commands]), group)
        session.host = host
        info = f"qtforge-host {name}"
        try:
            with found.command.make_context(info, arguments, obj=session) as ctx:
                result = found.command.invoke(ctx)
                return await result if inspect.isawaitable(result) else result
        except _ENDINGS:
            raise
        except BaseException as error:
            if is_interruption(error):
                raise
            what = f"the command '{name}' of {found.author} failed: {describe(error)}"
            place = place_of(error, found.command.callback)
            fix = f"it is a fault of {found.author}: report what --debug shows to its author"
            raise PluginCodeError(
                "plugin.command_failed",
                found.author,
                f"{what} ({place})" if place else what,
                place,
                fix,
            ) from error
