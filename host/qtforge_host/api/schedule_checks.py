"""What `doctor` checks of schedules: their times, and the input that they start runs with."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from qtforge_host.api.documents import Finding
from qtforge_host.api.schedules import input_of
from qtforge_host.config.settings import Settings
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP, Candidate
from qtforge_host.plugins.declarations import source_folder
from qtforge_host.schedules.schedule import Schedule, read_schedules
from qtforge_host.workflows.catalog import read_header
from qtforge_host.workflows.checking import checked_input
from qtforge_sdk import Definition
from qtforge_sdk.errors import ConfigError, QtForgeError

__all__ = ["check_schedules"]

_PART: Final = "configuration"
_MOST_FILES: Final = 2000  # definitions that are read


async def check_schedules(settings: Settings, candidates: Sequence[Candidate]) -> Sequence[Finding]:
    """Find schedules that are not valid, and those whose workflow refuses their input.

    No plugin is imported: the inputs of a workflow are known where it is a file.

    Args:
        settings: The configuration.
        candidates: Everything that is installed.
    """
    try:
        schedules = read_schedules(settings)
    except ConfigError as error:
        return [_wrong(f"{error.what}: {error.why}", error.fix)]
    headers = _headers({each.workflow for each in schedules}, settings, candidates)
    found: list[Finding] = []
    for schedule in schedules:
        header = headers.get(schedule.workflow)
        refusal = None if header is None else await _refusal(schedule, header)
        if refusal is not None:
            why = ": ".join(filter(None, (refusal.what, "; ".join(refusal.why.splitlines()))))
            what = f"the schedule '{schedule.name}' can't start its workflow: {why}"
            found.append(_wrong(what, refusal.fix))
    return found


def _wrong(what: str, fix: str) -> Finding:
    return Finding(part=_PART, ok=False, what=what, fix=fix)


async def _refusal(schedule: Schedule, header: Definition) -> QtForgeError | None:
    """Return why a workflow refuses the input of a schedule's first run, or None."""
    expressions = Expressions()
    evaluator = Evaluator(expressions)
    now = datetime.datetime.now(datetime.UTC)
    try:
        given = await input_of(expressions, schedule, schedule.after(now) or now, None)
        await evaluator.compute(lambda: checked_input(header, given.input, evaluator))
    except QtForgeError as error:
        return error
    return None


def _headers(
    names: Collection[str], settings: Settings, candidates: Sequence[Candidate]
) -> Mapping[str, Definition]:
    """Return the definitions of those names; one in the user's folder replaces a plugin's."""
    kinds = {each.name for each in candidates if each.group == ORCHESTRATOR_GROUP}
    folders = dict.fromkeys(map(source_folder, candidates))
    plugins = (path for each in folders if each is not None for path in each.rglob("*.toml"))
    own = (settings.config_path.parent / "workflows").glob("*.toml")
    return {**_unique(plugins, names, kinds), **_unique(own, names, kinds)}


def _unique(
    paths: Iterable[Path], names: Collection[str], kinds: Collection[str]
) -> Mapping[str, Definition]:
    """Return the definitions of those names of which there is one."""
    found: dict[str, list[Definition]] = {}
    for path in itertools.islice(paths, _MOST_FILES if names else 0):
        header = read_header(path, kinds).header
        if header is not None and header.name in names:
            found.setdefault(header.name, []).append(header)
    return {name: headers[0] for name, headers in found.items() if len(headers) == 1}
