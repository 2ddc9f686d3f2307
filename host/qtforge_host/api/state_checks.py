"""What `doctor` checks beside the journal: what the configuration and runs refer to.

No plugin is imported: a name is known when it is a literal in the source of an installed plugin
or in a workflow's file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from qtforge_host.api.documents import Finding
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP, PLUGIN_GROUP, Candidate
from qtforge_host.plugins.declarations import source_folder
from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_status import UNFINISHED

__all__ = ["check_permissions", "check_references", "check_runs", "close_permissions"]

_MOST_FILES: Final = 20_000  # of the sources that are searched
_MOST_BYTES: Final = 1 << 20
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PYTHON: Final = "python"  # the kind of workflows that are functions


def check_references(settings: Settings, candidates: Sequence[Candidate]) -> Iterator[Finding]:
    """Find names in the configuration that nothing installed has.

    Args:
        settings: The configuration.
        candidates: Everything that is installed.
    """
    plugins = {each.name for each in candidates if each.group == PLUGIN_GROUP}
    for name in sorted(settings.plugins.keys() - plugins):
        what = (
            f"{settings.plugins[name].file} configures the plugin '{name}', which is not installed"
        )
        yield _wrong("configuration", what, "install it, or remove its table")
    workflows = {schedule.workflow for schedule in settings.schedules.values()}
    known = _literals(workflows | settings.topics.keys(), settings, candidates)
    for name, schedule in sorted(settings.schedules.items()):
        if schedule.workflow not in known:
            what = (
                f"the schedule '{name}' starts the workflow '{schedule.workflow}', which is missing"
            )
            yield _wrong("configuration", what, "qtforge-host workflows list shows those there are")
    for topic in sorted(settings.topics.keys() - known):
        what = f"the policies of the topic '{topic}' are for nothing: no plugin answers it"
        yield _wrong("configuration", what, "qtforge-host bus topics shows those there are")


async def check_runs(
    journal: Journal, settings: Settings, candidates: Sequence[Candidate]
) -> Sequence[Finding]:
    """Find unfinished runs that can't be resumed, since their workflow or its kind is gone.

    Args:
        journal: The open journal.
        settings: The configuration.
        candidates: Everything that is installed.
    """
    counts: dict[str, int] = {}
    for (workflow, status), count in (await journal.statistics()).runs.items():
        if status in UNFINISHED:
            counts[workflow] = counts.get(workflow, 0) + count
    known = _literals(counts.keys(), settings, candidates)
    kinds = {each.name for each in candidates if each.group == ORCHESTRATOR_GROUP} | {_PYTHON}
    found = []
    for workflow, count in sorted(counts.items()):
        query = RunQuery(workflow=workflow, statuses=UNFINISHED, limit=1)
        for run in await journal.runs(query):
            (started, *_) = await journal.records(run.run_id, limit=1)
            in_python = isinstance(started, RunStarted) and started.definition is None
            if run.kind in kinds and not (in_python and workflow not in known):
                continue
            gone = f"the kind '{run.kind}' of" if run.kind not in kinds else ""
            what = (
                f"{count} unfinished run{'s' if count > 1 else ''}, such as {run.run_id}, can't be"
                f" resumed: {gone} the workflow '{workflow}' is not installed"
            )
            fix = f"install its plugin again, or qtforge-host runs cancel {run.run_id}"
            found.append(_wrong("runs", what.replace("  ", " "), fix))
    return found


def check_permissions(settings: Settings) -> Iterator[Finding]:
    """Find files of the state directory that other users can open, and a configuration likewise."""
    open_paths = list(_open_paths(settings.state_dir))
    if open_paths:
        more = f", and {len(open_paths) - 1} more" if len(open_paths) > 1 else ""
        what = f"other users can open {open_paths[0]}{more}"
        yield _wrong("permissions", what, "qtforge-host doctor --repair lets only you open them")
    for path in (settings.config_path, settings.secrets_path):
        if _mode(path) & (stat.S_IWGRP | stat.S_IWOTH):
            yield _wrong("permissions", f"other users can change {path}", f"chmod go-w {path}")


def close_permissions(settings: Settings) -> int:
    """Let only the owner open the files of the state directory; return how many were changed."""
    count = 0
    for path in list(_open_paths(settings.state_dir)):
        try:
            path.chmod(_mode(path) & ~_OTHERS)
        except OSError:  # another user's: it is found again
            continue
        count += 1
    return count


def _open_paths(folder: Path) -> Iterator[Path]:
    """Give the folder, and what is in it, where others than the owner have any permission."""
    if os.name != "posix" or not folder.is_dir() or not _mode(folder) & _OTHERS:
        return  # what is in a closed folder is closed
    yield folder
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink() and _mode(path) & _OTHERS:
                yield path


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        return 0


def _wrong(part: str, what: str, fix: str) -> Finding:
    return Finding(part=part, ok=False, what=what, fix=fix)


def _literals(
    names: Iterable[str], settings: Settings, candidates: Sequence[Candidate]
) -> set[str]:
    """Return those names that are literals in plugins' sources or in workflow files.

    All of them, where a plugin's source can't be read: what it has is then not known.
    """
    wanted = {name: (f'"{name}"'.encode(), f"'{name}'".encode()) for name in names}
    found: set[str] = set()
    folders = {settings.config_path.parent / "workflows"} if wanted else set()
    for candidate in candidates if wanted else ():
        folder = source_folder(candidate)
        if folder is None:
            return set(wanted)
        folders.add(folder)
    for number, path in enumerate(_sources(folders)):
        if number >= _MOST_FILES:
            return set(wanted)
        try:
            text = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        except OSError:
            continue
        found |= {
            name
            for name, literals in wanted.items()
            if name not in found and any(each in text for each in literals)
        }
        if len(found) == len(wanted):
            break
    return found


def _sources(places: Iterable[Path]) -> Iterator[Path]:
    for place in sorted(places):
        if place.is_file():
            yield place
        for suffix in ("py", "toml"):
            yield from sorted(place.rglob(f"*.{suffix}"))
