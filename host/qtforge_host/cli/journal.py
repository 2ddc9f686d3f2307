"""``qtforge-host journal init``, ``backup`` and ``restore``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import BackupDocument, JournalInitialized
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_host.config.settings import Settings
from qtforge_host.journal.backup import BackupSummary, restore, write_backup
from qtforge_sdk.errors import ConfigError

__all__ = ["backup", "init", "journal", "restore_"]

_SQLITE: Final = "sqlite"


@click.group()
@journal_option
def journal() -> None:
    """Make the tables of a shared journal; back up all runs, and restore them."""


@journal.command("init")
@click.argument("url", required=False)
@json_option
@click.pass_obj
def init(session: Session, url: str | None, as_json: bool) -> None:
    """Make the tables of the journal at URL, or migrate older ones.

    Without URL it is that of the configuration. Do it once before the first 'serve', and after
    an upgrade that says so; any number of processes may use the journal meanwhile.
    """
    from qtforge_host.api.journals import initialized_journal  # heavy: a backup does without it

    settings = session.settings
    if url is not None:
        settings = settings.with_journal(url, "URL")
    done = event_loop.run(initialized_journal(settings))
    if as_json:
        print_json(JournalInitialized(done=done))
    else:
        echo(done)


@journal.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@journal_option
@click.pass_obj
def backup(session: Session, file: Path, as_json: bool) -> None:
    """Copy all runs, with their large values and files, into FILE; also while they execute."""
    settings = _sqlite_settings(session)
    with _ending_in_order():
        summary = write_backup(settings.state_dir, file)
    _say(file, summary, as_json, "holds")


@journal.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--replace", is_flag=True, help="Replace the runs that are there; they are kept beside it."
)
@json_option
@journal_option
@click.pass_obj
def restore_(session: Session, file: Path, replace: bool, as_json: bool) -> None:
    """Put the runs of a backup into the state directory, which no process may use.

    Runs that were executing are resumed by the next 'serve' or 'runs resume --all'.
    """
    settings = _sqlite_settings(session)
    with _ending_in_order():
        summary = restore(file, settings.state_dir, replace=replace)
    _say(settings.state_dir, summary, as_json, "has")


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C remove unfinished files; a second signal does not disturb that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def end(number: int, frame: FrameType | None, /) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _sqlite_settings(session: Session) -> Settings:
    settings = session.settings
    if settings.journal != _SQLITE:
        raise ConfigError(
            f"the journal '{settings.journal_name}' can't be copied here",
            "only a journal of the kind 'sqlite' is a file",
            "use the backup of the database that holds it",
        )
    return settings


def _say(where: Path, summary: BackupSummary, as_json: bool, verb: str) -> None:
    if as_json:
        print_json(
            BackupDocument(
                path=str(where),
                runs=summary.runs,
                files=summary.files,
                size_bytes=summary.size_bytes,
            )
        )
        return
    runs = "1 run" if summary.runs == 1 else f"{summary.runs:,} runs"
    echo(f"{where} {verb} {runs}, {summary.size_bytes:,} bytes in {summary.files:,} files")
