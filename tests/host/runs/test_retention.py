"""Which runs are deleted by their age, and which stay."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.config.retention import RetentionRule, RetentionSettings
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.run_files import RunFiles
from qtforge_host.runs.retention import Removed, Retention, delete_ended
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import RunFinished, RunStarted
from qtforge_sdk.run_status import RunStatus

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY_S = 86_400.0


class Runs:
    """A journal with runs of known ages, in days."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.journal = MemoryJournal(self.store)
        self.files = RunFiles(folder / "run-files")

    async def add(
        self,
        name: str,
        *,
        ended: float | None,
        started: float | None = None,
        status: str = "succeeded",
        workflow: str = "letters",
        parent: str | None = None,
    ) -> None:
        begin = started if started is not None else (ended or 0.0) + 0.5
        first = RunStarted(
            run_id=name,
            at=NOW - datetime.timedelta(days=begin),
            workflow=workflow,
            kind="sequential",
            workflow_version="1.0.0",
            input=None,
            plugins={},
            parent=parent,
        )
        ownership = await self.journal.create(first)
        if ended is None:
            return
        last = RunFinished(
            run_id=name,
            at=NOW - datetime.timedelta(days=ended),
            status=status,
            degraded=False,
            result=None,
            summary="",
            error=None,
        )
        await self.journal.append(ownership, [last])

    async def left(self) -> set[str]:
        return {each.run_id for each in await self.journal.runs(RunQuery(limit=100_000))}

    async def apply(
        self, ages: Mapping[RunStatus, float], *, keep_last: int = 0, **more: Any
    ) -> Removed:
        rule = RetentionRule(
            ages_s={status: days * DAY_S for status, days in ages.items()}, keep_last=keep_last
        )
        settings = RetentionSettings(rule=rule, workflows=more.pop("workflows", ()))
        return await Retention(settings, self.journal, self.files).apply(NOW, **more)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_runs_go_by_the_age_of_their_status_since_their_end(runs: Runs) -> None:
    async def case() -> None:
        await runs.add("old", ended=31)
        await runs.add("young", ended=29, started=400)
        await runs.add("failed", ended=31, status="failed")
        await runs.add("long-failed", ended=91, status="failed")
        await runs.add("cancelled", ended=1000, status="cancelled")
        await runs.add("live", ended=None, started=1000)
        removed = await runs.apply({"succeeded": 30, "failed": 90})
        assert await runs.left() == {"young", "failed", "cancelled", "live"}
        assert removed.runs == {("letters", "succeeded"): 1, ("letters", "failed"): 1}

    asyncio.run(case())


def test_a_dry_run_counts_and_deletes_nothing(runs: Runs) -> None:
    async def case() -> None:
        for number in range(3):
            await runs.add(f"old-{number}", ended=31)
        assert (await runs.apply({"succeeded": 30}, dry_run=True)).count == 3
        assert len(await runs.left()) == 3
        assert (await runs.apply({"succeeded": 30})).count == 3
        assert not await runs.left()

    asyncio.run(case())


def test_the_last_runs_of_each_workflow_stay_whatever_their_age(runs: Runs) -> None:
    async def case() -> None:
        for number in range(5):
            await runs.add(f"a{number}", ended=100 - number, workflow="a")
            await runs.add(f"b{number}", ended=100 - number, workflow="b", status="failed")
        await runs.add("live", ended=None, workflow="a")
        await runs.apply({"succeeded": 30, "failed": 30}, keep_last=2)
        assert await runs.left() == {"a3", "a4", "b3", "b4", "live"}

    asyncio.run(case())


@pytest.mark.parametrize(
    ("only", "gone"),
    [
        (RunQuery(workflow="a"), {"a0", "a1"}),
        (RunQuery(workflow="a", statuses=frozenset({"failed"})), set()),
        (RunQuery(statuses=frozenset({"failed"})), {"b0", "b1"}),
        (RunQuery(tags={"customer": "ACME"}), {"b1"}),
        (RunQuery(schedule="nightly"), set()),
    ],
)
def test_it_can_be_restricted_to_some_runs_and_the_last_of_all_stay(
    runs: Runs, only: RunQuery, gone: set[str]
) -> None:
    async def case() -> None:
        for number in range(4):
            await runs.add(f"a{number}", ended=100 - number, workflow="a")
            await runs.add(f"b{number}", ended=100 - number, workflow="b", status="failed")
        for tagged in ("b1", "b3"):
            await runs.journal.tag(tagged, {"customer": "ACME"})
        before = await runs.left()
        removed = await runs.apply({"succeeded": 30, "failed": 30}, keep_last=2, only=only)
        assert before - await runs.left() == gone
        assert removed.count == len(gone)

    asyncio.run(case())


