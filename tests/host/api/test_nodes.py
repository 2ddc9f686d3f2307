"""Nodes and pools by name, and which runs need what, over journals that stand for processes.

`tests/host/serving/test_workers.py` has real processes.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from qtforge_host.api.errors import NotFoundError, QueueInvalidError
from qtforge_host.api.lookup import list_runs
from qtforge_host.api.nodes import NodeClient, needed_plugin
from qtforge_host.api.parts import Parts
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_sdk.journal import Announcement, Journal, RunQuery
from qtforge_sdk.records import QueueEntry, RunPaused
from qtforge_sdk.testing._journal_scenarios import NOW, finished, keep, started


class Opened:
    """A journal that is open already."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def journal(self) -> Journal:
        return self._journal


class Cluster:
    """Processes that use one journal."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self.journal: Journal = MemoryJournal(self._store)
        self.client = NodeClient(cast(Parts, Opened(self.journal)))

    async def node(
        self, name: str, version: str = "1.0", pools: tuple[str, ...] = ("default",)
    ) -> Journal:
        journal = MemoryJournal(self._store)
        plugins = {"ocr": version}
        said = Announcement(node=name, role="worker", pools=pools, capacity=3, plugins=plugins)
        await journal.announce(said)
        return journal


def play(case: Callable[[Cluster], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await case(Cluster())

    asyncio.run(bounded())


def test_a_process_that_says_nothing_is_listed_while_it_executes_runs() -> None:
    async def case(it: Cluster) -> None:
        await it.node("one")
        command = MemoryJournal(it._store)
        assert [each.node for each in (await it.client.list()).nodes] == ["one"]
        await keep(command, started())
        (_, row) = (await it.client.list()).nodes
        assert (row.role, row.runs, row.capacity, row.pools) == ("command", 1, None, [])
        assert row.node == f"{row.host}-{row.pid}"
        await keep(command, started("done"), finished("done"))

    play(case)


def test_a_node_is_found_by_its_name_or_its_name_in_the_journal() -> None:
    async def case(it: Cluster) -> None:
        await it.node("one")
        twins = [await it.node("two"), await it.node("two")]
        assert (await it.client.show("one")).status == "active"
        owners = [(await each.standing()).owner for each in twins]
        assert (await it.client.show(owners[1])).owner == owners[1]
        with pytest.raises(NotFoundError, match="several nodes are named 'two'") as several:
            await it.client.drain("two")
        assert all(owner in several.value.why for owner in owners)
        with pytest.raises(NotFoundError, match="there is no node 'ones'") as none:
            await it.client.resume("ones")
        assert "one" in none.value.fix

    play(case)


def test_a_node_is_drained_when_it_executes_nothing() -> None:
    async def case(it: Cluster) -> None:
        node = await it.node("one")
        ownership = await keep(node, started())
        found = await it.client.drain("one")
        assert (found.status, found.runs) == ("draining", 1)
        waiting = asyncio.create_task(it.client.drain("one", wait=20))
        await asyncio.sleep(0.05)
        await node.append(ownership, [finished()])
        assert (await waiting).status == "drained"
        assert (await it.client.resume("one")).status == "active"

    play(case)


def test_a_drained_node_is_needed_while_runs_need_what_no_other_node_has() -> None:
    async def case(it: Cluster) -> None:
        old, other = await it.node("old", "1.2"), await it.node("other", "1.5")
        await it.node("new", "2.0")
        ownership = await keep(old, started())
        await old.append(ownership, [RunPaused(run_id="run", at=NOW)])
        await old.release(ownership, needs={"ocr": "1"})
        await it.journal.enqueue(started("queued", queue=QueueEntry(needs={"ocr": "1"})))
        assert (await it.client.drain("old")).status == "drained"  # the other has it, too
        await other.close()
        found = await it.client.show("old")
        assert found.status == "draining"
        assert [(each.plugin, each.version, each.runs) for each in found.needed] == [
            ("ocr", "1", 2)
        ]
        assert not (await it.client.show("new")).needed

    play(case)


def test_a_drained_node_is_needed_while_runs_have_begun_in_a_pool_of_it_alone() -> None:
    async def case(it: Cluster) -> None:
        alone = await it.node("alone", pools=("default", "reports"))
        await it.node("other")
        await it.journal.enqueue(started("queued", queue=QueueEntry(pool="reports")))
        assert (await it.client.drain("alone")).status == "drained"  # it takes none from the queue
        (found,) = await alone.take(1, now=NOW, pools=("reports",))
        await alone.append(found, [RunPaused(run_id="queued", at=NOW)])
        await alone.release(found)
        node = await it.client.show("alone")
        assert [(each.pool, each.runs) for each in node.needed_pools] == [("reports", 1)]
        assert not node.needed
        statuses = {each.node: each.status for each in (await it.client.list()).nodes}
        assert (node.status, statuses) == ("draining", {"alone": "draining", "other": "active"})
        await it.node("second", pools=("reports",))
        assert (await it.client.show("alone")).status == "drained"

    play(case)


def test_pools_are_those_of_runs_and_of_nodes_and_those_that_are_paused() -> None:
    async def case(it: Cluster) -> None:
        await it.node("one", pools=("default", "reports"))
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        await it.journal.enqueue(started("a", queue=QueueEntry(pool="lonely")))
        await it.journal.enqueue(started("b", queue=QueueEntry(pool="reports", not_before=later)))
        assert [(each.pool, each.status) for each in (await it.client.pause_pool("off")).pools] == [
            ("off", "paused")
        ]
        rows = {each.pool: each for each in (await it.client.pools()).pools}
        assert sorted(rows) == ["default", "lonely", "off", "reports"]
        assert [rows[each].nodes for each in sorted(rows)] == [1, 0, 0, 1]
        assert (rows["reports"].queued, rows["reports"].oldest_wait_s) == (1, 0.0)
        assert (rows["lonely"].oldest_wait_s or 0) > 0
        assert rows["default"].oldest_wait_s is None
        (resumed,) = (await it.client.resume_pool("off")).pools
        assert (resumed.pool, resumed.status, resumed.queued) == ("off", "active", 0)
        for name in ("", "a b", "-x", "x" * 65, "a\n"):
            with pytest.raises(QueueInvalidError):
                await it.client.pause_pool(name)

    play(case)


@pytest.mark.parametrize(
    "text", ["", "ocr", "ocr=1", "ocr==", "==1", "ocr==1\n", "o c==1", "a==b==c"]
)
def test_what_is_no_plugin_with_a_version_is_refused(text: str) -> None:
    with pytest.raises(QueueInvalidError, match="NAME==VERSION"):
        needed_plugin(text)


def test_interrupted_runs_are_found_by_what_they_need() -> None:
    async def case(it: Cluster) -> None:
        node = await it.node("one")
        await keep(node, started())
        await node.note_needs({"run": {"ocr": "1"}})
        query = RunQuery(statuses=frozenset({"running", "interrupted"}), needs=("ocr", "1"))
        assert [each.status for each in (await list_runs(it.journal, query)).runs] == ["running"]
        await node.close()
        assert [each.status for each in (await list_runs(it.journal, query)).runs] == [
            "interrupted"
        ]

    play(case)
