"""``qtforge-host runs prune``, ``export`` and ``import``."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from qtforge_host import event_loop
from qtforge_host.api.bulk import ANY, ENDED, OPEN, Selection
from qtforge_host.api.documents import Imported, Pruned
from qtforge_host.api.store import EXPORT_SUFFIX, open_store
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.runs.selection import KEYS, given_selection, selection_options
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo
from qtforge_sdk.files import write_atomically

__all__ = ["export", "import_", "prune"]


@click.command()
@click.option("--older-than", metavar="DURATION", help="Ended longer ago than that: 30d, 12h.")
@click.option("--policy", is_flag=True, help="Those that [retention] does not keep any longer.")
@selection_options(ENDED, "all runs that have ended")
@click.option("--dry-run", is_flag=True, help="Only show how many there are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@journal_option
@click.pass_obj
def prune(
    session: Session,
    /,
    older_than: str | None,
    policy: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Delete runs that have ended, with their files and all that only they refer to.

    They are those that fit all of --older-than, --workflow, --status, --tag, --schedule,
    --error-code and --plugin. With --policy in place of --older-than they are those that
    [retention] does not keep any longer; 'serve' and 'worker' delete these by themselves.

    A run stays while the run that has started it is unfinished. With anything but --older-than
    alone, the runs that it has awaited are deleted with it.
    """
    selection = given_selection(options)
    if policy and older_than is not None:
        raise click.UsageError("give --policy, whose ages are in [retention], or --older-than")
    if not (policy or selection.is_given or older_than is not None):
        given = f"--policy, --older-than, {KEYS}"
        raise click.UsageError(f"give {given}")
    before: datetime.datetime | None = None
    meant = "that [retention] does not keep any longer" if policy else "that ended"
    if older_than is not None:
        age = duration_option("--older-than", older_than)
        before = datetime.datetime.now(datetime.UTC) - age
        meant += f" before {before.astimezone():%Y-%m-%d %H:%M}"

    async def pruned(dry_run: bool) -> Pruned:
        async with open_store(session.settings) as runs:
            selected = selection if selection.is_given else None
            if policy:
                return await runs.apply_retention(selected, dry_run=dry_run)
            return await runs.prune(before, selected, dry_run=dry_run)

    found = event_loop.run(pruned(dry_run)) if yes else event_loop.run(pruned(dry_run=True))
    if not (yes or dry_run) and found.pruned:
        count = "1 run" if found.pruned == 1 else f"{found.pruned:,} runs"
        click.confirm(f"Delete {count} {meant}?", abort=True, err=True)
        found = event_loop.run(pruned(dry_run=False))
    if as_json:
        print_json(found)
        return
    if found.workflows:
        table(
            ("WORKFLOW", "STATUS", "RUNS"),
            ((each.workflow, each.status, str(each.runs)) for each in found.workflows),
        )
    verb = "would be" if dry_run else "is" if found.pruned == 1 else "are"
    echo(f"{found.pruned} {'run' if found.pruned == 1 else 'runs'} {verb} deleted")


@click.command()
@click.argument("run", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help=f"Where to; the default is RUN{EXPORT_SUFFIX}, and - is standard output. For several "
    "runs a folder.",
)
@click.option("--unfinished", is_flag=True, help="Every run that has not ended, a file for each.")
@selection_options(ANY, "all runs")
@journal_option
@click.pass_obj
def export(
    session: Session,
    /,
    run: str | None,
    output: Path | None,
    unfinished: bool,
    **options: Any,
) -> None:
    """Write a run with its inbox and large values to one file, which 'runs import' reads.

    In place of RUN, --unfinished and the options that select runs mean all that fit; each is a
    file in the folder DIR of -o.

    The files that its steps made, such as large results, are not in it. 'workflows replay'
    reads such files too.
    """
    selection = given_selection(options)
    if unfinished:
        if selection.statuses:
            raise click.UsageError("give --unfinished or --status, not both")
        selection = replace(selection, statuses=OPEN.statuses)
    if selection.is_given:
        if run is not None:
            raise click.UsageError("name a RUN, or what several runs have in common, not both")
        if output is None or output == Path("-"):
            raise click.UsageError("several runs need a folder: -o DIR")
        _export_several(session, selection, output, unfinished=unfinished)
        return
    if run is None:
        keys = f"--unfinished, {KEYS}"
        raise click.UsageError(f"name a RUN, or give {keys}")
    if output is not None and output.is_dir():
        raise click.UsageError(f"{output}: Is a directory")

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
    target = output or Path(f"{run_id}{EXPORT_SUFFIX}")
    try:
        write_atomically(target, content)
    except OSError as error:
        raise click.UsageError(f"{target}: {error.strerror or error}") from error
    echo(f"{run_id} is in {target} ({len(content)} bytes)")


def _export_several(
    session: Session, selection: Selection, folder: Path, *, unfinished: bool
) -> None:
    async def work() -> int:
        async with open_store(session.settings) as runs:
            found = await runs.selected(selection)
            for run_id in found:
                write_atomically(folder / f"{run_id}{EXPORT_SUFFIX}", await runs.export(run_id))
            return len(found)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        count = event_loop.run(work())
    except OSError as error:
        raise click.UsageError(f"{folder}: {error.strerror or error}") from error
    kind = "unfinished " if unfinished else ""
    echo(f"{count} {kind}{'run is' if count == 1 else 'runs are'} in {folder}")


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
