"""`copy_runs`: from any journal into any other, exactly, and again where it was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qtforge_host.api.journals import checked_journal, copied_journal, copy_runs, damage_findings
from qtforge_host.config.settings import Settings
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal import Damage, Journal, RunQuery, RunSecret
from qtforge_sdk.journal_errors import JournalDamagedError, RecordNotStorableError
from qtforge_sdk.records import QueueEntry
from qtforge_sdk.testing._journal_scenarios import NOW, event, finished, keep, started, step

LARGE = {"text": "y" * 400_000}
SECRETS = {"${input.key~m}": RunSecret(value="only-here")}
MakeJournal = Callable[[], Journal]


@asynccontextmanager
async def opened(*make: MakeJournal) -> AsyncIterator[tuple[Journal, ...]]:
    async with AsyncExitStack() as stack:
        journals = tuple(each() for each in make)
        for journal in journals:
            await journal.open()
            stack.push_async_callback(journal.close)
        yield journals


async def fill(journal: Journal) -> None:
    """Add a run of each kind; nobody owns one."""
    await keep(journal, started("ended"), step("ended", data=LARGE), finished("ended"))
    await journal.enqueue(started("queued", queue=QueueEntry(pool="small", priority=3)))
    await journal.release(await keep(journal, started("cut"), step("cut")))
    await journal.post("cut", event("m1", LARGE))
    await journal.store_secrets("cut", SECRETS)


async def content(journal: Journal) -> dict[str, tuple[Any, ...]]:
    """Return everything of every run."""
    found = {}
    for each in await journal.runs(RunQuery(limit=10_000)):
        run_id = each.run_id
        inbox = [entry.message for entry in await journal.inbox(run_id)]
        summary = msgspec.structs.replace(each, epoch=0)
        found[run_id] = (
            summary, await journal.records(run_id), inbox, await journal.secrets(run_id),
        )  # fmt: skip
    return found


@pytest.fixture(params=["to memory", "from memory"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[MakeJournal, MakeJournal]:
    store = MemoryStore()
    made = (lambda: SqliteJournal(tmp_path / "runs")), (lambda: MemoryJournal(store))
    return made if request.param == "to memory" else (made[1], made[0])


def test_a_copy_has_every_record_message_value_and_secret_and_the_same_status(
    both: tuple[MakeJournal, MakeJournal],
) -> None:
    async def check() -> None:
        async with opened(*both) as (source, target):
            await fill(source)
            done = await copy_runs(source, target)
            assert (done.runs, done.records, done.messages, done.secrets) == (3, 6, 1, 1)
            assert (done.already_there, done.refused) == (0, 0)
            assert await content(target) == await content(source)
            assert not await target.check()
            taken = await target.take(9, now=NOW, pools=("small", "default"))
            assert [each.run_id for each in taken] == ["cut", "queued"]

    asyncio.run(check())


def test_a_copy_that_was_cut_is_continued_by_doing_it_again(
    both: tuple[MakeJournal, MakeJournal],
) -> None:
    async def check() -> None:
        async with opened(*both) as (source, target):
            await fill(source)
            copies = 0

            async def cut(data: bytes, *, pause: bool = True) -> str:
                nonlocal copies
                copies += 1
                if copies == 2:
                    raise OSError("cut")
                return await importing(data, pause=pause)

            importing, target.import_ = target.import_, cut  # type: ignore[method-assign]
            with pytest.raises(OSError, match="cut"):
                await copy_runs(source, target)
            target.import_ = importing  # type: ignore[method-assign]
            await source.post("cut", event("m2"))
            done = await copy_runs(source, target)
            assert (done.runs + done.already_there, done.refused) == (3, 0)
            assert done.already_there >= 1
            await source.post("cut", event("m3"))  # to a run that is copied already
            done = await copy_runs(source, target)
            assert (done.runs, done.already_there, done.refused) == (0, 3, 0)
            assert await content(target) == await content(source)

    asyncio.run(check())


def test_what_would_be_overwritten_or_is_executed_is_refused_and_the_others_are_copied(
    both: tuple[MakeJournal, MakeJournal],
) -> None:
    async def check() -> None:
        async with opened(*both) as (source, target), opened(both[0]) as (process,):
            await fill(source)
            await keep(process, started("owned"))
            await keep(target, started("ended"), step("ended", name="other"))
            before = await content(target)
            done = await copy_runs(source, target)
            assert (done.runs, done.refused) == (2, 2)
            why = {each.run_id: each.why for each in done.refused_runs}
            assert why.keys() == {"ended", "owned"}
            assert "executes it" in why["ended"]  # in the target
            assert "end that process" in why["owned"]
            assert (await content(target))["ended"] == before["ended"]
            await target.release(await target.claim("ended"))
            done = await copy_runs(source, target)
            assert "another run of this id" in done.refused_runs[0].why
            assert (done.runs, done.already_there, done.refused) == (0, 2, 2)

    asyncio.run(check())


@pytest.mark.parametrize(
    "error",
    [
        JournalDamagedError("a journal", "r7", 1, "bad"),
        RecordNotStorableError("r7", "step", "a zero"),
    ],
)
def test_a_run_that_cannot_be_copied_is_named_and_the_list_is_bounded(error: Exception) -> None:
    async def check() -> None:
        async with opened(MemoryJournal, MemoryJournal) as (source, target):
            for number in range(30):
                await keep(source, started(f"r{number}"), finished(f"r{number}"))

            async def damaged(run_id: str) -> bytes:
                raise error

            source.export = damaged  # type: ignore[method-assign]
            done = await copy_runs(source, target)
            assert (done.runs, done.refused, len(done.refused_runs)) == (0, 30, 20)
            assert done.refused_runs[0].why

    asyncio.run(check())


def test_a_few_runs_are_in_memory_at_a_time_and_each_page_is_said(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(MemoryJournal, MemoryJournal) as (source, target):
            for number in range(600):
                await source.enqueue(started(f"q{number}", queue=QueueEntry()))
            for number in range(600):
                await source.release(await source.create(started(f"r{number}")))
            exports = most = 0
            export, import_ = source.export, target.import_

            async def counted(run_id: str) -> bytes:
                nonlocal exports, most
                exports += 1
                most = max(most, exports)
                await asyncio.sleep(0)
                return await export(run_id)

            async def stored(data: bytes, *, pause: bool = True) -> str:
                nonlocal exports
                exports -= 1
                return await import_(data, pause=pause)

            source.export, target.import_ = counted, stored  # type: ignore[method-assign]
            said: list[int] = []
            done = await copy_runs(source, target, progress=lambda it: said.append(it.runs))
            assert (done.runs, done.records) == (1200, 1200)
            assert 1 < most <= 8
            assert said == [500, 1000, 1200]
            taken = await target.take(1200, now=NOW, pools=("default",))
            queued = [each.run_id for each in taken if each.run_id.startswith("q")]
            assert queued == [f"q{number}" for number in range(600)]

    asyncio.run(check())


def test_secrets_are_left_out_on_request() -> None:
    async def check() -> None:
        async with opened(MemoryJournal, MemoryJournal) as (source, target):
            await fill(source)
            done = await copy_runs(source, target, secrets=False)
            assert done.secrets == 0
            assert await target.secrets("cut") == {
                reference: RunSecret(is_missing=True) for reference in SECRETS
            }

    asyncio.run(check())


def test_a_journal_is_not_copied_into_itself(settings: Settings) -> None:
    copying = copied_journal(settings, settings, secrets=True, progress=lambda _: None)
    with pytest.raises(ConfigError, match="it is the journal that is copied"):
        asyncio.run(copying)
    assert not settings.state_dir.exists()


def test_a_check_counts_the_runs_and_finds_what_does_not_fit(settings: Settings) -> None:
    async def filled() -> None:
        async with opened(lambda: SqliteJournal(settings.state_dir / "runs")) as (journal,):
            await fill(journal)

    asyncio.run(filled())
    found = asyncio.run(checked_journal(settings))
    assert (found.ok, found.runs, found.findings) == (True, 3, [])
    damages = [Damage(what="bad", run_id=f"r{number % 7}") for number in range(25)]
    findings = damage_findings(damages)
    assert len(findings) == 21
    assert "25 in 7 runs" in findings[-1].what
    assert all("doctor --repair" in each.fix for each in findings)
