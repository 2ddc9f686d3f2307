"""Old runs go while a process stays up, by one process at a time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

from qtforge_host.config.retention import RetentionRule, RetentionSettings
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.run_files import RunFiles
from qtforge_host.serving.retention_loop import RetentionLoop
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Journal, JournalStatistics, RunQuery
from qtforge_sdk.records import RunFinished, RunStarted
from qtforge_sdk.testing.clock import VirtualClock

DAY_S = 86_400.0
POLICY = RetentionSettings(rule=RetentionRule(ages_s={"succeeded": 30 * DAY_S}))


class Watched(MemoryJournal):
    """Counts passes, each of which begins with the statistics, and can be away."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.passes = 0
        self.is_away = False

    async def statistics(self) -> JournalStatistics:
        self.passes += 1
        if self.is_away:
            raise StateDirectoryError("journal", "it is away", "wait")
        return await super().statistics()


async def add(journal: Journal, name: str, ended: datetime.datetime) -> None:
    first = RunStarted(
        run_id=name, at=ended, workflow="letters", kind="sequential", workflow_version="1.0.0",
        input=None, plugins={},
    )  # fmt: skip
    last = RunFinished(
        run_id=name, at=ended, status="succeeded", degraded=False, result=None, summary="",
        error=None,
    )  # fmt: skip
    await journal.append(await journal.create(first), [last])


@contextlib.asynccontextmanager
async def loops(
    clock: VirtualClock, folder: Path, *journals: Journal, policy: RetentionSettings = POLICY
) -> AsyncIterator[None]:
    files = RunFiles(folder)
    tasks = [
        asyncio.create_task(RetentionLoop(policy, each, files, clock).run()) for each in journals
    ]
    try:
        await clock.advance(0)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def left(journal: Journal) -> set[str]:
    return {each.run_id for each in await journal.runs(RunQuery(limit=10_000))}


def test_runs_are_deleted_at_the_start_and_as_they_grow_old(tmp_path: Path) -> None:
    async def case() -> None:
        clock, journal = VirtualClock(), Watched(MemoryStore())
        await journal.open()
        await add(journal, "old", clock.now() - datetime.timedelta(days=31))
        await add(journal, "young", clock.now() - datetime.timedelta(days=29))
        async with loops(clock, tmp_path, journal):
            await clock.advance(10)
            assert await left(journal) == {"young"}
            await clock.advance(DAY_S + 3700)
            assert not await left(journal)

    asyncio.run(case())


def test_of_several_processes_one_does_it_in_each_interval(tmp_path: Path) -> None:
    async def case() -> None:
        clock, store = VirtualClock(), MemoryStore()
        journals = [Watched(store) for _ in range(4)]
        for each in journals:
            await each.open()
        for number in range(350):
            name = f"r{number}"
            await add(journals[0], name, clock.now() - datetime.timedelta(days=31))
        async with loops(clock, tmp_path, *journals):
            await clock.advance(60)
            assert not await left(journals[0])
            assert sum(each.passes for each in journals) == 1
            await clock.advance(10 * 3600)
            assert 10 <= sum(each.passes for each in journals) <= 11

    asyncio.run(case())


def test_another_process_does_it_where_one_has_died_amid_it(tmp_path: Path) -> None:
    async def case() -> None:
        clock, store = VirtualClock(), MemoryStore()
        dying, other = Watched(store), Watched(store)
        await dying.open()
        await other.open()
        for number in range(350):
            name = f"r{number}"
            await add(other, name, clock.now() - datetime.timedelta(days=31))
        await dying.hold("retention of runs", 1, using=1, wanted=1)
        async with loops(clock, tmp_path, other):
            await clock.advance(60)
            assert len(await left(other)) == 350
            await dying.close()
            await clock.advance(3700)
            assert not await left(other)

    asyncio.run(case())


def test_another_policy_counts_at_once_and_the_same_one_after_a_restart_does_not(
    tmp_path: Path,
) -> None:
    async def case() -> None:
        clock, journal = VirtualClock(), Watched(MemoryStore())
        await journal.open()
        await add(journal, "run", clock.now() - datetime.timedelta(days=2))
        for _ in range(3):
            async with loops(clock, tmp_path, journal):
                await clock.advance(1)
        assert (journal.passes, await left(journal)) == (1, {"run"})
        stricter = RetentionSettings(rule=RetentionRule(ages_s={"succeeded": DAY_S}))
        async with loops(clock, tmp_path, journal, policy=stricter):
            await clock.advance(1)
        assert not await left(journal)

    asyncio.run(case())


def test_a_journal_that_is_away_for_a_while_does_not_end_it(tmp_path: Path) -> None:
    async def case() -> None:
        clock, journal = VirtualClock(), Watched(MemoryStore())
        await journal.open()
        await add(journal, "old", clock.now() - datetime.timedelta(days=31))
        journal.is_away = True
        async with loops(clock, tmp_path, journal):
            await clock.advance(1)
            assert await left(journal) == {"old"}
            journal.is_away = False
            await clock.advance(3700)
            assert not await left(journal)

    asyncio.run(case())


def test_nothing_is_done_where_everything_is_kept(tmp_path: Path) -> None:
    async def case() -> None:
        clock, journal = VirtualClock(), Watched(MemoryStore())
        await journal.open()
        async with loops(clock, tmp_path, journal, policy=RetentionSettings()):
            await clock.advance(2 * DAY_S)
        assert journal.passes == 0

    asyncio.run(case())
