"""What the authors of plugins ask for: checks, and schemas for their editors."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.api.client import RunClient
from qtforge_host.api.code_changes import runs_to_replay
from qtforge_host.api.documents import PluginChecks
from qtforge_host.api.parts import Parts
from qtforge_host.api.store import EXPORT_SUFFIX, RunStore
from qtforge_host.config.settings import Settings
from qtforge_host.plugin_check.check import PluginChecker
from qtforge_host.plugins.declarations import source_folder
from qtforge_host.plugins.discovery import scan
from qtforge_host.schema_files import config_schema_path, refresh_schema

__all__ = ["check_plugins", "exported_runs", "plugins_with", "refresh_config_schema"]

_MOST_RUNS: Final = 500


def check_plugins(
    targets: Sequence[str],
    config: Path | None,
    commands: Sequence[str] = (),
    exports: Sequence[Path] | None = None,
) -> PluginChecks:
    """Check plugins as their authors do; see `qtforge_host.plugin_check.check.PluginChecker`.

    Args:
        targets: Names of installed plugins, folders of projects, and wheels.
        config: The host's configuration file; None for the default.
        commands: The host's own commands, which a plugin can't have.
        exports: What `exported_runs` has written, to replay runs too; None to replay none.

    Raises:
        CheckTargetError: There is no such target.
        PackageError: A project can't be built, or a wheel can't be read.
    """
    checker = PluginChecker(config, commands, exports)
    reports = [checker.check(target) for target in targets]
    found = [each.level for report in reports for each in report.findings]
    errors = found.count("error")
    return PluginChecks(targets=reports, errors=errors, advice=len(found) - errors)


async def exported_runs(settings: Settings, folder: Path) -> Sequence[Path]:
    """Write the newest unfinished runs to a folder, for `check_plugins`; return their files.

    Args:
        settings: The configuration; it says where the runs are.
        folder: An empty folder.

    Raises:
        StorageError: The journal can't be read.
    """
    found: list[Path] = []
    parts = Parts(settings)
    try:
        store = RunStore(parts)
        runs = runs_to_replay(await parts.journal())
        async with contextlib.aclosing(runs):
            async for each in runs:
                file = folder / f"{each.run_id}{EXPORT_SUFFIX}"
                file.write_bytes(await store.export(each.run_id))
                found.append(file)
                if len(found) == _MOST_RUNS:
                    break
    finally:
        await parts.close()
    return found


def plugins_with(files: Collection[Path]) -> list[str]:
    """Return the installed distributions, besides the host's, that have plugins made of files.

    Args:
        files: Absolute paths, of which some may not exist any more.
    """
    found: dict[str, None] = {}
    for each in scan().candidates:
        if each.builtin or each.distribution in found:
            continue
        source = source_folder(each)
        if source is not None and any(file.is_relative_to(source.resolve()) for file in files):
            found[each.distribution] = None
    return sorted(found)


async def refresh_config_schema(settings: Settings) -> Path:
    """Write the JSON Schema of the configuration beside it, where it has changed.

    All plugins are started for it, with an empty state directory: what fails is not remembered.

    Raises:
        SchemaFileError: It can't be written.
    """
    path = config_schema_path(settings.config_path)
    with tempfile.TemporaryDirectory(prefix="qtforge-schema-") as folder:
        settings = msgspec.structs.replace(settings, state_dir=Path(folder))
        async with RunClient.of_settings(settings, by="the command line") as client:
            schema = await client.host.config_schema()
    refresh_schema(path, schema)
    return path
