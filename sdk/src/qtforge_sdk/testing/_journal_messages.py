"""The part of the journal contract about inboxes, changes and archives."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
import hashlib

import msgspec
import pytest

from qtforge_sdk.journal import RunQuery
from qtforge_sdk.journal_errors import (
    ArchiveInvalidError,
    RecordNotStorableError,
    RunExistsError,
    RunNotFoundError,
)
from qtforge_sdk.records import CheckpointSaved, QueueEntry, RunPaused, RunResumed
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    event,
    finished,
    keep,
    scenario,
    started,
    step,
    steps_of,
)

__all__ = ["ArchiveContract", "InboxContract"]


class InboxContract:
    """What anybody may send to a run."""

    @scenario
    async def test_messages_are_read_in_the_order_of_posting(self, journals: Journals) -> None:
        owner, other = await journals.open(), await journals.open()
        await keep(owner, started())
        first = (await other.post("run", event("m1", {"by": "Ada"}))).position
        second = (await owner.post("run", event("m2", kind="cancel"))).position
        assert first < second
        entries = await owner.inbox("run")
        assert [(entry.position, entry.message) for entry in entries] == [
            (first, event("m1", {"by": "Ada"})),
            (second, event("m2", kind="cancel")),
        ]
        assert [entry.position for entry in await owner.inbox("run", first)] == [second]
        assert not await owner.inbox("run", second)

    @scenario
    async def test_a_message_posted_twice_is_there_once(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started())
        position = (await journal.post("run", event("m1"))).position
        assert await journal.post("run", event("m1")) == (position, False)
        assert len(await journal.inbox("run")) == 1
        assert (await journal.post("run", event("m2"))).is_new

    @scenario
    async def test_a_message_id_counts_for_each_run(self, journals: Journals) -> None:
        journal = await journals.open()
        for run_id in ("one", "two"):
            await keep(journal, started(run_id))
            await journal.post(run_id, event("same"))
            assert len(await journal.inbox(run_id)) == 1

    @scenario
    async def test_a_large_message_comes_back(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started())
        await journal.post("run", event("m1", "x" * 400_000))
        assert (await journal.inbox("run"))[0].message.data == "x" * 400_000

    @scenario
    async def test_a_message_to_nobody_is_refused(self, journals: Journals) -> None:
        journal = await journals.open()
        with pytest.raises(RunNotFoundError):
            await journal.post("nobody", event("m1"))
        with pytest.raises(RunNotFoundError):
            await journal.inbox("nobody")

    @scenario
    async def test_a_message_that_has_no_encoding_is_refused(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started())
        with pytest.raises(RecordNotStorableError):
            await journal.post("run", event("m1", object()))
        assert not await journal.inbox("run")

    @scenario
    async def test_a_post_of_this_or_another_process_wakes_who_waits(
        self, journals: Journals
    ) -> None:
        owner, other = await journals.open(), await journals.open()
        await keep(owner, started())
        while await owner.changed(0.2):
            pass
        for number, journal in enumerate((owner, other)):
            waiting = asyncio.ensure_future(owner.changed(10))
            await asyncio.sleep(0.01)
            await journal.post("run", event(f"m{number}"))
            assert await waiting
            assert len(await owner.inbox("run")) == number + 1

    @scenario
    async def test_without_a_change_the_wait_ends_in_time(self, journals: Journals) -> None:
        journal = await journals.open()
        while await journal.changed(0.2):
            pass
        assert not await journal.changed(0.02)


class ArchiveContract:
    """A run as bytes, and back."""

    @scenario
    async def test_an_exported_run_is_forgotten_and_imported_as_it_was(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        large = {"text": "y" * 400_000}
        await keep(journal, started(), step(data=large), finished(result=large))
        await journal.post("run", event("m1", "z" * 400_000))
        before = await journal.records("run")
        data = await journal.export("run")
        assert await journal.prune(NOW + datetime.timedelta(days=1)) == 1
        assert await journal.import_(data) == "run"
        assert await journal.records("run") == before
        assert [entry.message for entry in await journal.inbox("run")] == [
            event("m1", "z" * 400_000)
        ]
        summary = (await journal.runs(RunQuery()))[0]
        assert (summary.status, summary.owner_alive) == ("succeeded", False)
        assert not await journal.check()

    @scenario
    async def test_an_unfinished_run_is_paused_by_its_import_until_it_is_resumed(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started(), step(name="a"))
        data = await journal.export("run")
        await journal.append(ownership, [finished()])
        await journal.prune(NOW + datetime.timedelta(days=1))
        await journal.import_(data)
        assert not await journal.unfinished()
        assert (await journal.runs(RunQuery()))[0].status == "paused"
        assert (await journal.records("run"))[-1] == RunPaused(run_id="run", at=NOW, by="import")
        assert await journal.import_(data) == "run"
        again = await journal.export("run")
        ownership = await journal.claim("run")
        going = RunResumed(run_id="run", at=NOW, owner=ownership.owner, plugins={})
        await journal.append(ownership, [going, step(name="b")])
        assert steps_of(await journal.records("run")) == ["a", "b"]
        await journal.release(ownership)
        assert list(await journal.unfinished()) == ["run"]
        with pytest.raises(RunExistsError):
            await journal.import_(again)

    @scenario
    async def test_a_run_that_is_not_paused_by_its_import_continues_where_it_was(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        later = NOW + datetime.timedelta(hours=1)
        queue = QueueEntry(pool="small", priority=7, not_before=later)
        await journal.enqueue(started("queued", queue=queue))
        await keep(journal, started("interrupted"), step("interrupted"))
        waits = CheckpointSaved(
            run_id="waits", at=NOW, state={}, label="here", accepts=("go",),
            timers={"t": later}, timers_set=("t",),
        )  # fmt: skip
        await keep(journal, started("waits"), waits)
        await journal.post("waits", event("m1"))
        run_ids = ("queued", "interrupted", "waits")
        archives = [await journal.export(each) for each in run_ids]
        before = [await journal.records(each) for each in run_ids]
        for each in run_ids:
            await journal.append(await journal.claim(each), [finished(each)])
        assert await journal.prune(later) == len(run_ids)
        for archive in archives:
            await journal.import_(archive, pause=False)
            await journal.import_(archive, pause=False)
        assert [await journal.records(each) for each in run_ids] == before
        statuses = {each.run_id: each.status for each in await journal.runs(RunQuery())}
        assert statuses == {"queued": "queued", "interrupted": "running", "waits": "waiting"}
        summary = await journal.summary("queued")
        assert (summary.pool, summary.priority) == ("small", 7)
        assert await journal.next_due(NOW) == later
        assert list(await journal.unfinished()) == ["interrupted"]
        taken = await journal.take(10, now=NOW)
        assert [each.run_id for each in taken] == ["interrupted", "waits"]
        taken = await journal.take(10, now=later, pools=("small",))
        assert [each.run_id for each in taken] == ["queued"]

    @scenario
    async def test_messages_to_an_imported_run_follow_those_that_its_checkpoints_name(
        self, journals: Journals
    ) -> None:
        # Another journal has counted messages up to 5000.
        journal = await journals.open()
        far = CheckpointSaved(
            run_id="run", at=NOW, state={}, label="here", accepts=("go",), event="go",
            event_id="m0", inbox=5000,
        )  # fmt: skip
        await keep(journal, started(), far)
        for each in ("m0", "m1"):
            await journal.post("run", event(each))
        archive = await journal.export("run")
        await journal.append(await journal.claim("run"), [finished()])
        await journal.prune(NOW + datetime.timedelta(days=1))
        await journal.import_(archive, pause=False)
        await journal.post("run", event("m2"))
        pending = await journal.pending("run", 5000)
        assert [each.message.message_id for each in pending] == ["m1", "m2"]
        handled = msgspec.structs.replace(far, event_id="m1", inbox=pending[0].position)
        await journal.append(await journal.claim("run"), [handled])
        assert [each.message.message_id for each in await journal.pending("run")] == ["m2"]
        beyond = msgspec.structs.replace(far, run_id="beyond", inbox=1 << 62)
        await keep(journal, started("beyond"), beyond)
        forged = await journal.export("beyond")
        with pytest.raises(ArchiveInvalidError):
            await journal.import_(forged)

    @scenario
    async def test_the_id_of_an_imported_or_new_run_is_a_plain_name(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await journal.create(started())
        body = (await journal.export("run"))[44:]
        for bad in ("../", "a/b", "..", ".a", "-a", "a b", "a\x1b", "é", ""):
            packed = msgspec.msgpack.encode(bad)
            forged = body.replace(msgspec.msgpack.encode("run"), packed)
            head = (await journal.export("run"))[:12]
            with pytest.raises(ArchiveInvalidError):
                await journal.import_(head + hashlib.sha256(forged).digest() + forged)
            with pytest.raises(RecordNotStorableError):
                await journal.create(started(bad))
        with pytest.raises(RecordNotStorableError):
            await journal.create(started("a" * 129))
        await journal.create(started("a" * 128))

    @scenario
    async def test_the_same_run_once_more_is_no_change_and_another_is_refused(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        data = await journal.export("run")
        assert await journal.import_(data) == "run"
        await journal.append(ownership, [step()])
        with pytest.raises(RunExistsError):
            await journal.import_(data)
        assert len(await journal.records("run")) == 2

    @scenario
    async def test_an_archive_that_was_changed_is_refused(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started())
        data = await journal.export("run")
        flipped = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
        newer = data[:11] + bytes([data[11] + 1]) + data[12:]
        for bad in (b"", b"PK\x03\x04", data[:20], data[:-1], flipped, newer):
            with pytest.raises(ArchiveInvalidError):
                await journal.import_(bad)

    @scenario
    async def test_an_unknown_run_cannot_be_exported(self, journals: Journals) -> None:
        journal = await journals.open()
        with pytest.raises(RunNotFoundError):
            await journal.export("nobody")
