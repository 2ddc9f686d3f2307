"""The part of the journal contract about processes, what they are requested to do, and pools."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
import os
import socket
from typing import Final

from qtforge_sdk.journal import Announcement, Journal, RunQuery, Standing
from qtforge_sdk.placement import Placement
from qtforge_sdk.records import QueueEntry, RunBlocked
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    event,
    finished,
    keep,
    scenario,
    started,
)

__all__ = ["NodesContract"]

_LATER = NOW + datetime.timedelta(hours=1)
_LOOK_S: Final = 0.05


def announcement(node: str = "one", **fields: object) -> Announcement:
    """Return what a process says of itself."""
    given = {"role": "worker", "pools": ("default",), "capacity": 8, "plugins": {"ocr": "1.2"}}
    return Announcement(node=node, **(given | fields))  # type: ignore[arg-type]


async def until_standing(journal: Journal, *, draining: bool, unlike: str = "-") -> Standing:
    """Wait until a journal is requested to drain, or not, and has other nodes than before."""
    while True:
        standing = await journal.standing()
        if standing.draining == draining and standing.nodes != unlike:
            return standing
        await asyncio.sleep(_LOOK_S)


async def takes(journal: Journal, limit: int = 100, **options: object) -> list[str]:
    """Take runs, and return their ids."""
    taken = await journal.take(limit, now=NOW, **options)  # type: ignore[arg-type]
    return [each.run_id for each in taken]


class NodesContract:
    """Which processes use a journal, and which runs they take on request."""

    @scenario
    async def test_each_open_journal_is_an_owner_with_its_runs(self, journals: Journals) -> None:
        first, second = await journals.open(), await journals.open()
        await keep(first, started("a"))
        await keep(first, started("b"))
        await keep(first, started("done"), finished("done"))
        mine = (await keep(second, started("c"))).owner
        one, two = await second.owners()
        assert (one.runs, two.runs, two.owner) == (2, 1, mine)
        assert (one.pid, one.host) == (os.getpid(), socket.gethostname())
        assert one.since <= two.since
        assert one.announcement is None
        assert not one.draining
        await first.close()
        assert [each.owner for each in await second.owners()] == [mine]

    @scenario
    async def test_what_a_process_says_of_itself_is_what_others_read(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        before = (await second.standing()).nodes
        await first.announce(announcement("old"))
        placement = Placement(empty=False, since=1_796_049_587.25, place="here")
        said = announcement(
            "new",
            pools=("a", "b"),
            capacity=3,
            plugins={"ocr": "2.0", "x": "1"},
            placements={"x": placement},
        )
        await first.announce(said)
        one, two = await second.owners()
        assert (one.announcement, two.announcement) == (said, None)
        nodes = (await until_standing(second, draining=False, unlike=before)).nodes
        await first.close()
        await until_standing(second, draining=False, unlike=nodes)
        assert [each.announcement for each in await second.owners()] == [None]
        await first.open()  # it is another process, which has said nothing
        assert [each.announcement for each in await second.owners()] == [None, None]

    @scenario
    async def test_a_process_that_is_drained_learns_it_until_it_is_resumed(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        await first.announce(announcement("one"))
        await second.announce(announcement("two"))
        owner = (await first.owners())[0].owner
        await until_standing(first, draining=False)
        assert await second.drain(owner, draining=True)
        await until_standing(first, draining=True)
        assert [each.draining for each in await second.owners()] == [True, False]
        assert not (await second.standing()).draining
        await first.announce(announcement("one", capacity=2))  # which changes nothing of it
        assert [each.draining for each in await second.owners()] == [True, False]
        assert await second.drain(owner, draining=False)
        await until_standing(first, draining=False)
        assert not await second.drain("nobody", draining=True)
        await first.close()
        assert not await second.drain(owner, draining=True)

    @scenario
    async def test_pools_count_what_waits_and_executes(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        assert not await journal.pools()
        await journal.enqueue(started("a", queue=QueueEntry(not_before=_LATER)))
        await journal.enqueue(started("b", at=_LATER, queue=QueueEntry()))
        await journal.enqueue(started("c", queue=QueueEntry(pool="reports", not_before=_LATER)))
        await keep(other, started("d"))
        await journal.release(await keep(journal, started("e")))
        await keep(journal, started("done"), finished("done"))
        default, reports = await other.pools()
        assert (default.pool, default.queued, default.executing) == ("default", 2, 1)
        assert (reports.pool, reports.queued, reports.executing) == ("reports", 1, 0)
        assert (default.oldest_at, reports.oldest_at) == (_LATER, _LATER)
        await journal.enqueue(started("f", queue=QueueEntry()))
        default, _ = await other.pools()
        assert (default.queued, default.oldest_at, default.paused) == (3, NOW, False)

    @scenario
    async def test_queued_runs_of_a_paused_pool_are_not_taken(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await journal.enqueue(started("a", queue=QueueEntry()))
        await journal.enqueue(started("b", queue=QueueEntry(pool="reports")))
        await journal.release(await keep(journal, started("begun")))
        assert await journal.pause_pool("default", paused=True)
        assert not await journal.pause_pool("default", paused=True)
        assert await journal.pause_pool("empty", paused=True)
        assert [(each.pool, each.paused) for each in await other.pools()] == [
            ("default", True), ("empty", True), ("reports", False),
        ]  # fmt: skip
        assert await takes(other) == ["begun", "b"]
        assert await other.pause_pool("default", paused=False)
        assert not await other.pause_pool("default", paused=False)
        assert await takes(other) == ["a"]

    @scenario
    async def test_runs_that_have_begun_are_taken_by_their_pools_too(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        for run_id, pool in (("a", "default"), ("b", "reports"), ("c", "more")):
            await journal.enqueue(started(run_id, queue=QueueEntry(pool=pool)))
        for ownership in await journal.take(5, now=NOW):
            blocked = RunBlocked(run_id=ownership.run_id, at=NOW, reason="versions")
            await journal.append(ownership, [blocked])
            await journal.release(ownership)
        await journal.enqueue(started("d", queue=QueueEntry(pool="reports")))
        assert not await takes(journal, again=True, pools=())
        assert await takes(journal, again=True, pools=("reports", "x"), queued=False) == ["b"]
        assert await takes(journal, again=True, pools=("reports", "more")) == ["c", "d"]
        listed = await journal.runs(RunQuery(pool="reports", oldest_first=True))
        assert [each.run_id for each in listed] == ["b", "d"]

    @scenario
    async def test_runs_are_found_left_and_taken_by_the_plugins_that_they_need(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        for run_id in ("a", "b", "c"):
            await keep(journal, started(run_id))
        await journal.note_needs({"a": {"ocr": "1"}, "b": {"ocr": "2", "x": "1"}, "nobody": {}})
        await other.note_needs({"c": {"ocr": "1"}})  # it does not own it
        await journal.enqueue(started("q", queue=QueueEntry(needs={"ocr": "1"})))
        found = await other.runs(RunQuery(needs=("ocr", "1"), oldest_first=True))
        assert [each.run_id for each in found] == ["a", "q"]
        assert not await other.runs(RunQuery(needs=("ocr", "3")))
        assert (
            len(await other.runs(RunQuery(needs=("x", "1"), statuses=frozenset({"running"})))) == 1
        )
        await journal.close()
        leave = {("ocr", "1"), ("y", "9")}
        assert await takes(other, 1, needing={("x", "1")}, leave=leave) == ["b"]
        assert await takes(other, leave=leave) == ["c"]
        able = {"ocr": "1"}
        assert await takes(other, needing={("ocr", "1")}, able=able) == ["a", "q"]

    @scenario
    async def test_what_a_run_needs_may_be_noted_with_its_release(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await journal.release(await keep(journal, started("a")), needs={"ocr": "1"})
        assert not await takes(other, leave={("ocr", "1")})
        (ownership,) = await other.take(1, now=NOW)
        await other.release(ownership)  # and it stays so
        assert await takes(journal, needing={("ocr", "1")}) == ["a"]

    @scenario
    async def test_a_run_that_was_not_executed_still_says_that_its_process_died(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        await keep(first, started("dead"))
        await first.close()
        (ownership,) = await second.take(1, now=NOW)
        assert ownership.took_over
        await second.release(ownership, unused=True)
        assert not (await second.summary("dead")).owner_alive
        (ownership,) = await second.take(1, now=NOW)
        assert ownership.took_over
        await second.release(ownership)
        await second.post("dead", event("m"))
        (ownership,) = await second.take(1, now=NOW)
        assert not ownership.took_over
        await second.release(ownership, unused=True)
        assert not (await second.claim("dead")).took_over
