"""What `doctor` checks where runs are shared: that nothing has two truths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from qtforge_host.api.documents import Finding
from qtforge_host.api.lookup import open_journal
from qtforge_host.config.secrets import SecretStore
from qtforge_host.config.settings import Settings
from qtforge_host.journal.database import JOURNAL_FILE
from qtforge_host.placements import known_placements
from qtforge_host.plugins.extensions import load_files
from qtforge_sdk.errors import QtForgeError, StorageError
from qtforge_sdk.journal import Journal, RunQuery, RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.run_status import UNFINISHED
from qtforge_sdk.secrets import Secrets

__all__ = ["check_files", "check_other_journal", "check_placements"]

_LOCAL: Final = "sqlite"
_LOOKED_AT: Final = 1000  # unfinished runs of the other journal
_PART: Final = "journal"
_LONGEST_S: Final = 10.0  # for an answer of an object store


async def check_other_journal(journal: Journal, settings: Settings) -> Sequence[Finding]:
    """Find unfinished runs in the state directory's journal, where another one is configured.

    Nothing continues them; and those that were copied would be executed twice, by a process that
    is started without the option that names the other journal.

    Args:
        journal: The configured journal, open.
        settings: The configuration.
    """
    path = settings.state_dir / "runs" / JOURNAL_FILE
    if settings.journal_name == _LOCAL or not path.is_file():
        return ()
    try:
        async with open_journal(settings.with_journal(_LOCAL)) as other:
            query = RunQuery(statuses=UNFINISHED, limit=_LOOKED_AT)
            runs = await other.runs(query)
    except StorageError as error:
        what = f"the journal {path}, which is not the configured one, can't be read: {error.why}"
        return [Finding(part=_PART, ok=False, what=what, fix=error.fix)]
    only_there: list[RunSummary] = []
    copied: list[RunSummary] = []
    for run in runs:
        (copied if await _has(journal, run.run_id) else only_there).append(run)
    return list(_findings(only_there, copied, settings))


def check_placements(settings: Settings) -> Iterator[Finding]:
    """Find data of plugins that are on another node, too, since one node is to hold them.

    Args:
        settings: The configuration.
    """
    for name, node in sorted(known_placements(settings.state_dir).items()):
        folder = settings.state_dir / "plugins" / name
        if folder.is_dir() and any(folder.iterdir()):
            what = (
                f"the data of '{name}' are on the node {node}, and {folder} has other data:"
                " they are two truths"
            )
            fix = f"take over what is needed from {folder}, then move it away"
            yield Finding(part="plugins", ok=False, what=what, fix=fix)


async def check_files(settings: Settings) -> Sequence[Finding]:
    """Find whether the files of plugins can be read, where they are shared.

    Args:
        settings: The configuration.
    """
    if not settings.files:
        return ()
    if settings.files_folder is not None and (why := _unusable(settings.files_folder)):
        what = f"{settings.files_folder} can't be used: {why}"
        return [Finding(part="files", ok=False, what=what, fix="change [host] files")]
    settings = replace(settings, files_timeout_s=min(settings.files_timeout_s, _LONGEST_S))
    secrets = Secrets(SecretStore(settings.secrets_path, os.environ).find)
    try:
        files = load_files(settings, secrets)("doctor", settings.state_dir / "plugins" / "doctor")
        await files.list(limit=1)
    except QtForgeError as error:
        why = f": {error.why}" if error.why else ""
        what = secrets.mask(f"{settings.shown_files} can't be used: {error.what}{why}")
        return [Finding(part="files", ok=False, what=what, fix=error.fix)]
    return [Finding(part="files", ok=True, what=settings.shown_files)]


def _unusable(folder: Path) -> str:
    """Return why a folder, which is made when it is needed, can't be used, or ""."""
    # One that may not be looked at counts as not there.
    there = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    is_sound = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return "" if is_sound else f"{there} is no folder that can be written"


async def _has(journal: Journal, run_id: str) -> bool:
    try:
        await journal.summary(run_id)
    except RunNotFoundError:
        return False
    return True


def _findings(
    only_there: Sequence[RunSummary], copied: Sequence[RunSummary], settings: Settings
) -> Iterator[Finding]:
    folder = settings.state_dir / "runs"
    where = f"the journal of {folder}, but the configured one is {settings.shown_journal}"
    if only_there:
        what = f"{_named(only_there)} only in {where}: nothing continues"
        fix = f"qtforge-host journal copy sqlite {settings.shown_journal}, or --journal sqlite"
        them = "it" if len(only_there) == 1 else "them"
        yield Finding(part=_PART, ok=False, what=f"{what} {them}", fix=fix)
    if copied:
        what = (
            f"{_named(copied)} also in {where}: a process without --journal would execute"
            f" {'it' if len(copied) == 1 else 'them'} a second time"
        )
        fix = f"move {folder} away once every process uses {settings.shown_journal}"
        yield Finding(part=_PART, ok=False, what=what, fix=fix)


def _named(runs: Sequence[RunSummary]) -> str:
    if len(runs) == 1:
        return f"the unfinished run {runs[0].run_id} is"
    many = f"{_LOOKED_AT:,} or more" if len(runs) >= _LOOKED_AT else f"{len(runs):,}"
    return f"{many} unfinished runs, such as {runs[0].run_id}, are"
