"""State directories and archives that earlier formats have left are read, and brought up to date.

``tests/data/state/format-3`` to ``format-12`` were written by the versions that had these formats;
formats 0 to 2 are made in `test_state_directory`.
"""

from __future__ import annotations

import asyncio
import datetime
import shutil
import sqlite3
from pathlib import Path

import pytest

from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.schema import FORMAT_VERSION
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import Journal, Publication, RunQuery
from qtforge_sdk.records import CheckpointSaved, QueueEntry, RunKeys, RunPlace, StartedBy
from qtforge_sdk.testing._journal_scenarios import NOW, event, finished, started, step, steps_of

STATES = Path(__file__).parents[2] / "data" / "state"
KEPT = STATES / "format-3"
STATE = {"data": {"text": "x" * 270_000, "n": 1}}


@pytest.mark.parametrize(
    "kept",
    [f"format-{number}" for number in range(3, 13)],
)
def test_a_directory_of_an_earlier_format_is_read_and_brought_up_to_date(
    tmp_path: Path, kept: str
) -> None:
    directory = tmp_path / "state"
    shutil.copytree(STATES / kept, directory)

    async def look() -> None:
        journal = SqliteJournal(directory)
        await journal.open()
        assert not await journal.check()
        found = {each.run_id: each for each in await journal.runs(RunQuery())}
        statuses = {run_id: each.status for run_id, each in found.items()}
        number = int(kept.removeprefix("format-"))
        if number >= 12:
            assert statuses.pop("kept-failed") == "failed"
            assert await names_of(journal, "muller closed contoso") == ["kept-failed"]
        if number >= 11:
            assert await names_of(journal, "acme nightly") == ["kept-titled"]
            titled = found["kept-titled"]
            assert statuses.pop("kept-titled") == "succeeded"
            assert (titled.title, titled.tags) == ("Invoice 7 of ACME", {"customer": "ACME"})
            assert titled.started_by == StartedBy(kind="schedule", name="nightly")
        if number >= 10:
            (value,) = await journal.kept_values("")
            assert (value.key, value.data) == ("schedule/nightly", b"{}")
            assert statuses.pop("kept-queued") == "queued"
            summary = found["kept-queued"]
            assert (summary.priority, summary.tags, summary.title) == (7, {}, "")
        if number >= 9:
            assert [each.plugin for each in (await journal.standing()).breakers] == ["shop"]
            await journal.close_breaker("kept.topic", "shop")
        if number >= 8:
            assert [each.pool for each in await journal.pools() if each.paused] == ["closed"]
        if number >= 7:
            assert statuses.pop("queued") == "queued"
            queued = await journal.take(5, now=NOW, pools=["reports"], able={"parser": "1"})
            assert [each.run_id for each in queued] == ["queued"]
        assert await names_of(journal, "letters", "running") == ["going"]
        assert statuses == {"done": "failed", "waiting": "waiting", "going": "running"}
        assert list(await journal.records("done")) == [
            started("done"),
            step("done", data={"text": "ü"}),
            finished("done", "failed"),
        ]
        checkpoint = (await journal.tail("waiting"))[-1]
        assert isinstance(checkpoint, CheckpointSaved)
        assert checkpoint.state == STATE
        assert [each.message for each in await journal.pending("waiting")] == [
            event("m1", {"a": 1})
        ]
        assert await journal.next_due(NOW) == NOW + datetime.timedelta(days=1)
        await journal.append(await journal.claim("going"), [step("going", "c")])
        assert steps_of(await journal.records("going")) == ["b", "c"]
        await journal.listen("serve", ["order.*"])
        published = Publication(message_id="p1", topic="order.paid", message={}, at=NOW)
        assert await journal.publish(published) == 1
        assert len(await journal.publications("serve")) == 1
        assert (await journal.hold("order.pay", 2, using=1, wanted=2)).held == 2
        assert (await journal.draw("order.pay", 1, count=1, period_s=60.0)).full_in_s == 0.0
        await journal.open_breaker("order.pay", "shop", 60.0, "failures")
        assert [each.plugin for each in (await journal.standing()).breakers] == ["shop"]
        assert await journal.keep_value("a", b"1", 0)
        assert await journal.tag("done", {"buyer": "ACME"}) == {"buyer": "ACME"}
        assert await names_of(journal, "buyer acme") == ["done"]
        tagged = await journal.runs(RunQuery(tags={"buyer": "ACME"}))
        assert [each.run_id for each in tagged] == ["done"]
        place = RunKeys(place=RunPlace())
        for name in ("first", "second"):
            await journal.enqueue(started(name, keys=place, queue=QueueEntry()))
        assert not await journal.admit(await journal.claim("first"))
        assert (await journal.summary("second")).held_by == ("first",)
        assert not await journal.check()
        await journal.close()

    asyncio.run(look())
    with sqlite3.connect(directory / "journal.sqlite3") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)
    connection.close()


async def names_of(journal: Journal, text: str, *statuses: str) -> list[str]:
    query = RunQuery(search=text, statuses=frozenset(statuses))
    return [each.run_id for each in await journal.runs(query)]


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_an_archive_of_format_1_is_imported(tmp_path: Path, kind: str) -> None:
    async def look() -> None:
        journal: Journal = SqliteJournal(tmp_path) if kind == "sqlite" else MemoryJournal()
        await journal.open()
        for name in ("going", "waiting"):
            assert await journal.import_((KEPT / f"{name}.run").read_bytes()) == name
        (checkpoint,) = [
            each for each in await journal.records("waiting") if isinstance(each, CheckpointSaved)
        ]
        assert checkpoint.state == STATE
        assert await journal.pending("waiting")
        assert not await journal.check()
        await journal.close()

    asyncio.run(look())
