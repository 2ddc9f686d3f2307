"""``qtforge-host serve``: the process that stays up."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from qtforge_host.cli.output import data_only
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session
from qtforge_host.config.settings import Settings, load_settings
from qtforge_host.serving.options import ServeOptions, check_installed
from qtforge_sdk.policies import ParsedRate, parse_rate

if TYPE_CHECKING:
    from qtforge_host.serving.http.schemas import Documents

__all__ = ["serve"]

_MEGA = 1_000_000


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True,
    help="The port; 0 for any that is free.",
)  # fmt: skip
@click.option("--no-http", is_flag=True, help="Only runs and schedules.")
@click.option(
    "--allow-host", "allowed_hosts", multiple=True, metavar="NAME",
    help="A further name by which clients may call it; repeat.",
)  # fmt: skip
@click.option(
    "--grace", default="10s", show_default=True, help="How long runs may go on when it ends."
)
@click.option("--rate", default="100/s", show_default=True, help="Requests of one client.")
@click.option(
    "--max-body", type=click.IntRange(1, 1000), default=10, show_default=True,
    help="No request may be larger, in MB.",
)  # fmt: skip
@click.option(
    "--max-streams", type=click.IntRange(0, 400), default=32, show_default=True,
    help="Clients that hear events at once.",
)  # fmt: skip
@click.option(
    "--max-runs", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True,
    help="Runs in memory at once.",
)  # fmt: skip
@click.pass_obj
def serve(
    session: Session,
    host: str,
    port: int,
    no_http: bool,
    allowed_hosts: tuple[str, ...],
    grace: str,
    rate: str,
    max_body: int,
    max_streams: int,
    max_runs: int,
) -> None:
    """Stay up: resume runs that were interrupted, keep schedules, answer over HTTP.

    One for each state directory; the other commands work beside it. It starts anew when the
    configuration changes, or at SIGHUP. SIGTERM or Ctrl-C end it: runs may go on for --grace,
    and the next process goes on with those that are not done.

    Exit code 4 when another process serves the state directory.
    """
    check_installed()
    # It imports the libraries of the extra, which may not be there.
    from qtforge_host.serving.process import serve as serve_until_told

    options = ServeOptions(
        http=not no_http,
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        grace_s=duration_option("--grace", grace).total_seconds(),
        max_body_bytes=max_body * _MEGA,
        max_streams=max_streams,
        max_runs=max_runs,
        rate=_rate(rate),
    )

    def read_settings() -> Settings:
        return load_settings(
            session.config,
            environ=os.environ,
            state_dir=session.state_dir,
            safe_mode=session.safe_mode,
        )

    def say(text: str) -> None:
        print(text, file=data, flush=True)

    with data_only() as data:
        asyncio.run(serve_until_told(read_settings, options, _documents(), say))


def _rate(text: str) -> ParsedRate:
    try:
        return parse_rate(text)
    except ValueError as error:
        raise click.UsageError(f"--rate: {error}") from error


def _documents() -> Documents:
    # The other commands' documents, imported only by who serves.
    from qtforge_host.api.drawing import drawn
    from qtforge_host.cli.inbox import served_inbox
    from qtforge_host.cli.output import SCHEMA_VERSION
    from qtforge_host.cli.plugins import host_plugins
    from qtforge_host.cli.runs.list import find_runs, run_row
    from qtforge_host.cli.runs.show import run_with_history
    from qtforge_host.cli.send import served_outcome
    from qtforge_host.cli.workflows import workflow_row
    from qtforge_host.serving.http.schemas import Documents

    return Documents(
        schema_version=SCHEMA_VERSION,
        run=run_with_history,
        runs=find_runs,
        run_row=run_row,
        inbox=served_inbox,
        outcome=served_outcome,
        workflow_row=workflow_row,
        plugins=host_plugins,
        graph=drawn,
    )
