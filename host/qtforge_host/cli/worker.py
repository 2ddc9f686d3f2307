"""``qtforge-host worker``: a process that takes runs, or only answers other machines."""

from __future__ import annotations

from collections.abc import Sequence

import click

from qtforge_host import event_loop
from qtforge_host.cli.output import data_only
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, bus_option, journal_option
from qtforge_host.cli.staying_up import (
    node_name,
    node_option,
    pool_names,
    pool_option,
    reexec_option,
    stay_up,
)
from qtforge_host.serving.options import ServeOptions

__all__ = ["worker"]

_OF_RUNS = ("pools", "capacity")
_OF_OPERATIONS = ("plugins", "concurrency")


@click.command()
@pool_option
@click.option(
    "--capacity", type=click.IntRange(1, 1_000_000), default=100, show_default=True,
    help="Runs that it executes at once.",
)  # fmt: skip
@node_option
@click.option(
    "--grace", default="10s", show_default=True,
    help="How long steps in progress may take at the end.",
)  # fmt: skip
@click.option(
    "--operations-only", is_flag=True,
    help="Execute no runs: only answer what other machines ask over the bus.",
)  # fmt: skip
@click.option(
    "--plugins", default="", metavar="NAMES",
    help="With --operations-only: start these plugins alone, separated by commas.",
)  # fmt: skip
@click.option(
    "--concurrency", type=click.IntRange(1, 100_000), default=None,
    help="With --operations-only: requests that it answers at once.  [default: any number]",
)  # fmt: skip
@reexec_option
@journal_option
@bus_option
@click.pass_context
def worker(
    ctx: click.Context,
    pools: str,
    capacity: int,
    node: str,
    grace: str,
    operations_only: bool,
    plugins: str,
    concurrency: int | None,
    no_reexec: bool,
) -> None:
    """Take runs and execute them: queued, interrupted, due, and sent something.

    Any number of workers share a journal: on one machine a state directory, on many
    machines a PostgreSQL database (--journal). Like serve, it starts scheduled runs, and restarts
    with a changed configuration or an upgraded plugin. SIGTERM or Ctrl-C end it: a run is
    left before its next step, and another worker continues it.

    With --bus, plugins of other machines are asked, and those of this one answer them; with
    --operations-only it does nothing else, and opens no journal.

    Exit code 4 when another worker of the state directory has the name.
    """
    session: Session = ctx.obj
    grace_s = duration_option("--grace", grace).total_seconds()
    refused = _OF_RUNS if operations_only else _OF_OPERATIONS
    for name in refused:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = {"pools": "--pool"}.get(name, "--" + name.replace("_", "-"))
            how = "can't be used with" if operations_only else "needs"
            raise click.UsageError(f"{option} {how} --operations-only")
    if operations_only:
        names = tuple(dict.fromkeys(each.strip() for each in plugins.split(",") if each.strip()))
        _answer(session, names, concurrency, node_name(node), grace_s, reexec=not no_reexec)
        return
    options = ServeOptions(
        http=False,
        role="worker",
        node=node_name(node),
        pools=pool_names(pools),
        max_runs=capacity,
        grace_s=grace_s,
        reexec=not no_reexec,
    )
    stay_up(session, options)


def _answer(
    session: Session,
    plugins: Sequence[str],
    concurrency: int | None,
    node: str,
    grace_s: float,
    *,
    reexec: bool,
) -> None:
    # Heavy: they start a host.
    from qtforge_host.nodes.node_bus import Answering
    from qtforge_host.serving.operations import answer_operations
    from qtforge_host.serving.successor import execute_again

    answering = Answering(name=node, at_once=concurrency, grace_s=grace_s)

    def say(text: str) -> None:
        print(text, file=data, flush=True)

    with data_only() as data:
        answers = answer_operations(session.read_settings, plugins, answering, say, reexec=reexec)
        is_replaced = event_loop.run(answers)
    if is_replaced:
        execute_again()
