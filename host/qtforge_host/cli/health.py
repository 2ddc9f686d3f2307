"""``qtforge-host health``: how the active plugins fare."""

from __future__ import annotations

from collections.abc import Mapping

import click

from qtforge_host.app import Host
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import document, json_option, print_json, run_async, state, table
from qtforge_host.cli.session import Session
from qtforge_host.policies.breaker_file import BreakerFile, SavedBreaker
from qtforge_host.policies.health import HealthReport

__all__ = ["health"]


@click.command()
@json_option
@click.pass_obj
def health(session: Session, as_json: bool) -> int:
    """Ask every active plugin how it fares. Exit code 1 when one is unhealthy.

    Also shows what each circuit breaker last did, in whichever process; one that never opened
    is not among them.
    """

    async def asked() -> Mapping[str, HealthReport]:
        async with Host(session.settings) as host:
            return await host.health()

    reports = run_async(asked())
    breakers = BreakerFile(session.settings.state_dir).all()
    if as_json:
        print_json(document(plugins=list(reports.values()), breakers=breakers))
    else:
        table(
            ("HEALTH", "PLUGIN", "TOOK", "WHY"),
            (
                (state(each.status), each.plugin, f"{each.latency_s * 1000:.1f} ms", each.text)
                for each in reports.values()
            ),
        )
        if breakers:
            click.echo()
            table(("BREAKER", "TOPIC", "PLUGIN", "SINCE", "WHY"), map(_row, breakers))
    return FAILED if any(each.status == "unhealthy" for each in reports.values()) else 0


def _row(breaker: SavedBreaker) -> tuple[str, ...]:
    since = f"{breaker.since.astimezone():%Y-%m-%d %H:%M:%S}"
    word = state(breaker.state.replace("_", " "))
    return (word, breaker.topic, breaker.plugin, since, breaker.reason)
