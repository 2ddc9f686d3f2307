"""Whether a state directory, its configuration and the installed plugins are sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from qtforge_host.api.documents import Finding
from qtforge_host.api.errors import ServeNotInstalledError
from qtforge_host.api.extras import SCHEDULES, check_installed
from qtforge_host.api.journals import REPAIR, damage_findings
from qtforge_host.api.lookup import open_journal
from qtforge_host.api.shared_checks import check_files, check_other_journal, check_placements
from qtforge_host.api.state_checks import (
    check_leftovers,
    check_permissions,
    check_references,
    check_runs,
    check_workflows,
    close_permissions,
)
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import PLUGIN_GROUP, Candidate
from qtforge_host.plugins.resolution import Installed, resolve_installed
from qtforge_host.run_files import RunFiles
from qtforge_sdk.errors import ConfigError, StorageError

__all__ = ["configuration_findings", "diagnose", "invalid_configuration", "repair"]

_SOUND: Final = ("active", "ready", "disabled")


async def diagnose(settings: Settings) -> list[Finding]:
    """Check the configuration, every record of every run, and the plugins; import no plugin.

    Args:
        settings: The configuration.
    """
    there = "" if settings.config_path.exists() else " (not there; the defaults are used)"
    installed = resolve_installed(settings, fresh=True)
    candidates = list(installed.resolution.candidates)
    found = await configuration_findings(settings)
    state = await _check_state(settings, candidates)
    if not any(each.part == "configuration" for each in (*found, *state)):
        what = f"{settings.config_path}{there}"
        found = [Finding(part="configuration", ok=True, what=what)]
    return [
        *found,
        *check_workflows(settings, candidates),
        *check_permissions(settings),
        *check_leftovers(settings),
        *state,
        *await check_files(settings),
        *_check_plugins(installed),
        *check_placements(settings),
    ]


async def configuration_findings(settings: Settings) -> list[Finding]:
    """Check what the configuration names, and its schedules; import no plugin."""
    candidates = list(resolve_installed(settings).resolution.candidates)
    return [
        *check_references(settings, candidates),
        *await _check_schedules(settings, candidates),
    ]


async def repair(settings: Settings) -> tuple[list[str], list[Finding]]:
    """Rebuild what follows from the records, and close the state directory to others.

    Args:
        settings: The configuration.

    Returns:
        What was repaired, and what could not be.
    """
    done: list[str] = []
    if count := close_permissions(settings):
        files = "file or folder" if count == 1 else "files and folders"
        done.append(f"only you can open {count} {files} of {settings.state_dir}")
    try:
        async with open_journal(settings) as journal:
            for each in await journal.repair():
                where = "" if each.run_id is None else f"the run {each.run_id}: "
                done.append(f"{where}{each.what}")
    except (StorageError, ConfigError) as error:
        what = f"it can't be repaired: {error.why}"
        return done, [Finding(part="journal", ok=False, what=what, fix=REPAIR)]
    return done, []


def invalid_configuration(error: ConfigError) -> Finding:
    """Return the finding for a configuration that can't be read, or is not valid."""
    what = f"{error.what}: {'; '.join(error.why.splitlines())}"
    return Finding(part="configuration", ok=False, what=what, fix=error.fix)


async def _check_schedules(
    settings: Settings, candidates: Sequence[Candidate]
) -> Sequence[Finding]:
    if not settings.schedules:
        return ()
    try:
        check_installed(SCHEDULES)
    except ServeNotInstalledError as error:
        what = f"schedules can't be used: {error.what}"
        return [Finding(part="configuration", ok=False, what=what, fix=error.fix)]
    from qtforge_host.api.schedule_checks import check_schedules  # it needs the extra

    return await check_schedules(settings, candidates)


async def _check_state(settings: Settings, candidates: Sequence[Candidate]) -> list[Finding]:
    part = "state directory"
    try:
        async with open_journal(settings) as journal:
            damages = await journal.check()
            try:
                stuck = [
                    *await check_runs(journal, settings, candidates),
                    *await check_other_journal(journal, settings),
                ]
            except StorageError:
                if not damages:
                    raise
                stuck = []  # the damage says why
            orphans = await RunFiles(settings.run_files_dir).orphans(journal)
    except StorageError as error:
        what = f"{error.what}: {error.why}" if error.why else error.what
        fix = "" if "doctor" in error.fix else error.fix
        return [Finding(part=part, ok=False, what=what, fix=fix, unusable=True)]
    except ConfigError as error:
        return [invalid_configuration(error)]
    found = [Finding(part=part, ok=True, what=str(settings.state_dir))]
    if not damages:
        found.append(Finding(part="journal", ok=True, what="every record is as it was written"))
    found += [*damage_findings(damages), *stuck]
    if orphans:
        several = f", and {len(orphans) - 1} more," if len(orphans) > 1 else ""
        what = f"{orphans[0]}{several} belongs to no run that is here"
        fix = "qtforge-host runs prune --older-than 1000d removes it, with runs that are as old"
        found.append(Finding(part="run files", ok=False, what=what, fix=fix))
    return found


def _check_plugins(installed: Installed) -> Iterator[Finding]:
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
