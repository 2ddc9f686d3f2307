"""``qtforge-host doctor``: whether the state directory, configuration and plugins are sound."""

from __future__ import annotations

import click
import msgspec

from qtforge_host import event_loop
from qtforge_host.api.doctor import diagnose, invalid_configuration, repair
from qtforge_host.api.documents import DoctorDocument, Finding
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_host.config.settings import Settings
from qtforge_sdk.errors import ConfigError, StateDirectoryError

__all__ = ["doctor"]


@click.command()
@click.option(
    "--repair",
    "wants_repair",
    is_flag=True,
    help="First rebuild what follows from the records, and close the state directory to others.",
)
@json_option
@journal_option
@click.pass_obj
@paged
def doctor(session: Session, wants_repair: bool, as_json: bool) -> int:
    """Check the configuration, every record of every run, and the plugins. Imports no plugin.

    With --repair: indexes, lists of runs, timers and messages are rebuilt where they do not
    fit the records. No record is ever changed.

    Exit code 1 when something is wrong, 4 when the state directory can't be used.
    """
    try:
        document = event_loop.run(_examine(session.settings, wants_repair))
    except ConfigError as error:  # without it, neither of the other two is known
        document = DoctorDocument(ok=False, findings=[invalid_configuration(error)])
    if as_json:
        print_json(document)
    else:
        for what in document.repairs or ():
            echo(f"{state('ok')}  repaired: {what}")
        for each in document.findings:
            _print(each)
    if any(each.unusable for each in document.findings):
        return StateDirectoryError.exit_code
    return 0 if document.ok else FAILED


async def _examine(settings: Settings, wants_repair: bool) -> DoctorDocument:
    repairs: list[str] | msgspec.UnsetType = msgspec.UNSET
    found: list[Finding] = []
    if wants_repair:
        repairs, found = await repair(settings)
    found += await diagnose(settings)
    return DoctorDocument(ok=all(each.ok for each in found), findings=found, repairs=repairs)


def _print(finding: Finding) -> None:
    echo(f"{state('ok' if finding.ok else 'wrong')}  {finding.part}: {finding.what}")
    if finding.fix:
        echo(f"  fix: {finding.fix}")
