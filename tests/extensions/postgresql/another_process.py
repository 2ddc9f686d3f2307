"""A process that owns a run: ``python another_process.py URL LEASE_S RUN``.

It creates the run and says ``owns``; then it appends a step for each line that it reads, and says
``done``, or the name of the error.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
from pathlib import Path

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.records import RunStarted, StepSucceeded


async def main(url: str, lease_s: str, run_id: str) -> None:
    """Own a run."""
    settings = JournalSettings(directory=Path(), url=url, lease_s=float(lease_s))
    journal = PostgresqlJournal(settings)
    await journal.open()
    now = datetime.datetime.now(datetime.UTC)
    ownership = await journal.create(
        RunStarted(
            run_id=run_id, at=now, workflow="w", kind="k", workflow_version="1", input=None,
            plugins={},
        )
    )  # fmt: skip
    print("owns", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        step = StepSucceeded(
            run_id=run_id, at=now, step=line.strip(), data=None, plugin="p", plugin_version="1",
            duration_s=0.0,
        )  # fmt: skip
        try:
            await journal.append(ownership, [step])
        except QtForgeError as error:
            print(type(error).__name__, flush=True)
        else:
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
