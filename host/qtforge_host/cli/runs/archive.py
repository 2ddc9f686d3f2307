"""``qtforge-host runs prune``, ``export`` and ``import``."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Final

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import Imported, Pruned
from qtforge_host.api.store import open_store
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_sdk.files import write_atomically

__all__ = ["export", "import_", "prune"]

_SUFFIX: Final = ".qtforge-run"


@click.command()
@click.option(
    "--older-than", required=True, metavar="DURATION", help="Ended longer ago than that: 30d, 12h."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@journal_option
@click.pass_obj
def prune(session: Session, older_than: str, yes: bool, as_json: bool) -> None:
    """Delete runs that ended long ago, with their files and all that only they refer to."""
    before = datetime.datetime.now(datetime.UTC) - duration_option("--older-than", older_than)
    if not yes:
        when = f"{before.astimezone():%Y-%m-%d %H:%M}"
        click.confirm(f"Delete every run that ended before {when}?", abort=True, err=True)

    async def pruned() -> int:
        async with open_store(session.settings) as runs:
            return await runs.prune(before)

    count = event_loop.run(pruned())
    if as_json:
        print_json(Pruned(pruned=count))
    else:
        echo(f"{count} {'run is' if count == 1 else 'runs are'} deleted")


@click.command()
@click.argument("run")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where to; the default is RUN{_SUFFIX}, and - is standard output.",
)
@journal_option
@click.pass_obj
def export(session: Session, run: str, output: Path | None) -> None:
    """Write a run with its inbox and large values to one file, which 'runs import' reads.

    The files that its steps made, such as large results, are not in it.
    """

    async def exported() -> tuple[str, bytes, tuple[int, int, Path]]:
        async with open_store(session.settings) as runs:
            run_id = await runs.find(run)
            return run_id, await runs.export(run_id), runs.files_of(run_id)

    run_id, content, (count, size_bytes, where) = event_loop.run(exported())
    if count:
        what = "1 file of the run is" if count == 1 else f"{count} files of the run are"
        echo(f"{what} not in it ({size_bytes} bytes): {where}", err=True)
    if output == Path("-"):
        sys.stdout.buffer.write(content)
        return
    target = output or Path(f"{run_id}{_SUFFIX}")
    try:
        write_atomically(target, content)
    except OSError as error:
        raise click.UsageError(f"{target}: {error.strerror or error}") from error
    echo(f"{run_id} is in {target} ({len(content)} bytes)")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@json_option
@journal_option
@click.pass_obj
def import_(session: Session, file: Path, as_json: bool) -> None:
    """Read a run from a file; importing the same run again changes nothing."""
    try:
        with click.open_file(str(file), "rb") as source:
            content: bytes = source.read()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from error

    async def imported() -> tuple[str, bool]:
        async with open_store(session.settings) as runs:
            run_id = await runs.import_(content)
            return run_id, await runs.lacks_secrets(run_id)

    run_id, lacks_secrets = event_loop.run(imported())
    if as_json:
        print_json(Imported(run_id=run_id))
    else:
        echo(f"imported {run_id}; an unfinished run is paused until you resume it:")
        echo(f"  qtforge-host runs resume {run_id}")
        if lacks_secrets:
            echo("its secrets are not in the archive: a step that needs one fails")
