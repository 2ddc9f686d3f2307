"""The names of what there is, for a shell that completes them; no plugin is imported."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from qtforge_host import toml
from qtforge_host.api.plugins import installed_plugins
from qtforge_host.api.store import open_store
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.plugins.workflow_files import files_in

__all__ = ["NameKind", "known_names"]

NameKind = Literal["kinds", "plugins", "runs", "schedules", "stages", "topics", "workflows"]

_MOST_RUNS: Final = 200  # the newest
_MOST_FILES: Final = 2000  # definitions that are read
_MOST_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 3.0  # a shell waits for it


async def known_names(settings: Settings, kind: NameKind, run: str = "") -> Mapping[str, str]:
    """Return names, each with a few words about it; workflows in Python are not among them.

    Args:
        settings: The configuration.
        kind: What is named.
        run: The run of which the stages are wanted, or the beginning of its id.

    Raises:
        QtForgeError: The state directory can't be used, or there is no such run.
        TimeoutError: The journal does not answer in time.
    """
    match kind:
        case "runs" | "stages":
            async with asyncio.timeout(_TIMEOUT_S):
                return await (_runs(settings) if kind == "runs" else _stages(settings, run))
        case "plugins":
            return {each.name: each.state for each in installed_plugins(settings).plugins}
        case "schedules":
            return {name: each.workflow for name, each in settings.schedules.items()}
        case "workflows":
            return dict(_workflows(settings))
        case "topics":
            installed = resolve_installed(settings)
            return {
                topic: one.name
                for one in installed.resolution.accepted
                for topic in sorted(installed.offers[one.key].topics)
            }
        case "kinds":
            candidates = resolve_installed(settings).resolution.candidates
            kinds = (one for one in candidates if one.group == ORCHESTRATOR_GROUP)
            return {one.name: one.distribution for one in kinds}


async def _runs(settings: Settings) -> Mapping[str, str]:
    async with open_store(settings) as store:
        listed = await store.list(limit=_MOST_RUNS)
    return {each.run_id: f"{each.workflow}, {each.status}" for each in listed.runs}


async def _stages(settings: Settings, run: str) -> Mapping[str, str]:
    async with open_store(settings) as store:
        seen = await store.show(await store.find(run))
    return {name: step.status for name, step in seen.state.steps.items()}


def _workflows(settings: Settings) -> Iterator[tuple[str, str]]:
    installed = resolve_installed(settings)
    resolution, files = installed.resolution, list[Path]()
    for one in resolution.accepted:
        patterns = resolution.declarations[one.key].workflows
        folder = installed.offers[one.key].folder if patterns else ""
        files += files_in(Path(folder), patterns) if folder else []
    own = sorted((settings.config_path.parent / "workflows").glob("*.toml"))
    for file in itertools.islice((*files, *own), _MOST_FILES):
        try:
            text = file.read_text(encoding="utf-8") if file.stat().st_size <= _MOST_BYTES else ""
            table = toml.read(text)
        except (OSError, ValueError):  # 'workflows list' says what is wrong with it
            continue
        name = table.get("name")
        if isinstance(name, str):
            yield name, str(table.get("description", ""))
