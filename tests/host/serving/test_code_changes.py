"""``serve`` at its start, when the code of runs that wait has changed."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from tests.serving import PLUGIN, Serving, until

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk import Record
from qtforge_sdk.records import RunStarted, RunWaiting, StepStarted, StepSucceeded

RUN = "20260101-000000-0000000000"
WAITS = "async def waits(run, given):\n"


async def store(serving: Serving) -> None:
    """Store a run that has done the step ``one`` and waits for an event."""
    about: Any = {"run_id": RUN, "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}
    by: Any = {"plugin": None, "plugin_version": None, "duration_s": 0.0}
    journal = SqliteJournal(serving.folder / "state" / "runs")
    await journal.open()
    started = RunStarted(
        **about, workflow="waits", kind="python", workflow_version="1.0.0", input={}, plugins={}
    )
    records: list[Record] = [
        StepSucceeded(**about, step="one", data=1, **by),
        StepStarted(**about, step="event go", topic=""),
        RunWaiting(**about, events=("go",)),
    ]
    await journal.release(await journal.create(started, records))
    await journal.close()


def test_serve_warns_of_a_waiting_run_that_the_installed_code_does_not_continue(
    serving: Serving, site: Any
) -> None:
    code = f'{WAITS}    await run.step("eins", lambda: 1)\n'
    (site.root / "steps_module.py").write_text(PLUGIN.replace(WAITS, code))
    asyncio.run(store(serving))
    server = serving.serve("--grace", "1s")
    until(lambda: f"{RUN} of waits will be blocked" in server.error)
    assert "the journal holds the step 'one' here, the code requests 'eins'" in server.error
    assert server.run(RUN)["status"] == "waiting"
