"""``qtforge-host nodes``: the processes that take runs."""

from __future__ import annotations

import datetime

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import NodeDocument, NodeRow, Nodes
from qtforge_host.api.nodes import open_nodes
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table, terminal_width, wrapped
from qtforge_host.cli.terminal import echo

__all__ = ["nodes"]


@click.group(epilog="NAME is the name of a node, or its 'owner' in the JSON document.")
def nodes() -> None:
    """List, show, drain and resume the processes that take runs."""


@nodes.command("list")
@json_option
@journal_option
@click.pass_obj
@paged
def list_nodes(session: Session, as_json: bool) -> None:
    """Show each process that takes runs or executes some. Imports no plugin."""

    async def found() -> Nodes:
        async with open_nodes(session.settings) as client:
            return await client.list()

    listed = event_loop.run(found())
    if as_json:
        print_json(listed)
        return
    if not listed.nodes:
        echo("no process takes runs: start one with 'qtforge-host worker' or 'serve'")
        return
    table(
        ("STATE", "NODE", "ROLE", "HOST", "PROCESS", "RUNS", "POOLS", "SINCE"),
        (
            (state(each.status), each.node, each.role, each.host, f"{each.pid}", _load(each),
             ", ".join(each.pools), _when(each.since))
            for each in listed.nodes
        ),
        whole=("SINCE",),
        short=("POOLS", "HOST"),
    )  # fmt: skip


@nodes.command()
@click.argument("name")
@json_option
@journal_option
@click.pass_obj
@paged
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a node with its plugins, and which of them only this node has."""

    async def found() -> NodeDocument:
        async with open_nodes(session.settings) as client:
            return await client.show(name)

    _print(event_loop.run(found()), as_json=as_json, whole=True)


@nodes.command()
@click.argument("name")
@click.option(
    "--wait", metavar="DURATION",
    help="How long to wait until it executes nothing, and no run needs it alone.",
)  # fmt: skip
@json_option
@journal_option
@click.pass_obj
def drain(session: Session, name: str, wait: str | None, as_json: bool) -> int:
    """Let a node begin nothing new, and hand its runs over to others.

    The node learns it within seconds, and stays up. A run that waits is left at once, any
    other before its next step; a step in progress may take the --grace of the node. What no
    other node can continue stays, and is said. Over a bus, it is asked only for
    plugins that no other node has.

    Exit code 1 when --wait is over before the node is drained.
    """
    duration = None if wait is None else duration_option("--wait", wait)

    async def drained() -> NodeDocument:
        async with open_nodes(session.settings) as client:
            return await client.drain(name, wait=duration or 0)

    found = event_loop.run(drained())
    _print(found, as_json=as_json)
    if found.status == "drained" or wait is None:
        return 0
    echo(f"drain requested; not done after {wait}", err=True)
    return FAILED


@nodes.command()
@click.argument("name")
@json_option
@journal_option
@click.pass_obj
def resume(session: Session, name: str, as_json: bool) -> None:
    """Let a drained node take runs, and answer other nodes, again."""

    async def resumed() -> NodeDocument:
        async with open_nodes(session.settings) as client:
            return await client.resume(name)

    _print(event_loop.run(resumed()), as_json=as_json)


def _print(node: NodeDocument, *, as_json: bool, whole: bool = False) -> None:
    """Print how a node stands; ``whole`` for everything that is known of it."""
    if as_json:
        print_json(node)
        return
    echo(f"{state(node.status)}  {node.node}  ({node.role}, process {node.pid} on {node.host})")
    if whole:
        echo(f"  since    {_when(node.since)}")
    echo(f"  runs     {_load(node)}")
    if whole:
        _print_details(node)
    for each in node.needed:
        count = "1 run needs" if each.runs == 1 else f"{each.runs:,} runs need"
        echo(f"  {count} {each.plugin} {each.version}, which no other node has:")
        echo(f"    qtforge-host runs list --needs {each.plugin}=={each.version}")
    for pool in node.needed_pools:
        count = "1 run is" if pool.runs == 1 else f"{pool.runs:,} runs are"
        echo(f"  {count} of the pool {pool.pool}, which no other node serves:")
        echo(f"    qtforge-host runs list --pool {pool.pool}")


def _print_details(node: NodeDocument) -> None:
    echo(f"  pools    {', '.join(node.pools) or '-'}")
    if node.lease_s is not None and node.lease_left_s is not None:
        echo(f"  lease    {node.lease_s:g} s, {node.lease_left_s:.1f} s left")
    plugins = ", ".join(f"{name} {version}" for name, version in sorted(node.plugins.items()))
    width = terminal_width()
    first, *others = [plugins] if width is None else wrapped(plugins, max(width - 11, 20))
    echo(f"  plugins  {first or '-'}")
    for line in others:
        echo(f"           {line}")


def _load(node: NodeRow | NodeDocument) -> str:
    return f"{node.runs:,}" if node.capacity is None else f"{node.runs:,} of {node.capacity:,}"


def _when(moment: datetime.datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
