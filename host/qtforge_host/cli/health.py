"""``qtforge-host health``: the health of the active plugins."""

from __future__ import annotations

import click

from qtforge_host.api.documents import BreakerRow, HealthDocument
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, run_async, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo

__all__ = ["health"]


@click.command()
@json_option
@click.pass_obj
@paged
def health(session: Session, as_json: bool) -> int:
    """Check the health of every active plugin. Exit code 1 when one is unhealthy.

    Also shows the last transition of each circuit breaker, of all processes; those that
    never opened are left out.
    """

    async def checked() -> HealthDocument:
        async with session.client() as client:
            return await client.host.health()

    found = run_async(checked())
    if as_json:
        print_json(found)
    else:
        table(
            ("HEALTH", "PLUGIN", "TOOK", "WHY"),
            (
                (state(each.status), each.plugin, f"{each.latency_s * 1000:.1f} ms", each.text)
                for each in found.plugins
            ),
        )
        if found.breakers:
            echo()
            table(("BREAKER", "TOPIC", "PLUGIN", "SINCE", "WHY"), map(_row, found.breakers))
    return FAILED if any(each.status == "unhealthy" for each in found.plugins) else 0


def _row(breaker: BreakerRow) -> tuple[str, ...]:
    since = f"{breaker.since.astimezone():%Y-%m-%d %H:%M:%S}"
    word = state(breaker.state.replace("_", " "))
    return (word, breaker.topic, breaker.plugin, since, breaker.reason)
