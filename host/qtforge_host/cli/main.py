"""``qtforge-host``: finds the command, sets up logging, turns errors into exit codes."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from qtforge_host.cli.late_ssl import import_ssl_late

if TYPE_CHECKING:
    from qtforge_host.cli.logs import LogFormat

__all__ = ["cli", "main"]

# Name -> module and attribute; a command's module is imported when it is needed, so that
# --help stays quick and imports no plugin.
_COMMANDS: Final = {
    "status": "status:status",
    "run": "run:run",
    "runs": "runs.group:runs",
    "route": "route:route",
    "send": "send:send",
    "inbox": "inbox:inbox",
    "serve": "serve:serve",
    "ui": "ui:ui",
    "dev": "dev:dev",
    "worker": "worker:worker",
    "nodes": "nodes:nodes",
    "pools": "pools:pools",
    "tokens": "tokens:tokens",
    "schedules": "schedules:schedules",
    "plugins": "plugins:plugins",
    "workflows": "workflows:workflows",
    "bus": "bus:bus",
    "health": "health:health",
    "journal": "journal:journal",
    "doctor": "doctor:doctor",
    "config": "config:config",
    "completion": "config:completion",
    "help": "help:help_",
}
_SUMMARIES: Final = {
    "status": "Show runs, processes, plugins and schedules on one screen.",
    "run": "Run a workflow over documents or an input.",
    "route": "Send documents to the pipelines that rules choose for them.",
    "runs": "List, show, resume, retry, cancel and amend runs.",
    "send": "Send an event to a run, and show how the run handles it.",
    "inbox": "List the runs that wait for a person.",
    "serve": "Stay up: resume runs, start scheduled ones, answer over HTTP.",
    "ui": "Open the host in the browser, logged in.",
    "dev": "Serve while you write plugins; begin again when a file has changed.",
    "worker": "Take queued and interrupted runs, beside other workers.",
    "nodes": "List, show, drain and resume the processes that take runs.",
    "pools": "List, pause and resume the pools in which runs wait.",
    "tokens": "Create, list and revoke the tokens of the HTTP interface.",
    "schedules": "List the schedules by which serve starts workflows.",
    "plugins": "List, inspect, enable and disable plugins.",
    "workflows": "List, show, validate and draw workflows.",
    "health": "Check the health of the active plugins.",
    "bus": "List topics, send requests, publish messages.",
    "journal": "Make the tables of a shared journal; copy, check, back up and restore all runs.",
    "doctor": "Check the state directory, the configuration and the plugins.",
    "config": "Show the configuration in force.",
    "completion": "Print the shell's completion script.",
    "help": "Show how a command is used.",
}


_LOOP: Final = "qtforge_host.event_loop"
# Objects that are made before a collection: those of imports stay, and are not searched again
# and again. A process that stays up sets its own (see `gc_tuning`).
_COLLECTED_AFTER: Final = 50_000


class _Commands(click.Group):
    """Built-in commands by name; any other name is looked for among the plugins'."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        if target is None:
            if ctx.resilient_parsing or cmd_name.startswith("-"):
                return None
            return _import("contributed:contributed")(cmd_name, tuple(_COMMANDS))  # type: ignore[no-any-return]
        found = _import("texts:refuse_bad_texts")(_import(target))
        if ctx.resilient_parsing:  # a shell asks for completions
            found = _import("completion:with_names")(found)
        return found  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUMMARIES.items()))


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(f"qtforge_host.cli.{module}"), attribute)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from qtforge_host.plugins.discovery import installed_version  # slow to import

        host, sdk = installed_version("qtforge-host"), installed_version("qtforge-sdk")
        click.echo(f"qtforge-host {host} (sdk {sdk})")
        ctx.exit()


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Installed plugins may add commands: 'qtforge-host plugins commands' lists them.",
)
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="The directory of runs, caches and the data of plugins.",
)
@click.option(
    "--journal",
    metavar="URL",
    help="Where the runs are: an address such as postgresql://HOST/DATABASE, or sqlite.",
)
@click.option("--safe-mode", is_flag=True, help="Start with the built-in plugins alone.")
@click.option("--debug", is_flag=True, help="Show debug logs, and tracebacks of errors.")
@click.option("--no-pager", is_flag=True, help="Print long output at once, without a pager.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How logs are written to standard error.",
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the versions of host and SDK.",
)
@click.pass_context
def cli(
    ctx: click.Context,
    config: Path | None,
    state_dir: Path | None,
    journal: str | None,
    safe_mode: bool,
    debug: bool,
    no_pager: bool,
    log_format: LogFormat,
) -> None:
    """Find the installed plugins, wire them to one message bus, and run workflows over them."""
    from qtforge_host.cli.logs import log_to_stderr  # after --help, which needs none of it
    from qtforge_host.cli.session import Session

    _refuse_deleted_folder()
    log_to_stderr(log_format, debug=debug)
    ctx.obj = Session(
        config=config,
        state_dir=state_dir,
        journal=journal,
        safe_mode=safe_mode,
        debug=debug,
        pager=not no_pager,
    )
    if ctx.invoked_subcommand is None:
        _import("status:welcome")(ctx.obj)


