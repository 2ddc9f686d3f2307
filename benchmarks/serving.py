"""``python -m benchmarks.serving FOLDER``: keep a store's machines going, and tell how that went.

A process of its own: its start and its memory are what is measured.
"""

from __future__ import annotations

import time

_STARTED = time.perf_counter()

import asyncio  # noqa: E402 - all imports are part of the start
import datetime  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks.hosting import engine_with  # noqa: E402
from benchmarks.instances import machine  # noqa: E402
from qtforge_host.clock import SystemClock  # noqa: E402
from qtforge_host.journal.sqlite import SqliteJournal  # noqa: E402
from qtforge_host.runs.recovery import RecoveryLoop  # noqa: E402
from qtforge_host.runs.supervisor import Supervisor  # noqa: E402
from qtforge_sdk.journal import InboxMessage, RunQuery  # noqa: E402
from qtforge_sdk.records import CheckpointSaved  # noqa: E402

_EVENTS = 300
_WARM = 20
_LISTS = 9
_TIMERS = 20
_DEADLINE_S = 60
_BYTES_PER_MB = 1_000_000


async def _serve(folder: Path) -> dict[str, Any]:
    journal, workflow = SqliteJournal(folder), machine()
    async with engine_with(journal, workflow, orchestrators=True) as engine:
        supervisor = Supervisor(engine)
        recovery = RecoveryLoop(supervisor, journal, SystemClock())
        work = asyncio.ensure_future(recovery.run())
        await recovery.ready.wait()
        start_s = time.perf_counter() - _STARTED
        try:
            return {
                "start_s": start_s,
                "event_s": await _events(supervisor, journal),
                "list_s": await _lists(journal),
                "late_s": await _timers(supervisor, journal),
                "resident_mb": _resident_bytes() / _BYTES_PER_MB,
            }
        finally:
            work.cancel()
            await asyncio.wait({work})


def _message(name: str, number: int, data: Any) -> InboxMessage:
    now = datetime.datetime.now(datetime.UTC)
    return InboxMessage(message_id=f"m{number}", kind="event", at=now, name=name, data=data)


async def _events(supervisor: Supervisor, journal: SqliteJournal) -> list[float]:
    """Send events to machines that rest, one after another; each rests again after it."""
    found = []
    runs = await journal.runs(RunQuery(limit=_EVENTS))
    for number, each in enumerate(runs):
        began = time.perf_counter()
        record = await supervisor.send(each.run_id, _message("flip", number, 1))
        found.append(time.perf_counter() - began)
        if record is None or record.outcome != "taken":
            raise RuntimeError(f"{each.run_id}: {record}")
    return found[_WARM:]


async def _lists(journal: SqliteJournal) -> list[float]:
    found = []
    for _ in range(_LISTS):
        began = time.perf_counter()
        runs = await journal.runs(RunQuery(waiting_for="wait", limit=50))
        found.append(time.perf_counter() - began)
        if len(runs) != 50:
            raise RuntimeError(f"{len(runs)} runs were listed")
    return found


async def _timers(supervisor: Supervisor, journal: SqliteJournal) -> list[float]:
    """Let timers of resting machines fire, one after another; return how late each was."""
    runs = [each.run_id for each in await journal.runs(RunQuery(waiting_for="wait", limit=_TIMERS))]
    for number, run_id in enumerate(runs):
        after = f"{1000 + 50 * number}ms"
        await supervisor.send(run_id, _message("wait", 10_000 + number, after))
    async with asyncio.timeout(_DEADLINE_S):
        return [await _lateness(journal, run_id) for run_id in runs]


async def _lateness(journal: SqliteJournal, run_id: str) -> float:
    while True:
        record = (await journal.tail(run_id))[-1]
        if isinstance(record, CheckpointSaved) and record.label == "late":
            return record.late_s
        await asyncio.sleep(0.05)


def _resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_serve(Path(sys.argv[1])))))
