"""Many writers share a transaction, fairly, and a failed one affects only itself."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from qtforge_host.journal import waiting_rows
from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.database import FileWatch, connect, prepare
from qtforge_host.journal.group import GroupCommit
from qtforge_host.journal.schema import MOST_ROWS
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.journal.store import SqliteStore
from qtforge_sdk.errors import QtForgeError, StateDirectoryError
from qtforge_sdk.journal import Ownership
from qtforge_sdk.journal_errors import RunExistsError, StaleOwnerError
from qtforge_sdk.journal_kit.jobs import Change
from qtforge_sdk.journal_kit.writer import Writer
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing._journal_scenarios import NOW, event, keep, names, started, step, steps_of


def make_group(directory: Path) -> GroupCommit:
    prepare(directory / "journal.sqlite3")
    return GroupCommit(connect(directory / "journal.sqlite3"), "me", BlobFiles(directory / "blobs"))


def store_of(group: GroupCommit, directory: Path) -> SqliteStore:
    return SqliteStore(group, directory, FileWatch(directory / "journal.sqlite3"))


class Counting(GroupCommit):
    """Records how many jobs each transaction had."""

    sizes: list[int]

    def commit(self, jobs, *rest):  # type: ignore[no-untyped-def]
        self.sizes.append(len(jobs))
        return super().commit(jobs, *rest)


def test_jobs_that_wait_together_are_written_together(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        prepare(tmp_path / "journal.sqlite3")
        group = Counting(connect(tmp_path / "journal.sqlite3"), "me", BlobFiles(tmp_path / "b"))
        group.sizes = []
        writer = Writer(store_of(group, tmp_path))
        await asyncio.gather(*(writer.submit(Change(lambda _: 1)) for _ in range(200)))
        await writer.close()
        return group.sizes

    assert asyncio.run(scenario()) == [200]


def test_more_than_the_queue_holds_is_written_in_turns(tmp_path: Path) -> None:
    async def scenario() -> None:
        writer = Writer(store_of(make_group(tmp_path), tmp_path))
        numbers = range(5000)
        jobs = [Change(lambda _, number=number: number) for number in numbers]  # type: ignore[misc]
        assert await asyncio.gather(*map(writer.submit, jobs)) == list(numbers)
        await writer.close()

    asyncio.run(scenario())


def test_a_busy_run_does_not_keep_a_quiet_one_waiting(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        busy, *quiet = names(8)
        counts = dict.fromkeys((busy, *quiet), 0)

        async def write(name: str, lanes: int) -> None:
            ownership = await keep(journal, started(name))

            async def lane() -> None:
                while counts[busy] < 50 * 60:
                    await journal.append(ownership, [step(name)])
                    counts[name] += 1

            await asyncio.gather(*(lane() for _ in range(lanes)))

        await asyncio.gather(write(busy, 50), *(write(name, 1) for name in quiet))
        await journal.close()
        # One of the 50 lanes gets about what a quiet run gets.
        assert min(counts[name] for name in quiet) > counts[busy] / 50 / 3

    asyncio.run(scenario())


def test_an_error_of_one_job_leaves_the_others(tmp_path: Path) -> None:
    def refuse(_: GroupCommit) -> None:
        raise QtForgeError("no")

    async def scenario() -> None:
        writer = Writer(store_of(make_group(tmp_path), tmp_path))
        jobs = [Change(lambda _: 1), Change(refuse), Change(lambda _: 2)]
        outcomes = await asyncio.gather(*map(writer.submit, jobs), return_exceptions=True)
        assert [outcomes[0], outcomes[2]] == [1, 2]
        assert isinstance(outcomes[1], QtForgeError)
        await writer.close()

    asyncio.run(scenario())


def test_a_fault_in_the_writer_is_raised_and_nothing_more_is_written(tmp_path: Path) -> None:
    def broken(_: GroupCommit) -> None:
        raise ZeroDivisionError("a fault")

    async def scenario() -> None:
        writer = Writer(store_of(make_group(tmp_path), tmp_path))
        for job in (Change(broken), Change(lambda _: 1)):
            with pytest.raises(StateDirectoryError) as caught:
                await writer.submit(job)
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
        await writer.close()
        with pytest.raises(StateDirectoryError, match="closed"):
            await writer.submit(Change(lambda _: 1))

    asyncio.run(scenario())


def test_a_full_file_refuses_an_append_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        ownership = await keep(journal, started())
        assert journal._open is not None
        writer = journal._open.writer

        def allow(pages: int) -> Change:
            return Change(
                lambda group: group.connection.execute(
                    f"PRAGMA max_page_count = {pages:d}"
                ).fetchone()
            )

        assert writer is not None
        await writer.submit(allow(1))

        async def fill() -> None:
            for number in range(1000):
                await journal.append(ownership, [step(name=str(number), data="z" * 4000)])

        with pytest.raises(StateDirectoryError, match="full"):
            await fill()
        kept = steps_of(await journal.records("run"))
        await writer.submit(allow(100_000))
        await journal.append(ownership, [step(name="room")])
        assert steps_of(await journal.records("run")) == [*kept, "room"]
        assert not await journal.check()
        await journal.close()

    asyncio.run(scenario())


def test_an_append_whose_caller_is_cancelled_is_not_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        ownership = await keep(journal, started())
        data = {True: "x" * 300_000, False: "small"}
        for number in range(40):
            record = step(name=str(number), data=data[number % 5 == 0])
            task = asyncio.ensure_future(journal.append(ownership, [record]))
            for _ in range(1 + number % 4):  # one turn of the loop hands it in
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await journal.close()
        await journal.open()
        steps = steps_of(await journal.records("run"))
        assert sorted(steps, key=int) == [str(number) for number in range(40)]
        await journal.close()

    asyncio.run(scenario())


def test_an_append_whose_ownership_has_ended_is_refused_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        first, second, third = [await keep(journal, started(name)) for name in names(3)]
        newer = await journal.claim(second.run_id)
        outcomes = await asyncio.gather(
            *(
                journal.append(each, [step(each.run_id, str(place))])
                for place, each in enumerate((first, second, third, newer, first))
            ),
            return_exceptions=True,
        )
        assert [type(each) for each in outcomes] == [
            type(None), StaleOwnerError, type(None), type(None), type(None),
        ]  # fmt: skip
        kept = [steps_of(await journal.records(each.run_id)) for each in (first, newer, third)]
        assert kept == [["0", "4"], ["3"], ["2"]]
        await journal.append(first, [step(first.run_id, "5")])  # its place is still known
        assert steps_of(await journal.records(first.run_id)) == ["0", "4", "5"]
        assert not await journal.check()
        await journal.close()

    asyncio.run(scenario())


def test_of_runs_that_are_created_together_only_the_second_of_a_name_is_refused(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        several = names(70)
        outcomes = await asyncio.gather(
            *(journal.create(started(name)) for name in (*several, several[3])),
            return_exceptions=True,
        )
        assert isinstance(outcomes[-1], RunExistsError)
        for name, ownership in zip(several, outcomes[:-1], strict=True):
            assert isinstance(ownership, Ownership)
            await journal.append(ownership, [step(name)])
            assert [record.run_id for record in await journal.records(name)] == [name, name]
        assert not await journal.check()
        await journal.close()

    asyncio.run(scenario())


def test_more_records_than_one_statement_takes_are_stored_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        (name,) = names(1)
        ownership = await keep(journal, started(name))
        steps = [str(number) for number in range(MOST_ROWS + 1)]
        await journal.append(ownership, [step(name, each) for each in steps[:-1]])
        await journal.append(ownership, [step(name, each) for each in steps])
        kept = steps_of(await journal.records(name))
        assert kept == [*steps[:-1], *steps]
        assert not await journal.check()
        await journal.close()

    asyncio.run(scenario())


def test_a_message_to_many_that_is_stopped_in_the_middle_was_sent_to_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for run_id in ("one", "two"):
            kept = CheckpointSaved(run_id=run_id, at=NOW, state={}, key="k")
            await journal.append(await journal.create(started(run_id)), [kept])
        with monkeypatch.context() as patch:
            patch.setattr(waiting_rows, "_ARRIVE", "INSERT INTO nowhere SELECT ?")
            with pytest.raises(StateDirectoryError):
                await journal.post_to_key("letters", "k", event("m1"))
        assert not (await journal.deliveries("")).messages
        assert await journal.post_to_key("letters", "k", event("m1")) == 2
        assert [each.run_id for each in (await journal.deliveries("")).messages] == ["one", "two"]
        await journal.close()

    asyncio.run(scenario())
