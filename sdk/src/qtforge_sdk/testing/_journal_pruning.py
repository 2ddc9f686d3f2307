"""The part of the journal contract about forgetting runs."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime

import pytest

from qtforge_sdk.journal import Journal, RunQuery, RunSecret
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import RunResumed
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    event,
    finished,
    keep,
    names,
    scenario,
    started,
    step,
)

__all__ = ["PruningContract"]


def _after(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


async def _left(journal: Journal) -> set[str]:
    return {each.run_id for each in await journal.runs(RunQuery(limit=10_000))}


class PruningContract:
    """What is forgotten, and what stays."""

    @scenario
    async def test_only_runs_that_ended_before_the_time_are_forgotten(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await keep(journal, started("old"), finished("old", after_s=10))
        await keep(journal, started("new"), finished("new", after_s=20))
        await keep(journal, started("live"))
        assert await journal.prune(_after(20)) == 1
        with pytest.raises(RunNotFoundError):
            await journal.records("old")
        assert await _left(journal) == {"new", "live"}
        assert await journal.prune(_after(20)) == 0

    @scenario
    async def test_a_large_value_stays_while_a_run_refers_to_it(self, journals: Journals) -> None:
        journal = await journals.open()
        large = "x" * 400_000
        await keep(journal, started("old"), step("old", data=large), finished("old"))
        await keep(journal, started("new"), step("new", data=large))
        assert await journal.prune(_after(86_400)) == 1
        assert not await journal.check()
        assert (await journal.records("new"))[1] == step("new", data=large)

    @scenario
    async def test_many_runs_are_forgotten_at_once(self, journals: Journals) -> None:
        journal = await journals.open()
        await asyncio.gather(*(keep(journal, started(name), finished(name)) for name in names(600)))
        assert await journal.prune(_after(86_400)) == 600
        assert not await journal.runs(RunQuery())

    @scenario
    async def test_a_run_whose_parent_has_not_ended_is_not_forgotten(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await keep(journal, started("above"))
        await keep(journal, started("child", parent="above"), finished("child"))
        await keep(journal, started("orphan", parent="gone"), finished("orphan"))
        assert await journal.prune(_after(20)) == 1
        assert await journal.delete(["child"], ended_before=_after(20)) == []
        assert await _left(journal) == {"above", "child"}
        await journal.append(await journal.claim("above"), [finished("above")])
        assert await journal.delete(["child"], ended_before=_after(20)) == ["child"]

    @scenario
    async def test_only_the_named_runs_that_have_ended_are_deleted(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        for name, after_s in (("old", 10), ("other", 10), ("young", 20)):
            await keep(journal, started(name), finished(name, after_s=after_s))
        await keep(journal, started("live"))
        given = ["live", "old", "absent", "../../etc", "young", "a\0b"]
        assert await other.delete(given, ended_before=_after(20)) == ["old"]
        assert await _left(journal) == {"other", "young", "live"}
        assert await journal.delete([], ended_before=_after(20)) == []
        assert await journal.delete(["old"], ended_before=_after(20)) == []

    @scenario
    async def test_a_run_that_was_opened_again_is_not_deleted(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started(), finished(status="failed"))
        resumed = RunResumed(run_id="run", at=NOW, owner="o", plugins={}, note="retry")
        await journal.append(await journal.claim("run"), [resumed])
        assert await journal.delete(["run"], ended_before=_after(20)) == []
        assert (await journal.summary("run")).status == "running"

    @scenario
    async def test_what_belongs_to_a_deleted_run_is_gone_with_it(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        shared, own = "s" * 400_000, "o" * 400_000
        await keep(
            journal, started("old"), step("old", data=shared), step("old", "own", own),
            finished("old"),
        )  # fmt: skip
        await keep(journal, started("new"), step("new", data=shared))
        await journal.post("old", event("m"))
        await journal.store_secrets("old", {"r": RunSecret(value="v")})
        assert await journal.delete(["old"], ended_before=_after(20)) == ["old"]
        assert await other.secrets("old") == {}
        with pytest.raises(RunNotFoundError):
            await other.inbox("old")
        assert (await other.records("new"))[1] == step("new", data=shared)
        await keep(journal, started("old"), step("old", data=own))  # as if it had never been
        assert (await other.records("old"))[1] == step("old", data=own)

    @scenario
    async def test_many_runs_are_deleted_while_others_are_written(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await asyncio.gather(*(keep(journal, started(name), finished(name)) for name in names(600)))
        until = (await other.records_since("", 0)).until
        deleted, _ = await asyncio.gather(
            journal.delete(names(600), ended_before=_after(20)),
            keep(other, started("live"), step("live")),
        )
        assert sorted(deleted) == names(600)
        assert await _left(journal) == {"live"}
        page = await other.records_since(until)
        assert [each.run_id for each in page.records] == ["live", "live"]
