"""The names of what there is, for a shell that completes them; no plugin is imported."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from qtforge_host import toml
from qtforge_host.api.nodes import open_nodes
from qtforge_host.api.plugins import installed_plugins
from qtforge_host.api.store import open_store
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.plugins.workflow_files import files_in

__all__ = ["NameKind", "known_names"]

NameKind = Literal[
    "events", "kinds", "nodes", "plugins", "pools", "runs", "schedules", "stages", "topics",
    "workflows",
]  # fmt: skip

_MOST_RUNS: Final = 200  # the newest
_MOST_FILES: Final = 2000  # definitions that are read
_MOST_BYTES: Final = 1 << 20
_MOST_SOURCES: Final = 200  # Python files of a plugin that are read
_MARKED: Final = re.compile(r"""^@(?:\w+\.)?workflow\(\s*["']([^"'\n]+)["']""", re.MULTILINE)
_TIMEOUT_S: Final = 3.0  # a shell waits for it


async def known_names(settings: Settings, kind: NameKind, run: str = "") -> Mapping[str, str]:
    """Return names, each with a few words about it.

    The names of workflows in Python are those that their sources spell out.

    Args:
        settings: The configuration.
        kind: What is named.
        run: The run of which the stages or events are wanted, or the beginning of its id.

    Raises:
        QtForgeError: The state directory can't be used, or there is no such run.
        TimeoutError: The journal does not answer in time.
    """
    match kind:
        case "events" | "nodes" | "pools" | "runs" | "stages":
            async with asyncio.timeout(_TIMEOUT_S):
                return await _journaled(settings, kind, run)
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


async def _journaled(
    settings: Settings, kind: Literal["events", "nodes", "pools", "runs", "stages"], run: str
) -> Mapping[str, str]:
    match kind:
        case "events":
            return await _events(settings, run)
        case "nodes":
            async with open_nodes(settings) as nodes:
                return {each.node: each.status for each in (await nodes.list()).nodes}
        case "pools":
            async with open_nodes(settings) as nodes:
                return {each.pool: each.status for each in (await nodes.pools()).pools}
        case "runs":
            return await _runs(settings)
        case "stages":
            return await _stages(settings, run)


async def _events(settings: Settings, run: str) -> Mapping[str, str]:
    """Return the events that a waiting run accepts."""
    async with open_store(settings) as store:
        seen = await store.show(await store.find(run))
    accepted = seen.state.accepts if seen.status == "waiting" else ()
    return dict.fromkeys(accepted, seen.state.workflow)


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
        if "qtforge_workflows" in installed.offers[one.key].hooks:
            yield from _python_workflows(Path(installed.offers[one.key].folder), one.name)
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


def _python_workflows(folder: Path, plugin: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the functions that a plugin's sources mark with ``@workflow``."""
    for file in itertools.islice(folder.rglob("*.py"), _MOST_SOURCES):
        try:
            if file.stat().st_size <= _MOST_BYTES:
                text = file.read_text(encoding="utf-8", errors="replace")
                yield from ((name, f"in Python, of {plugin}") for name in _MARKED.findall(text))
        except OSError:  # it was deleted meanwhile
            continue
