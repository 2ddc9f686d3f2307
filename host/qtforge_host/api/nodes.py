"""The use cases of operators: the processes that take runs, and the pools that runs wait in."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec

from qtforge_host.api.documents import (
    NeededPlugin,
    NeededPool,
    NodeDocument,
    NodeRow,
    Nodes,
    PoolRow,
    Pools,
)
from qtforge_host.api.errors import NotFoundError, QueueInvalidError
from qtforge_host.api.parts import Parts
from qtforge_host.api.queueing import check_pool
from qtforge_host.config.settings import Settings
from qtforge_host.major_versions import major
from qtforge_host.runs.peers import plugins_of
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.journal import Journal, JournalOwner, PoolState, RunQuery
from qtforge_sdk.run_status import UNFINISHED
from qtforge_sdk.validation import did_you_mean

__all__ = ["NodeClient", "needed_plugin", "node_rows", "open_nodes", "pool_rows"]

_NEEDS: Final = r"([A-Za-z0-9][A-Za-z0-9._-]{0,127})==([A-Za-z0-9][A-Za-z0-9.+!_-]{0,63})"
_POLL_S: Final = 0.25
_COUNTED: Final = 1000  # runs that need a plugin; more are given as this number


@contextlib.asynccontextmanager
async def open_nodes(settings: Settings) -> AsyncIterator[NodeClient]:
    """Give the use cases of nodes and pools; the journal is opened when one needs it."""
    parts = Parts(settings)
    try:
        yield NodeClient(parts)
    finally:
        await parts.close()


class NodeClient:
    """Lists nodes and pools, drains and resumes nodes, and pauses and resumes pools.

    Args:
        parts: The journal; the caller closes it.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self) -> Nodes:
        """List the live processes that take runs, or execute some."""
        journal = await self._journal()
        owners = await journal.owners()
        rows = node_rows(owners)
        for place, row in enumerate(rows):
            if row.status == "drained" and any(await _needed(journal, row, owners)):
                rows[place] = msgspec.structs.replace(row, status="draining")
        return Nodes(nodes=rows)

    async def show(self, name: str) -> NodeDocument:
        """Return a node, and the runs that need a plugin or pool that no other node has.

        Args:
            name: Its name, or its name in the journal (``owner``).

        Raises:
            NotFoundError: There is no such node, or there are several.
        """
        journal = await self._journal()
        return await _document(journal, *await _find(journal, name))

    async def drain(self, name: str, *, wait: Duration = 0) -> NodeDocument:
        """Let a node begin nothing new and hand its runs over, and wait until that is done.

        It is done when the node executes nothing, and no run needs it: no unfinished one a
        version of a plugin, and none that has begun a pool, that no other node has.

        Args:
            name: The node; see `show`.
            wait: How long to wait at most.

        Raises:
            NotFoundError: There is no such node, or there are several.
        """
        journal = await self._journal()
        node, _ = await _find(journal, name)
        await _request(journal, node, draining=True)
        until = time.monotonic() + wait_seconds(wait)
        while True:
            found = await _document(journal, *await _find(journal, node.owner))
            if found.status == "drained" or time.monotonic() >= until:
                return found
            await asyncio.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))

    async def resume(self, name: str) -> NodeDocument:
        """Let a drained node take runs again.

        Raises:
            NotFoundError: There is no such node, or there are several.
        """
        journal = await self._journal()
        node, _ = await _find(journal, name)
        await _request(journal, node, draining=False)
        return await _document(journal, *await _find(journal, node.owner))

    async def pools(self) -> Pools:
        """List the pools that have unfinished runs, that nodes serve, or that are paused."""
        journal = await self._journal()
        now = datetime.datetime.now(datetime.UTC)
        return Pools(pools=pool_rows(await journal.pools(), await journal.owners(), now))

    async def pause_pool(self, pool: str) -> Pools:
        """Let no process take queued runs of a pool; return the pool.

        Raises:
            QueueInvalidError: It can't be the name of a pool.
        """
        return await self._set_paused(pool, paused=True)

    async def resume_pool(self, pool: str) -> Pools:
        """Let queued runs of a pool be taken again; return the pool.

        Raises:
            QueueInvalidError: It can't be the name of a pool.
        """
        return await self._set_paused(pool, paused=False)

    async def _set_paused(self, pool: str, *, paused: bool) -> Pools:
        check_pool(pool)
        await (await self._journal()).pause_pool(pool, paused=paused)
        found = [each for each in (await self.pools()).pools if each.pool == pool]
        return Pools(
            pools=found or [_pool_row(pool, None, (), datetime.datetime.now(datetime.UTC))]
        )

    async def _journal(self) -> Journal:
        return await self._parts.journal()


