"""``qtforge-host pools``: in which queues runs wait for a process."""

from __future__ import annotations

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import PoolRow, Pools
from qtforge_host.api.nodes import open_nodes
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo

__all__ = ["pools"]


@click.group()
def pools() -> None:
    """List, pause and resume the pools in which runs wait for a process."""


@pools.command("list")
@json_option
@journal_option
@click.pass_obj
@paged
def list_pools(session: Session, as_json: bool) -> None:
    """Show each pool that has unfinished runs, that nodes serve, or that is paused."""

    async def found() -> Pools:
        async with open_nodes(session.settings) as client:
            return await client.pools()

    listed = event_loop.run(found())
    if not as_json and not listed.pools:
        echo("no run is unfinished, and no process takes runs")
        return
    _print(listed, as_json=as_json)


@pools.command()
@click.argument("name")
@json_option
@journal_option
@click.pass_obj
def pause(session: Session, name: str, as_json: bool) -> None:
    """Let no process take queued runs of a pool, until 'pools resume'.

    Runs of it that have begun continue.
    """

    async def paused() -> Pools:
        async with open_nodes(session.settings) as client:
            return await client.pause_pool(name)

    _print(event_loop.run(paused()), as_json=as_json)


@pools.command()
@click.argument("name")
@json_option
@journal_option
@click.pass_obj
def resume(session: Session, name: str, as_json: bool) -> None:
    """Let queued runs of a pool be taken again."""

    async def resumed() -> Pools:
        async with open_nodes(session.settings) as client:
            return await client.resume_pool(name)

    _print(event_loop.run(resumed()), as_json=as_json)


def _print(listed: Pools, *, as_json: bool) -> None:
    if as_json:
        print_json(listed)
        return
    table(
        ("STATE", "POOL", "QUEUED", "OLDEST WAITS", "EXECUTING", "NODES"),
        (
            (state(each.status), each.pool, f"{each.queued:,}", _wait(each),
             f"{each.executing:,}", f"{each.nodes}")
            for each in listed.pools
        ),
    )  # fmt: skip


def _wait(pool: PoolRow) -> str:
    return "" if pool.oldest_wait_s is None else f"{pool.oldest_wait_s:,.0f} s"
