"""Options that select several runs, the question before they are changed, and what was done."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import click

from qtforge_host.api.bulk import Selectable, Selection
from qtforge_host.api.documents import BulkDone
from qtforge_host.api.tags import tags_of
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import print_json, run_async
from qtforge_host.cli.terminal import echo

__all__ = [
    "KEYS",
    "do_all",
    "given_selection",
    "planned_runs",
    "print_rest",
    "selection_of",
    "selection_options",
    "several_options",
]

KEYS: Final = "--workflow, --status, --tag, --schedule, --error-code or --plugin"
"""The options that select several runs, for messages."""


def selection_options(
    selectable: Selectable, meant: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds the options that select several runs.

    Args:
        selectable: With which runs it can be done.
        meant: The words for these runs, such as ``"all unfinished runs"``.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--status", "statuses", multiple=True,
                type=click.Choice(sorted(selectable.statuses)),
                help=f"Of {meant}: those with this status; repeat.",
            ),
            click.option(
                "--tag", "tags", multiple=True, metavar="NAME=VALUE",
                help=f"Of {meant}: those with this tag; repeat.",
            ),
            click.option(
                "--schedule", metavar="NAME", help=f"Of {meant}: those of this schedule."
            ),
            click.option(
                "--error-code", metavar="CODE",
                help=f"Of {meant}: those that failed or are blocked with this error.",
            ),
            click.option(
                "--plugin", metavar="NAME", help=f"Of {meant}: those in which this plugin failed."
            ),
            click.option(
                "--workflow", metavar="NAME", help=f"Of {meant}: those of this workflow."
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


def several_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of what is done with several runs."""
    command = click.option("--yes", is_flag=True, help="With several runs: do not ask.")(command)
    return click.option(
        "--dry-run", is_flag=True, help="With several runs: only show which they are."
    )(command)


def selection_of(
    runs: Sequence[str],
    options: Mapping[str, Any],
    *,
    others: Mapping[str, bool] = MappingProxyType({}),
) -> Selection | None:
    """Return which runs the options mean; None where runs are named, or one of ``others`` is given.

    Args:
        runs: The runs that are named.
        options: What was given to the options of `selection_options` and `several_options`.
        others: Further options that say which runs are meant, and whether they are given.

    Raises:
        click.UsageError: None of these is given, or several are.
        TagsInvalidError: A tag is none.
    """
    selection = given_selection(options)
    if [bool(runs), selection.is_given, *others.values()].count(True) != 1:
        more = "".join(f", or give {option}" for option in others)
        raise click.UsageError(f"name a RUN{more}, or give {KEYS}")
    if selection.is_given:
        return selection
    for option in ("yes", "dry_run"):
        if options.get(option):
            raise click.UsageError(f"--{option.replace('_', '-')} is for {KEYS}")
    return None


def given_selection(options: Mapping[str, Any]) -> Selection:
    """Return what was given to the options of `selection_options`.

    Raises:
        TagsInvalidError: A tag is none.
    """
    return Selection(
        workflow=options["workflow"],
        statuses=frozenset(options["statuses"]),
        tags=tags_of(options["tags"]),
        schedule=options["schedule"],
        error_code=options["error_code"],
        plugin=options["plugin"],
    )


def planned_runs(
    verb: str,
    plan: Coroutine[Any, Any, BulkDone],
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> BulkDone | None:
    """Return with which runs something is to be done, after a question where there are any.

    Args:
        verb: What is done, such as ``"cancel"``.
        plan: Says with which runs it would be done.
        options: What was given to `several_options`.
        as_json: Print a document.

    Returns:
        The runs; None where these are only to be shown, which is done.

    Raises:
        click.Abort: It is not to be done.
    """
    planned = run_async(plan)
    if options["dry_run"]:
        if as_json:
            print_json(planned)
        else:
            for run_id in planned.runs:
                echo(f"would {verb}: {run_id}")
            print_rest(planned)
        return None
    if planned.runs and not options["yes"]:
        count = len(planned.runs)
        runs = "1 run" if count == 1 else f"{count:,} runs"
        more = " (there are more)" if planned.more else ""
        click.confirm(f"{verb} {runs}{more}?", abort=True, err=True)
    return planned


def do_all(
    verb: str,
    do: Callable[[bool], Coroutine[Any, Any, BulkDone]],
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> int:
    """Do the same with several runs, after a question; exit code 1 where it failed with one.

    Args:
        verb: What is done, such as ``"cancel"``.
        do: Does it, or with ``True`` only says with which runs.
        options: What was given to `several_options`.
        as_json: Print a document.
    """
    if planned_runs(verb, do(True), options, as_json=as_json) is None:
        return 0
    found = run_async(do(False))
    if as_json:
        print_json(found)
        return FAILED if found.failed else 0
    for run_id in found.runs:
        echo(f"{verb} requested: {run_id}")
    return print_rest(found)


def print_rest(done: BulkDone) -> int:
    """Print with which runs something could not be done, and what is left; return the exit code."""
    for failure in done.failed:
        echo(f"{failure.run_id}: {failure.message}", err=True)
    if not done.runs and not done.failed:
        echo("no such run", err=True)
    if done.more:
        echo("there are more: give the command again", err=True)
    return FAILED if done.failed else 0
