"""``qtforge-host doctor``: whether the state directory, configuration and plugins are sound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from qtforge_host.api.doctor import (
    check_permissions,
    check_references,
    check_runs,
    close_permissions,
)
from qtforge_host.api.documents import DoctorDocument, Finding
from qtforge_host.api.lookup import open_journal
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.session import Session
from qtforge_host.plugins.candidates import PLUGIN_GROUP, Candidate
from qtforge_host.plugins.resolution import Installed, resolve_installed
from qtforge_host.run_files import RunFiles
from qtforge_sdk.errors import ConfigError, StateDirectoryError
from qtforge_sdk.journal import Damage, Repair

__all__ = ["doctor"]

_MANY: Final = 20  # a store may hold millions of records
_RESTORE: Final = (
    "qtforge-host doctor --repair, where it is no record; else restore the state directory from a"
    " copy; other runs are not touched by it"
)
_SOUND: Final = ("active", "ready", "disabled")


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="First make again what follows from the records, and close the state directory to others.",
)
@json_option
@click.pass_obj
def doctor(session: Session, repair: bool, as_json: bool) -> int:
    """Check the configuration, every record of every run, and the plugins. Imports no plugin.

    With --repair: indexes, lists of runs, timers and messages are made again where they do not
    fit the records. No record is ever changed.

    Exit code 1 when something is wrong, 4 when the state directory can't be used.
    """
    repairs: list[str] | msgspec.UnsetType = msgspec.UNSET
    failures: list[Finding] = []
    if repair:
        repairs, failures = _repair(session)
    found = [*failures, *_examine(session)]
    if as_json:
        ok = all(each.ok for each in found)
        print_json(DoctorDocument(ok=ok, findings=found, repairs=repairs))
    else:
        for what in repairs or ():
            click.echo(f"{state('ok')}  repaired: {what}")
        for each in found:
            _print(each)
    if any(each.unusable for each in found):
        return StateDirectoryError.exit_code
    return 0 if all(each.ok for each in found) else FAILED


def _repair(session: Session) -> tuple[list[str], list[Finding]]:
    """Return what was repaired, and what could not be."""
    try:
        settings = session.settings
    except ConfigError:
        return [], []  # it is reported by the check
    done: list[str] = []
    if count := close_permissions(settings):
        files = "file or folder" if count == 1 else "files and folders"
        done.append(f"only you can open {count} {files} of {settings.state_dir}")

    async def repaired() -> Sequence[Repair]:
        async with open_journal(settings) as journal:
            return await journal.repair()

    try:
        for each in asyncio.run(repaired()):
            done.append(each.what if each.run_id is None else f"the run {each.run_id}: {each.what}")
    except (StateDirectoryError, ConfigError) as error:
        what = f"it can't be repaired: {error.why}"
        return done, [Finding(part="journal", ok=False, what=what, fix=_RESTORE)]
    return done, []


def _examine(session: Session) -> Iterator[Finding]:
    try:
        settings = session.settings
    except ConfigError as error:  # without it, neither of the other two is known
        yield Finding(
            part="configuration", ok=False, what=f"{error.what}: {error.why}", fix=error.fix
        )
        return
    there = "" if settings.config_path.exists() else " (not there; the defaults are used)"
    yield Finding(part="configuration", ok=True, what=f"{settings.config_path}{there}")
    installed = resolve_installed(settings)
    candidates = list(installed.resolution.candidates)
    yield from check_references(settings, candidates)
    yield from check_permissions(settings)
    yield from _state(session, candidates)
    yield from _plugins(installed)


def _state(session: Session, candidates: Sequence[Candidate]) -> Iterator[Finding]:
    directory = session.settings.state_dir
    part = "state directory"
    try:
        damages, orphans, stuck = asyncio.run(_check(session, candidates))
    except StateDirectoryError as error:
        what = f"{error.what}: {error.why}" if error.why else error.what
        fix = "" if "doctor" in error.fix else error.fix
        yield Finding(part=part, ok=False, what=what, fix=fix, unusable=True)
        return
    except ConfigError as error:
        yield Finding(
            part="configuration", ok=False, what=f"{error.what}: {error.why}", fix=error.fix
        )
        return
    yield Finding(part=part, ok=True, what=str(directory))
    if not damages:
        yield Finding(part="journal", ok=True, what="every record is as it was written")
    for each in damages[:_MANY]:
        yield _damage(each)
    yield from stuck
    if orphans:
        several = f", and {len(orphans) - 1} more," if len(orphans) > 1 else ""
        what = f"{orphans[0]}{several} belongs to no run that is here"
        fix = "qtforge-host runs prune --older-than 1000d removes it, with runs that are as old"
        yield Finding(part="run files", ok=False, what=what, fix=fix)
    if len(damages) > _MANY:
        runs = len({each.run_id for each in damages if each.run_id is not None})
        what = f"and {len(damages) - _MANY} more findings, {len(damages)} in {runs} runs in all"
        yield Finding(part="journal", ok=False, what=what, fix=_RESTORE)


async def _check(
    session: Session, candidates: Sequence[Candidate]
) -> tuple[Sequence[Damage], Sequence[Path], Sequence[Finding]]:
    settings = session.settings
    files = RunFiles.of(settings.state_dir)
    async with open_journal(settings) as journal:
        damages = await journal.check()
        try:
            stuck = await check_runs(journal, settings, candidates)
        except StateDirectoryError:
            if not damages:
                raise
            stuck = ()  # the damage says why
        return damages, await files.orphans(journal), stuck


def _damage(damage: Damage) -> Finding:
    where = "" if damage.run_id is None else f"the run {damage.run_id}: "
    where += "" if damage.position is None else f"record {damage.position}: "
    return Finding(
        part="journal",
        ok=False,
        what=f"{where}{damage.what}",
        fix=_RESTORE,
        run_id=damage.run_id,
        record=damage.position,
    )


def _plugins(installed: Installed) -> Iterator[Finding]:
    candidates = [one for one in installed.resolution.candidates if one.group == PLUGIN_GROUP]
    faults = 0
    for candidate in sorted(candidates, key=lambda one: one.key):
        status = installed.resolution.statuses[candidate.key]
        if status.state not in _SOUND:
            faults += 1
            what = f"{candidate.name} ({candidate.distribution}) is {status.state}: {status.reason}"
            yield Finding(part="plugins", ok=False, what=what, fix=status.fix)
    for problem in installed.problems:
        faults += 1
        what = f"{problem.where}: {problem.reason}"
        yield Finding(part="plugins", ok=False, what=what, fix=problem.fix)
    if not faults:
        yield Finding(part="plugins", ok=True, what=f"{len(candidates)} found, all fit")


def _print(finding: Finding) -> None:
    click.echo(f"{state('ok' if finding.ok else 'wrong')}  {finding.part}: {finding.what}")
    if finding.fix:
        click.echo(f"  fix: {finding.fix}")