def _refuse_deleted_folder() -> None:
    """Refuse to work in a deleted folder: plugins that ask for it would be taken for broken."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise click.UsageError(
            "the working directory was deleted; change to another folder, and try again"
        ) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(_COLLECTED_AFTER)
    import_ssl_late()
    atexit.register(_leave_to_the_end)
    code = _run(arguments)
    if _LOOP in sys.modules:  # so code of plugins may be here
        from qtforge_host.end_watch import end_within

        end_within(code)
    sys.exit(code)


def _leave_to_the_end() -> None:
    """Leave what is alive at the very end to the process: no search for cycles in it.

    But libraries bound with nanobind count what is alive then, and print it as leaked, on the
    error stream of a command that went well; where one is loaded, the search is made.
    """
    modules = tuple(sys.modules.values())
    values = (value for each in modules for value in tuple(getattr(each, "__dict__", {}).values()))
    if any(type(value).__module__ == "nanobind" for value in values):
        gc.unfreeze()
    else:
        gc.freeze()


def _run(arguments: Sequence[str] | None) -> int:
    from qtforge_host.cli.terminal import CleanStream, raw

    before = sys.stderr
    sys.stderr = CleanStream(raw(before))
    try:
        return _try(arguments)
    finally:
        sys.stderr = before


def _try(arguments: Sequence[str] | None) -> int:
    color = False if os.environ.get("NO_COLOR") else None
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.platform == "win32":
        return _refuse_windows()
    try:
        result = cli.main(args=words, prog_name="qtforge-host", standalone_mode=False, color=color)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        return _refused(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("cancelled", err=True)
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback without --debug
        return _failed(_only(error), debug="--debug" in words)
    return result if isinstance(result, int) else 0


def _refused(error: click.ClickException) -> int:
    """Show what click or a command refuses; what the message repeats can't add a line to it."""
    from qtforge_host.cli.terminal import clean_line

    if isinstance(error, click.UsageError):  # of another, a plugin's text may have several lines
        error.message = clean_line(error.message)  # type: ignore[misc]
    error.show()
    return error.exit_code


def _refuse_windows() -> int:
    """Say that the host does not run here: it needs process groups, sockets and file locks."""
    from qtforge_host.cli.errors import UnsupportedPlatformError, show

    error = UnsupportedPlatformError(
        "QtForge Host does not run on Windows",
        "it needs the process groups, signals and file locks of POSIX systems",
        "run it on Linux, in the Windows Subsystem for Linux (WSL 2), or in a container",
    )
    show(error, debug=False)
    return error.exit_code


def _only(error: Exception) -> Exception:
    """Return the error that a group of tasks ended with.

    A state directory that can't be used fails every task, and whatever else failed with them.
    """
    from qtforge_sdk.errors import StateDirectoryError

    if not isinstance(error, ExceptionGroup):
        return error
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, StateDirectoryError):
            return leaf
    return leaves[0] if len(leaves) == 1 else error


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _failed(error: Exception, *, debug: bool) -> int:
    if isinstance(error, BrokenPipeError):  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    from qtforge_host.cli.errors import show
    from qtforge_sdk.errors import QtForgeError

    if isinstance(error, QtForgeError):
        show(error, debug=debug)
        return error.exit_code
    if debug:
        raise error
    show(
        QtForgeError(
            "something went wrong in the host itself",
            f"{type(error).__name__}: {error}",
            "run it again with --debug, and report what it shows",
        ),
        debug=False,
    )
    return 1


if __name__ == "__main__":
    main()