def test_a_pattern_gives_workflows_ages_of_their_own(runs: Runs) -> None:
    async def case() -> None:
        await runs.add("doc", ended=8, workflow="document-store")
        await runs.add("letter", ended=8)
        week = RetentionRule(ages_s={"succeeded": 7 * DAY_S})
        await runs.apply({"succeeded": 30}, workflows=(("document-*", week),))
        assert await runs.left() == {"letter"}

    asyncio.run(case())


def test_children_go_with_the_run_that_awaited_them_and_not_before(runs: Runs) -> None:
    async def case() -> None:
        await runs.add("above", ended=10, started=100)
        await runs.add("child", ended=50, parent="above")
        await runs.add("below", ended=60, parent="child", workflow="other", status="failed")
        assert (await runs.apply({"succeeded": 30, "failed": 30})).count == 0
        removed = await runs.apply({"succeeded": 9})  # that of the failed one is for ever
        assert (removed.count, removed.children) == (3, 2)
        assert not await runs.left()

    asyncio.run(case())


def test_a_child_of_an_unfinished_run_stays(runs: Runs) -> None:
    async def case() -> None:
        await runs.add("above", ended=None, started=100)
        await runs.add("child", ended=50, parent="above")
        await runs.add("below", ended=60, parent="child")
        await runs.apply({"succeeded": 1})
        assert await runs.left() == {"above", "child", "below"}

    asyncio.run(case())


def test_a_child_that_outlived_its_parent_is_a_run_like_any_other(runs: Runs) -> None:
    async def case() -> None:
        await runs.add("first", ended=100)
        await runs.add("second", ended=40, parent="first")
        await runs.add("third", ended=20, parent="second")
        await runs.add("fourth", ended=None, parent="third")
        await runs.apply({"succeeded": 30})
        assert await runs.left() == {"third", "fourth"}
        await runs.add("kept", ended=100, status="failed")
        await runs.add("started", ended=40, parent="kept")
        await runs.apply({"succeeded": 30})
        assert await runs.left() == {"third", "fourth", "kept"}

    asyncio.run(case())


def test_many_runs_are_deleted_in_small_batches_over_several_pages(runs: Runs) -> None:
    batches: list[int] = []

    async def case() -> None:
        async def pause() -> None:
            batches.append(len(await runs.left()))

        for number in range(750):
            await runs.add(f"r{number:04}", ended=40 + number / 1000)
        await runs.add("above", ended=35, started=99)
        for number in range(150):
            await runs.add(f"c{number:04}", ended=50, parent="above")
        removed = await runs.apply({"succeeded": 30}, pause=pause)
        assert removed.count == 901
        assert not await runs.left()
        deleted = [before - after for before, after in zip(batches, [*batches[1:], 0], strict=True)]
        assert max(deleted) == 100
        assert len(deleted) == 10

    asyncio.run(case())


def test_a_run_that_another_process_deletes_meanwhile_disturbs_nothing(runs: Runs) -> None:
    async def case() -> None:
        other = MemoryJournal(runs.store)

        async def pause() -> None:
            await other.prune(NOW)

        for number in range(750):
            await runs.add(f"r{number:04}", ended=40)
        removed = await runs.apply({"succeeded": 30}, pause=pause)
        assert removed.count < 750
        assert not await runs.left()

    asyncio.run(case())


def test_files_go_with_their_runs_unless_a_fork_needs_them(runs: Runs, tmp_path: Path) -> None:
    async def case() -> None:
        for name in ("old", "forked", "young"):
            await runs.add(name, ended=29 if name == "young" else 31)
            (runs.files.folder / name).mkdir(parents=True)
        await runs.add("fork", ended=1)
        runs.files.share("forked", "fork")
        await runs.apply({"succeeded": 30})
        assert {each.name for each in runs.files.folder.iterdir()} == {"forked", "young"}

    asyncio.run(case())


def test_what_prune_would_delete_is_what_it_deletes(runs: Runs) -> None:
    async def case() -> None:
        await runs.add("above", ended=None, started=100)
        await runs.add("child", ended=50, parent="above")
        await runs.add("done", ended=50, status="failed")
        await runs.add("orphan", ended=50, parent="gone")
        await runs.add("young", ended=1, started=100)
        before = NOW - datetime.timedelta(days=30)
        wanted = {("letters", "failed"): 1, ("letters", "succeeded"): 1}
        for dry_run in (True, False):
            found = await delete_ended(runs.journal, runs.files, before, dry_run=dry_run)
            assert found.runs == wanted
        left = {each.run_id for each in await runs.journal.runs(RunQuery())}
        assert left == {"above", "child", "young"}

    asyncio.run(case())
