"""What a target's code does with runs that began with an earlier version of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from qtforge_host.app import Host
from qtforge_host.plugin_check.findings import Finding, attributed
from qtforge_host.plugin_check.job import Job
from qtforge_host.plugin_code import clean_text
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP, Candidate
from qtforge_host.runs.replay_check import Replayer
from qtforge_host.runs.state import RunState
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_kit.archive import Archive, unpack

__all__ = ["replay_runs"]

_FIX = "keep the old steps in the else of 'if await run.patched(\"what changes\"):'"


async def replay_runs(
    host: Host, plugins: Sequence[Candidate], job: Job
) -> tuple[list[Finding], int]:
    """Replay runs against a target's code; nothing is requested.

    Of the journal's runs, those that execute code of the target: its workflows in Python, and
    those of its kinds. The definitions of other workflows are in the journal.

    Args:
        host: A host with the target.
        plugins: What is checked.
        job: The step; it names the files of exported runs.

    Returns:
        The findings, and how many runs were replayed.
    """
    if not plugins or not (job.exports or job.kept):
        return [], 0
    workflows, kinds = _own(host, plugins)
    replayer = Replayer(host.bus, host.expressions, host.recorded_workflows())
    found: list[Finding] = []
    count = 0
    for name in (*job.kept, *job.exports):
        is_kept = name in job.kept
        finding = Finding(level="error", code="", what="", file=name if is_kept else "")
        try:
            run = await asyncio.to_thread(_read, name)
            state = RunState.from_records(run.run_id, run.decoded)
            kind = "" if state.started is None else state.started.kind
            if not is_kept and state.workflow not in workflows and kind not in kinds:
                continue
            count += 1
            replayed = await replayer.replay(run.run_id, run.decoded)
        except (QtForgeError, OSError) as error:
            code = error.code if isinstance(error, QtForgeError) else "run.unreadable"
            what = f"{Path(name).name} can't be replayed: {clean_text(str(error))}"
            finding = msgspec.structs.replace(
                finding, code=code, what=what, fix="export the run again"
            )
            found.append(attributed(finding, plugins[0]))
            continue
        if replayed.verdict == "diverged":
            what = f"the run {run.run_id} of '{replayed.workflow}' would be blocked: {replayed}"
            why = "its journal holds other steps than the code does"
            finding = msgspec.structs.replace(
                finding, code="run.diverged", what=what, why=why, fix=_FIX
            )
            found.append(attributed(finding, plugins[0]))
    return found, count


def _read(name: str) -> Archive:
    return unpack(Path(name).read_bytes(), pause=False, file=name)


def _own(host: Host, plugins: Sequence[Candidate]) -> tuple[set[str], set[str]]:
    """Return the names of a target's workflows in Python, and its kinds."""
    authors = {f"{each.name} {each.version}" for each in plugins}
    listed = [*host.catalog.all(), *host.catalog.older()]
    workflows = {each.name for each in listed if each.source in authors}
    packages = {_package(each.entry_point.value.partition(":")[0]) for each in plugins}
    types = host.catalog.definition_types
    kinds = {kind for kind, type_ in types.items() if _package(_module(type_)) in packages}
    kinds |= {each.name for each in plugins if each.group == ORCHESTRATOR_GROUP}
    return workflows, kinds


def _module(type_: Any) -> str:
    return str(getattr(type_, "__module__", ""))


def _package(module: str) -> str:
    return module.partition(".")[0]
