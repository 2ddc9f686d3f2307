"""What an application asks of a run with a long history reads only a bounded part of it."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.api import RunClient
from qtforge_sdk.checkpoints import ReceivedEvent

MACHINE = """
name = "m"
kind = "reactive"
initial = "on"
result = "done"
[states.on]
[states.off]
final = true
[[transitions]]
name = "count"
from = "on"
trigger = "tick"
[[transitions]]
name = "end"
from = "on"
to = "off"
trigger = "stop"
"""
ASKED = {
    "an event": lambda client, run_id: client.send(run_id, "tick"),
    "a page of records": lambda client, run_id: client.records(run_id, limit=20),
    "the last records": lambda client, run_id: client.records(run_id, after=110, limit=20),
    "the inbox": lambda client, run_id: client.inbox(),
    "a list": lambda client, run_id: client.list(),
}
BOUND = 330  # records, several looks at a hundred of them


@pytest.mark.parametrize("asked", ASKED)
def test_a_request_reads_as_much_of_a_long_run_as_of_a_longer_one(
    tmp_path: Path, asked: str
) -> None:
    short, long = asyncio.run(read_by(tmp_path, asked))
    assert long <= short + 5, (short, long)
    assert long < BOUND


async def read_by(folder: Path, asked: str) -> tuple[int, int]:
    """Return how many records are read of a run with 150, and of one with 700."""
    (folder / "config.toml").touch()
    definition = folder / "m.toml"
    definition.write_text(MACHINE)
    counts = []
    async with RunClient.open(folder / "state", config=folder / "config.toml") as client:
        durable = await client._parts.durable()
        durable.supervisor.active_runs.linger_s = 60.0
        journal: Any = durable.journal
        for events in (150, 700):
            run_id = await client.start(definition, {})
            for number in range(events):
                at = datetime.datetime.now(datetime.UTC)
                event = ReceivedEvent(event_id=f"{run_id}{number}", name="tick", at=at)
                await durable.supervisor.deliver(run_id, event)
            with pytest.MonkeyPatch.context() as patch:
                read = counting(patch, journal)
                await ASKED[asked](client, run_id)
                counts.append(sum(read))
    return counts[0], counts[1]


def counting(patch: pytest.MonkeyPatch, journal: Any) -> list[int]:
    read: list[int] = []
    for name in ("records", "tail"):
        method = getattr(journal, name)

        async def call(*given: Any, method: Any = method, **named: Any) -> Any:
            found = await method(*given, **named)
            read.append(len(found))
            return found

        patch.setattr(journal, name, call)
    return read
