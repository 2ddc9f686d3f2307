"""``qtforge-host dev``: serve, or run a workflow, and begin again when a file has changed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from qtforge_host.cli.change_check import ChangeCheck
from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import echo
from qtforge_host.reloading import Reloader
from qtforge_host.schema_files import config_schema_path

__all__ = ["dev"]

_SCHEMA_TIMEOUT_S = 60


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS] [PATH]... | run NAME [...]",
)
@click.option("--reload", "reloads", is_flag=True, help="Begin again when a file has changed.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True,
    help="The port; 0 for any that is free.",
)  # fmt: skip
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_obj
def dev(session: Session, reloads: bool, port: int, words: tuple[str, ...]) -> int:
    """Serve with tracebacks, in a child process, for those who write plugins and workflows.

    With --reload, a change of a .py or .toml file below a PATH ends the child in order, and a
    new one continues the runs. The default is the current folder; the folder of the
    configuration is watched too.

    Before that, the installed plugins whose files have changed are checked as by 'plugins check
    --replay', and so are definitions and the configuration. Findings are shown, and unfinished
    runs that the new code would not continue. Where a file can't be read, or the new code of a
    plugin could not be used, the old child stays.

    'dev run NAME' and what 'run' takes: run a workflow, again after each save.
    """
    if words and words[0] == "run":
        if len(words) == 1:
            raise click.UsageError("name a workflow: qtforge-host dev run NAME")
        again = Reloader(
            _command(session, "run", *words[1:]), _watched(session, _files(words[1:])), _say,
            keeps_up=False,
        )  # fmt: skip
        return again.run()
    command = _command(session, "--debug", "serve", "--port", str(port), "--no-reexec")
    if not reloads:
        if words:
            raise click.UsageError("paths are watched with --reload: dev --reload PATH...")
        with _refreshing(session):
            return subprocess.call(command)
    paths = _watched(session, [Path(word) for word in words])
    check = ChangeCheck(lambda *words: _command(session, *words), session.config_path, _say)

    def refresh() -> None:
        with _refreshing(session):
            pass

    return Reloader(command, paths, _say, check, refresh, keeps_up=True).run()


def _command(session: Session, *words: str) -> list[str]:
    """Return the words of another command of the host, with the options that are in force."""
    options = [
        *([] if session.config is None else ["--config", str(session.config)]),
        *([] if session.state_dir is None else ["--state-dir", str(session.state_dir)]),
        *([] if session.journal is None else ["--journal", session.journal]),
        *(["--safe-mode"] if session.safe_mode else []),
    ]
    return [sys.executable, "-P", "-m", "qtforge_host.cli.main", *options, *words]


def _watched(session: Session, paths: list[Path]) -> list[Path]:
    folder = session.settings.config_path.parent
    return [*(paths or [Path()]), *([folder] if folder.is_dir() else [])]


def _files(words: tuple[str, ...]) -> list[Path]:
    """Return the current folder, and the files among a command's words that lie elsewhere."""
    files = [Path(word) for word in words if word.endswith(".toml") and Path(word).is_file()]
    return [Path(), *(file.parent for file in files)]


@contextlib.contextmanager
def _refreshing(session: Session) -> Iterator[None]:
    """Renew the configuration's schema for editors, beside what is done meanwhile."""
    file = config_schema_path(session.config_path)
    if not file.parent.is_dir():
        yield
        return
    command = _command(session, "config", "schema", "-o", str(file.absolute()))
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield
            process.wait(_SCHEMA_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _say(text: str) -> None:
    echo(f"dev: {text}", err=True)
