"""``qtforge-host worker``: a process that takes runs, without an HTTP interface."""

from __future__ import annotations

import click

from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, journal_option
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
@reexec_option
@journal_option
@click.pass_obj
def worker(
    session: Session, pools: str, capacity: int, node: str, grace: str, no_reexec: bool
) -> None:
    """Take runs and execute them: queued, interrupted, due, and sent something.

    Any number of workers share a journal: on one machine a state directory, on many
    machines a PostgreSQL database (--journal). Like serve, it starts scheduled runs and restarts
    with a changed configuration. SIGTERM or Ctrl-C end it: a run is
    left before its next step, and another worker continues it.

    Exit code 4 when another worker of the state directory has the name.
    """
    options = ServeOptions(
        http=False,
        role="worker",
        node=node_name(node),
        pools=pool_names(pools),
        max_runs=capacity,
        grace_s=duration_option("--grace", grace).total_seconds(),
        reexec=not no_reexec,
    )
    stay_up(session, options)
