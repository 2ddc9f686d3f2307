"""What `doctor` checks beside the journal: what the configuration and runs refer to.

No plugin is imported: a name is known when it is a literal in the source of an installed plugin
or in a workflow's file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from qtforge_host.api.documents import Finding
from qtforge_host.config.permissions import changeable_by_others, readable_by_others
from qtforge_host.config.settings import Settings
from qtforge_host.journal.backup import RESTORE
from qtforge_host.journal.work_folder import abandoned
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP, PLUGIN_GROUP, Candidate
from qtforge_host.plugins.declarations import source_folder
from qtforge_host.workflows.catalog import read_header
from qtforge_host.workflows.definitions import Problem
from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_status import UNFINISHED

__all__ = [
    "check_leftovers",
    "check_permissions",
    "check_references",
    "check_runs",
    "check_workflows",
    "close_permissions",
]

_MOST_FILES: Final = 20_000  # of the sources that are searched
_MOST_BYTES: Final = 1 << 20
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
Pattern = Mapping[str, re.Pattern[bytes]]
"""What to look for in a source, by the suffix of its file."""
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
    known = _workflows(workflows, settings, candidates)
    for name, schedule in sorted(settings.schedules.items()):
        if schedule.workflow not in known:
            what = (
                f"the schedule '{name}' starts the workflow '{schedule.workflow}', which is missing"
            )
            yield _wrong("configuration", what, "qtforge-host workflows list shows those there are")
    topics = _literals(settings.topics.keys(), settings, candidates)
    for topic in sorted(settings.topics.keys() - topics):
        what = f"the policies of the topic '{topic}' are for nothing: no plugin answers it"
        yield _wrong("configuration", what, "qtforge-host bus topics shows those there are")


def check_workflows(settings: Settings, candidates: Sequence[Candidate]) -> Iterator[Finding]:
    """Find files of the folder ``workflows`` that can't be used, and say what is not checked.

    The keys of a kind are its orchestrator's matter, which is not imported: ``workflows list``
    and ``workflows validate`` check them.

    Args:
        settings: The configuration.
        candidates: Everything that is installed.
    """
    kinds, sound = _kinds(candidates), 0
    for path in sorted((settings.config_path.parent / "workflows").glob("*.toml")):
        problems = read_header(path, kinds).problems
        if problems:
            fix = problems[0].fix or "qtforge-host workflows list shows what is wrong"
            yield _wrong("workflows", "; ".join(map(_without_fix, problems)), fix)
        else:
            sound += 1
    if sound:
        files = "1 file is" if sound == 1 else f"{sound:,} files are"
        what = (
            f"{files} valid TOML with a known kind; what a kind has besides, and expressions, are"
            " not checked here, since no plugin is imported: qtforge-host workflows list does it"
        )
        yield Finding(part="workflows", ok=True, what=what)


def _without_fix(problem: Problem) -> str:
    return str(replace(problem, fix=""))


def _kinds(candidates: Iterable[Candidate]) -> set[str]:
    return {each.name for each in candidates if each.group == ORCHESTRATOR_GROUP}


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
    known = _workflows(counts.keys(), settings, candidates)
    kinds = _kinds(candidates) | {_PYTHON}
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
    for path in changeable_by_others(settings.config_path):
        what = f"other users can change {path}"
        yield _wrong("permissions", what, f"chmod go-w {path}, and let it be yours")
    if readable_by_others(settings.secrets_path):
        what = f"other users can open {settings.secrets_path}, so it is not used"
        yield _wrong("permissions", what, f"chmod 600 {settings.secrets_path}")


def check_leftovers(settings: Settings) -> Iterator[Finding]:
    """Find what a restore that was ended in its middle has left."""
    for folder in abandoned(settings.state_dir, RESTORE):
        what = f"a restore did not end: its files are left in {folder}"
        fix = "qtforge-host journal restore FILE --replace does it again, and removes them"
        yield _wrong("state directory", what, fix)


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


def _workflows(
    names: Iterable[str], settings: Settings, candidates: Sequence[Candidate]
) -> set[str]:
    """Return those names that a definition has, or that the source of a workflow defines."""

    def pattern(name: str) -> Pattern:
        # In TOML the name stands before the first table. In Python it is in ``@workflow("it")``,
        # in a constant for it, or in the text of a definition.
        quoted = _quoted(name)
        return {
            ".toml": re.compile(rb"\A(?:[^\[\n][^\n]*\n|\n)*name\s*=\s*" + quoted),
            ".py": re.compile(
                rb"(?:\bworkflow\s*\(\s*|\bname\s*=\s*|^\s*\w+(?:\s*:[^=\n]+)?\s*=\s*)" + quoted,
                re.MULTILINE,
            ),
        }

    return _found({name: pattern(name) for name in names}, settings, candidates, rb"\bworkflows?\b")


def _literals(
    names: Iterable[str], settings: Settings, candidates: Sequence[Candidate]
) -> set[str]:
    """Return those names that are literals in plugins' sources or in workflow files."""
    patterns = {name: re.compile(_quoted(name)) for name in names}
    wanted = {name: {".toml": each, ".py": each} for name, each in patterns.items()}
    return _found(wanted, settings, candidates, b"")


def _quoted(name: str) -> bytes:
    text = re.escape(name.encode())
    return rb"(?:\"" + text + rb"\"|'" + text + rb"')"


def _found(
    wanted: Mapping[str, Pattern],
    settings: Settings,
    candidates: Sequence[Candidate],
    python_has: bytes,
) -> set[str]:
    """Return the names whose pattern is in a source; in Python only where ``python_has`` is too.

    All of them, where a plugin's source can't be read: what it has is then not known.
    """
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
        if path.suffix == ".py" and re.search(python_has, text) is None:
            continue
        found |= {
            name
            for name, pattern in wanted.items()
            if name not in found and pattern[path.suffix].search(text) is not None
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
