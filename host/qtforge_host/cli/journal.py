"""``qtforge-host journal init``, ``copy``, ``check``, ``backup`` and ``restore``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import BackupDocument, JournalCopied, JournalInitialized
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_host.config.settings import Settings
from qtforge_host.journal.backup import BackupSummary, restore, write_backup
from qtforge_sdk.errors import ConfigError

__all__ = ["backup", "check", "copy", "init", "journal", "restore_"]

_SQLITE: Final = "sqlite"
_SHOWN_EVERY: Final = 1000  # runs


@click.group()
@journal_option
def journal() -> None:
    """Make the tables of a shared journal; copy, check, back up and restore all runs."""


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
@click.argument("places", nargs=-1, metavar="[FROM] TO")
@click.option(
    "--without-secrets", is_flag=True, help="Copy no values of secrets: their references stay."
)
@json_option
@journal_option
@click.pass_obj
def copy(session: Session, places: tuple[str, ...], without_secrets: bool, as_json: bool) -> int:
    """Copy all runs of the journal FROM into the journal TO, such as from sqlite to an address.

    Without FROM it is the journal of --journal or the configuration. 'sqlite' is that of the
    state directory. FROM is not changed. End the processes that use it first: a run that one of
    them executes is not copied. Runs continue in TO as they were, so use only TO afterwards.

    A copy that was cut is continued by the same command. Nothing in TO is overwritten.

    Exit code 1 when a run was not copied.
    """
    from qtforge_host.api.journals import copied_journal  # heavy: a backup does without it

    if len(places) not in (1, 2):
        raise click.UsageError("give the journal TO, or FROM and TO")
    settings = session.settings
    origin = settings if len(places) == 1 else settings.with_journal(places[0], "FROM")
    said = 0

    def progress(done: JournalCopied) -> None:
        nonlocal said
        seen = done.runs + done.already_there + done.refused
        if seen >= said + _SHOWN_EVERY:
            said = seen
            echo(f"{seen:,} runs so far", err=True)

    copying = copied_journal(
        origin,
        settings.with_journal(places[-1], "TO"),
        secrets=not without_secrets,
        progress=progress,
    )
    done = event_loop.run(copying)
    if as_json:
        print_json(done)
    else:
        _say_copied(done)
    return FAILED if done.refused else 0


def _say_copied(done: JournalCopied) -> None:
    echo(
        f"copied {_many(done.runs, 'run')} with {_many(done.records, 'record')},"
        f" {_many(done.messages, 'message')} and {_many(done.secrets, 'secret')}"
    )
    if done.already_there:
        echo(f"{_many(done.already_there, 'run')} there already")
    if done.refused:
        echo(f"{_many(done.refused, 'run')} not copied:")
        for each in done.refused_runs:
            echo(f"  {each.run_id}: {each.why}")
        if done.refused > len(done.refused_runs):
            echo(f"  and {done.refused - len(done.refused_runs):,} more")


@journal.command()
@click.argument("url", required=False)
@json_option
@journal_option
@click.pass_obj
def check(session: Session, url: str | None, as_json: bool) -> int:
    """Compare what follows from the records of the journal at URL with them.

    Without URL it is the journal of --journal or the configuration. 'qtforge-host doctor
    --repair' makes again what does not fit; no record is ever changed.

    Exit code 1 when something is wrong, 4 when the journal can't be used.
    """
    from qtforge_host.api.journals import checked_journal  # heavy: a backup does without it

    settings = session.settings
    if url is not None:
        settings = settings.with_journal(url, "URL")
    found = event_loop.run(checked_journal(settings))
    if as_json:
        print_json(found)
    elif found.ok:
        echo(f"{state('ok')}  {_many(found.runs, 'run')}: every record is as it was written")
    else:
        for each in found.findings:
            echo(f"{state('wrong')}  {each.what}")
            echo(f"  fix: {each.fix}")
    return 0 if found.ok else FAILED


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
    runs = _many(summary.runs, "run")
    echo(f"{where} {verb} {runs}, {summary.size_bytes:,} bytes in {summary.files:,} files")


def _many(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"
