"""A host on one screen: runs, processes, plugins, schedules, and what waits for a person."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import Final

from qtforge_host.api.documents import HostStatus, ScheduleRow
from qtforge_host.api.inbox import PERSON, list_inbox
from qtforge_host.api.nodes import node_rows
from qtforge_host.api.parts import Parts
from qtforge_host.api.plugins import installed_plugins
from qtforge_host.api.snapshots import WorkflowOf
from qtforge_sdk.journal import Journal, RunQuery

__all__ = ["host_status"]

_USABLE: Final = frozenset({"active", "ready", "disabled"})
_SHOWN: Final = 5
_COUNTED: Final = 1000  # runs that wait for a person
_MOST: Final = 1_000_000  # runs whose owner is looked at
_NEVER: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC)


async def host_status(parts: Parts, workflow_of: WorkflowOf) -> HostStatus:
    """Return what there is; no plugin is imported, and no host started.

    Args:
        parts: The journal.
        workflow_of: Gives a run's workflow, for the events that it accepts.

    Raises:
        StateDirectoryError: The state directory can't be used.
        ConfigError: A schedule is not valid.
    """
    journal = await parts.journal()
    plugins = installed_plugins(parts.settings)
    waiting = await journal.runs(RunQuery(waiting_for=f"{PERSON}.*", limit=_COUNTED))
    schedules = await _schedules(parts)
    coming = sorted(
        (each for each in schedules if each.next is not None and each.paused_at is None),
        key=lambda each: each.next or _NEVER,
    )
    return HostStatus(
        runs=await _counts(journal),
        nodes=node_rows(await journal.owners()),
        waiting=len(waiting),
        inbox=(await list_inbox(journal, workflow_of, limit=_SHOWN)).inbox if waiting else [],
        plugins=dict(Counter(each.state for each in plugins.plugins)),
        troubled=[each for each in plugins.plugins if each.state not in _USABLE],
        problems=plugins.problems,
        schedules=coming[:_SHOWN],
        paused=[each.name for each in schedules if each.paused_at is not None],
    )


async def _counts(journal: Journal) -> dict[str, int]:
    """Return the number of runs by status; the journal does not tell which were interrupted."""
    counts: Counter[str] = Counter()
    for (_, status), count in (await journal.statistics()).runs.items():
        counts[status] += count
    if counts["running"]:
        running = await journal.runs(RunQuery(statuses=frozenset({"running"}), limit=_MOST))
        counts["interrupted"] = sum(not each.owner_alive for each in running)
        counts["running"] -= counts["interrupted"]
    return {status: count for status, count in counts.items() if count > 0}


async def _schedules(parts: Parts) -> Sequence[ScheduleRow]:
    if not parts.settings.schedules:
        return ()
    # It imports the library that reads cron expressions, which may not be there.
    from qtforge_host.api.extras import SCHEDULES, check_installed

    check_installed(SCHEDULES)
    from qtforge_host.api.schedules import ScheduleClient

    return (await ScheduleClient(parts).list()).schedules
