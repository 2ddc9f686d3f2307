"""A program that executes machines in a real journal, and dies when it is told to.

python -m tests.integration.machine_worker sweep FOLDER WHEN    killed at every write in turn
python -m tests.integration.machine_worker make FOLDER COUNT    COUNT machines that wait
python -m tests.integration.machine_worker serve FOLDER 0       keep them going until killed
python -m tests.integration.machine_worker send FOLDER WHO      send events to all of them
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from tests.integration.crash_worker import (
    DEADLINE_S,
    calls,
    child,
    orchestrators,
    process,
    warm,
)

from qtforge_host.clock import SystemClock
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk.journal import InboxMessage, Journal, RunQuery
from qtforge_sdk.records import CheckpointSaved, RunFinished

ALL: Final = RunQuery(limit=100_000)
MISSES: Final = 3  # writes at which a process has not died, after which there are no more
EVENTS: Final = 2  # of each sender to each machine
NOW: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
TEXTS: Final = {
    "machine": """
name = "machine"
kind = "reactive"
initial = "idle"
data = { seen = [] }
result = { seen = "${data.seen}", child = "${data.child}" }
[states.idle]
[states.timed]
entry = ["first"]
timeout = { after = "10ms", event = "late" }
[states.parent]
entry = ["begin"]
[states.noted]
entry = ["second"]
[states.over]
final = true
[[transitions]]
name = "go"
from = "idle"
to = "timed"
trigger = "go"
[[transitions]]
name = "late"
from = "timed"
to = "parent"
trigger = "late"
[[transitions]]
name = "ended"
from = "parent"
to = "noted"
trigger = "done.workflow.begin"
actions = ["keep"]
[[transitions]]
name = "note"
from = "noted"
trigger = "note"
actions = ["add"]
[[transitions]]
name = "end"
from = "noted"
to = "over"
trigger = "end"
actions = ["last"]
[actions.first]
type = "plugin_call"
operation = "crash.do"
[actions.begin]
type = "workflow"
workflow = "child"
[actions.keep]
type = "set"
values = { child = "${event.data.status}" }
[actions.second]
type = "plugin_call"
operation = "crash.do"
[actions.add]
type = "set"
values = { seen = "${data.seen + [event.data]}" }
[actions.last]
type = "plugin_call"
operation = "crash.do"
""",
    "child": """
name = "child"
kind = "sequential"
[[stages]]
name = "one"
operation = "crash.do"
""",
    "counter": """
name = "counter"
kind = "reactive"
initial = "on"
data = { seen = [] }
[states.on]
[[transitions]]
name = "note"
from = "on"
trigger = "note"
actions = ["add"]
[actions.add]
type = "set"
values = { seen = "${data.seen + [event.data]}" }
""",
}


def named(name: str) -> Workflow:
    found = parse(TEXTS[name], name, orchestrators()).workflow
    assert found is not None
    return found


@contextlib.asynccontextmanager
async def serving(
    folder: Path, write: int = 0, when: str = ""
) -> AsyncIterator[tuple[Supervisor, Journal]]:
    """Be a process that keeps every run going."""
    opened = process(folder, write, when, named=named, owners=True)
    async with opened as (engine, _):
        journal, supervisor = engine.journal, Supervisor(engine)
        work = asyncio.ensure_future(RecoveryLoop(supervisor, journal, SystemClock()).run())
        try:
            yield supervisor, journal
        finally:
            work.cancel()
            await asyncio.wait({work})


def message(name: str, message_id: str, data: Any = None) -> InboxMessage:
    return InboxMessage(message_id=message_id, kind="event", at=NOW, name=name, data=data)


async def drive(folder: Path, write: int = 0, when: str = "") -> dict[str, Any]:
    """Begin the machine unless it is there, lead it to its end, and print its outcome."""
    async with serving(folder, write, when) as (supervisor, journal):
        roots = [each.run_id for each in await journal.runs(ALL) if each.parent is None]
        run_id = roots[0] if roots else await supervisor.start(named("machine"), {})
        while not isinstance((records := await journal.records(run_id))[-1], RunFinished):
            label = [each.label for each in records if isinstance(each, CheckpointSaved)][-1:]
            if label == ["idle"]:
                await journal.post(run_id, message("go", "go"))
            elif label == ["noted"]:
                for number in range(2):
                    await journal.post(run_id, message("note", f"note {number}", number))
                await journal.post(run_id, message("end", "end"))
            await asyncio.sleep(0.005)
        kept = [each for each in records if isinstance(each, CheckpointSaved) and each.event]
        families = [(each.workflow, each.status) for each in await journal.runs(ALL)]
        return {
            "status": records[-1].status,
            "result": records[-1].result,
            "events": [[each.event.partition(":")[0], each.outcome] for each in kept],
            "timers": sum(each.event_id.startswith("timer/") for each in kept),
            "runs": sorted(families),
            "effects": sorted(calls(folder)),
            "stirred": list(await journal.runs_with_pending()),
            "damage": [each.what for each in await journal.check()],
        }


def sweep(folder: Path, when: str) -> None:
    """Print what comes of a machine whose process dies at write n, as JSON lines; 0 is none."""
    warm(lambda: drive(folder / f"{when}-warm"), folder / f"{when}-warm")
    write = misses = 0
    # A write whose task is cancelled at that moment is one at which the process does not die.
    while misses < MISSES:
        misses += not case(folder / f"{when}-{write}", write, when)
        write += 1


def case(folder: Path, write: int, when: str) -> bool:
    """Print what comes of one case; return whether the machine has such a write."""
    folder.mkdir()
    if write:
        ended = child(lambda: drive(folder, write, when))
        if ended == 0:
            return False
        if ended != -signal.SIGKILL:
            raise SystemExit(f"the process ended with {ended} before write {write}")

    async def taken_up() -> None:
        told = json.dumps(await drive(folder))
        (folder / "told").write_text(told, encoding="utf-8")

    if child(taken_up) != 0:
        raise SystemExit(f"the machine can't be resumed after {when} write {write}")
    print((folder / "told").read_text(encoding="utf-8"), flush=True)
    return True


async def make(folder: Path, count: int) -> None:
    async with process(folder, named=named) as (engine, _):
        workflow = named("counter")
        await asyncio.gather(*(engine.execute(workflow, {}) for _ in range(count)))


async def serve(folder: Path) -> None:
    async with serving(folder) as (supervisor, _):
        supervisor.active_runs.linger_s = 30
        (folder / "serves").touch()
        while not (folder / "stop").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)


async def send(folder: Path, who: int) -> None:
    """Send each machine its events in order, each of them twice."""
    journal = SqliteJournal(folder / "state")
    await journal.open()
    runs = [each.run_id for each in await journal.runs(ALL)]
    for number in range(EVENTS):
        for start in range(0, len(runs), 100):
            some = runs[start : start + 100]
            each = message("note", f"{who}/{number}", [who, number])
            for _ in range(2):
                await asyncio.gather(*(journal.post(run_id, each) for run_id in some))
    await journal.close()


if __name__ == "__main__":
    command, where, argument = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if command == "sweep":
        sweep(where, argument)
    else:
        signal.alarm(DEADLINE_S)
        if command == "serve":
            asyncio.run(serve(where))
        else:
            asyncio.run({"make": make, "send": send}[command](where, int(argument)))