def needed_plugin(text: str) -> tuple[str, str]:
    """Return the plugin and the first number of its version from ``NAME==VERSION``.

    >>> needed_plugin("ocr==2.1")
    ('ocr', '2')

    Raises:
        QueueInvalidError: It is written otherwise.
    """
    found = re.fullmatch(_NEEDS, text)
    if found is None:
        raise QueueInvalidError(
            f"the plugin {text!a} can't be looked for", "it is not NAME==VERSION", "such as ocr==1"
        )
    return found[1], major(found[2])


def node_rows(owners: Iterable[JournalOwner]) -> list[NodeRow]:
    """Return the processes that take runs, or execute some."""
    return [_row(each) for each in owners if each.announcement is not None or each.runs]


def pool_rows(
    states: Sequence[PoolState], owners: Sequence[JournalOwner], now: datetime.datetime
) -> list[PoolRow]:
    """Return the pools that have unfinished runs, that nodes serve, or that are paused."""
    served = [
        pool
        for each in owners
        if each.announcement is not None and not each.draining
        for pool in each.announcement.pools
    ]
    known = {each.pool: each for each in states}
    return [_pool_row(pool, known.get(pool), served, now) for pool in sorted({*known, *served})]


def _pool_row(
    pool: str, state: PoolState | None, served: Sequence[str], now: datetime.datetime
) -> PoolRow:
    oldest = None if state is None else state.oldest_at
    return PoolRow(
        pool=pool,
        status="paused" if state is not None and state.paused else "active",
        queued=0 if state is None else state.queued,
        executing=0 if state is None else state.executing,
        nodes=served.count(pool),
        oldest_wait_s=None if oldest is None else max(0.0, (now - oldest).total_seconds()),
    )


def _row(owner: JournalOwner) -> NodeRow:
    said = owner.announcement
    status = "drained" if not owner.runs else "draining"
    return NodeRow(
        node=f"{owner.host}-{owner.pid}" if said is None else said.node,
        owner=owner.owner,
        role="command" if said is None else said.role,
        status=status if owner.draining else "active",
        host=owner.host,
        pid=owner.pid,
        since=owner.since,
        runs=owner.runs,
        capacity=None if said is None else said.capacity,
        pools=[] if said is None else list(said.pools),
        plugins={} if said is None else dict(said.plugins),
        lease_s=owner.lease_s,
        lease_left_s=owner.lease_left_s,
    )


async def _find(journal: Journal, name: str) -> tuple[NodeRow, Sequence[JournalOwner]]:
    """Return the node of a name, and all processes.

    Raises:
        NotFoundError: There is no such node, or there are several.
    """
    owners = await journal.owners()
    rows = node_rows(owners)
    found = [each for each in rows if name in (each.node, each.owner)]
    if not found:
        names = [each.node for each in rows]
        fix = did_you_mean(name, names, "qtforge-host nodes list shows them")
        raise NotFoundError(f"there is no node '{name}'", "", fix)
    if len(found) > 1:
        which = ", ".join(f"{each.owner} (process {each.pid} on {each.host})" for each in found)
        raise NotFoundError(f"several nodes are named '{name}'", which, "give one of these instead")
    return found[0], owners


async def _request(journal: Journal, node: NodeRow, *, draining: bool) -> None:
    if not await journal.drain(node.owner, draining=draining):
        why = "its process has ended"
        raise NotFoundError(f"there is no node '{node.node}'", why, "qtforge-host nodes list")


async def _document(
    journal: Journal, node: NodeRow, owners: Sequence[JournalOwner]
) -> NodeDocument:
    """Return a node, with how many runs need what no other node has."""
    needed, pools = await _needed(journal, node, owners)
    fields = {field: getattr(node, field) for field in NodeRow.__struct_fields__}
    if (needed or pools) and fields["status"] == "drained":
        fields["status"] = "draining"
    return NodeDocument(**fields, needed=needed, needed_pools=pools)


async def _needed(
    journal: Journal, node: NodeRow, owners: Sequence[JournalOwner]
) -> tuple[list[NeededPlugin], list[NeededPool]]:
    """Return what runs need of a node that no other node has which takes runs."""
    plugins, pools = set(plugins_of(node.plugins)), set(node.pools)
    for other in owners:
        if other.owner != node.owner and other.announcement is not None and not other.draining:
            plugins -= plugins_of(other.announcement.plugins)
            pools -= set(other.announcement.pools)
    needed, needed_pools = list[NeededPlugin](), list[NeededPool]()
    for name, number in sorted(plugins):
        query = RunQuery(statuses=UNFINISHED, needs=(name, number), limit=_COUNTED)
        if found := await journal.runs(query):
            needed.append(NeededPlugin(plugin=name, version=number, runs=len(found)))
    for pool in sorted(pools):
        # One in the queue waits for any node of the pool: a drained one does not take it.
        query = RunQuery(statuses=UNFINISHED - {"queued"}, pool=pool, limit=_COUNTED)
        if found := await journal.runs(query):
            needed_pools.append(NeededPool(pool=pool, runs=len(found)))
    return needed, needed_pools
