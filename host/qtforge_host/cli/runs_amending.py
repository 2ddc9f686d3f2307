"""``qtforge-host runs amend``: changes a run's definition, in the order of the options."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from qtforge_host.app import Host
from qtforge_host.cli.data import run_async
from qtforge_host.cli.inputs import parse_assignment
from qtforge_host.cli.output import document, json_option, print_json
from qtforge_host.cli.runs_journal import duration_option, find_run
from qtforge_host.cli.runs_messages import BY, answered, message, now, refuse_ended
from qtforge_host.cli.session import Session
from qtforge_host.journals import Durable
from qtforge_host.runs.amending import Amended, as_document
from qtforge_host.runs.amending import amend as amended
from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.history import History
from qtforge_host.runs.outcome import fold
from qtforge_host.runs.patches import Operation, PatchBuilder
from qtforge_sdk import Record
from qtforge_sdk.errors import AmendmentRefusedError
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import AmendmentRefused, RunAmended

__all__ = ["amend"]

_CHANGES: Final = ("patch", "insert_after", "replace", "remove", "skip", "set")
_ORDER: Final = "qtforge_host.cli.runs_amending.order"

Change = tuple[str, Any]
"""The option's name, and its value."""

_file = click.Path(path_type=Path, dir_okay=False)
_stage_and_file = click.Tuple([str, _file])


class _InOrder(click.Command):
    """Keeps the order of the options, which click does not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [each.name for each in order if each.name in _CHANGES]
        return super().parse_args(ctx, args)


@click.command(cls=_InOrder)
@click.argument("run")
@click.option("--patch", multiple=True, type=_file, help="A JSON Patch (RFC 6902).")
@click.option(
    "--insert-after", multiple=True, type=_stage_and_file, metavar="STAGE FILE",
    help="Put a new stage behind STAGE; FILE is its table in TOML.",
)  # fmt: skip
@click.option(
    "--replace", multiple=True, type=_stage_and_file, metavar="STAGE FILE",
    help="Put the stage of FILE in its place.",
)  # fmt: skip
@click.option("--remove", multiple=True, metavar="STAGE", help="Take the stage out.")
@click.option("--skip", multiple=True, metavar="STAGE", help="Leave the stage out when it comes.")
@click.option(
    "--set", multiple=True, metavar="STAGE.KEY=VALUE", help="Set a key, such as work.timeout=60s."
)
@click.option("--reason", default="", help="Why, for the run's history.")
@click.option("--wait", default="10s", show_default=True, help="How long to wait for its effect.")
@json_option
@click.pass_context
def amend(
    ctx: click.Context, /, run: str, reason: str, wait: str, as_json: bool, **options: Any
) -> None:
    """Change what is still to come in a run; what has begun stays as it is.

    Several changes may be given; each is made on top of those before it. All are checked
    first, and made together or not at all. They take effect at the run's next step.
    """
    session: Session = ctx.obj
    wait_s = duration_option("--wait", wait).total_seconds()
    changes = list(_changes(ctx.meta[_ORDER], options))
    if not changes:
        raise click.UsageError("give a change, such as --skip STAGE")

    async def main() -> tuple[str, list[Operation], RunAmended | AmendmentRefused | None]:
        async with Host(session.settings) as host:
            durable = await host.durable()
            run_id = await find_run(durable.journal, run)
            return run_id, *await _amend(durable, run_id, changes, reason, wait_s)

    run_id, patch, answer = run_async(main())
    if isinstance(answer, AmendmentRefused):
        raise AmendmentRefusedError(run_id, answer.reason, "change what is still to come")
    if as_json:
        print_json(document(run_id=run_id, amended=answer is not None, patch=patch))
    elif answer is not None:
        click.echo(f"the run {run_id} is amended")
    if answer is None:
        click.echo(f"it is asked, and has not followed within {wait}; it will", err=True)


def _changes(order: Sequence[str], options: dict[str, Any]) -> Iterator[Change]:
    """Give the changes in the order in which they were typed, with their files read."""
    values = {name: iter(options[name]) for name in _CHANGES}
    for name in order:
        value = next(values[name])
        if name == "patch":
            yield name, _patch_of(value)
        elif name in ("insert_after", "replace"):
            yield name, (value[0], _stage_of(value[1]))
        elif name == "set":
            keys, given = parse_assignment(value)
            if len(keys) < 2:
                raise click.UsageError(f"--set takes STAGE.KEY=VALUE, and this is '{value}'")
            yield name, (keys[0], keys[1:], given)
        else:
            yield name, (value,)


def _patch_of(path: Path) -> list[Any]:
    try:
        return msgspec.json.decode(_read(path), type=list[Any])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--patch {path}: it is no list of JSON: {error}") from error


def _stage_of(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(_read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: it is not TOML: {error}") from error
    if list(table) == ["stages"] and isinstance(table["stages"], list):
        if len(table["stages"]) != 1:
            raise click.UsageError(f"{path}: it must hold one stage")
        return dict(table["stages"][0])
    return table


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror or error}") from error


def _patch(run_id: str, workflow: Workflow, changes: Sequence[Change]) -> list[Operation]:
    builder = PatchBuilder(run_id, as_document(workflow.definition))
    for name, value in changes:
        if name == "patch":
            builder.extend(value)
        else:
            getattr(builder, name)(*value)
    return builder.operations


def _checked(
    durable: Durable, run_id: str, records: Sequence[Record], patch: Sequence[Operation] | None,
    changes: Sequence[Change],
) -> tuple[list[Operation], Amended]:  # fmt: skip
    workflows = durable.engine.workflows
    workflow = workflows.recorded(History.of(records))
    made = list(patch) if patch is not None else _patch(run_id, workflow, changes)
    steps = fold(run_id, records).steps
    return made, amended(run_id, workflow, made, steps, workflows.check)


async def _amend(
    durable: Durable, run_id: str, changes: Sequence[Change], reason: str, wait_s: float
) -> tuple[list[Operation], RunAmended | AmendmentRefused | None]:
    journal = durable.journal
    records = await journal.records(run_id)
    refuse_ended(run_id, records)
    patch, _ = _checked(durable, run_id, records, None, changes)  # a refusal is immediate
    asked = message("amend", data={"patch": patch, "reason": reason})
    try:
        ownership = await journal.claim(run_id)
    except RunOwnedError:
        await journal.post(run_id, asked)

        def settled(records: Sequence[Record]) -> RunAmended | AmendmentRefused | None:
            answers = (each for each in records if isinstance(each, RunAmended | AmendmentRefused))
            return next((each for each in answers if each.message_id == asked.message_id), None)

        return patch, await answered(journal, run_id, wait_s, settled)
    try:
        records = await journal.records(run_id)
        refuse_ended(run_id, records)
        _, (_, definition) = _checked(durable, run_id, records, patch, changes)
        answer = RunAmended(
            run_id=run_id, at=now(), patch=patch, definition=definition, by=BY, reason=reason,
            message_id=asked.message_id,
        )  # fmt: skip
        await journal.append(ownership, [answer])
    finally:
        await journal.release(ownership)
    return patch, answer
