"""``qtforge-host audit verify`` and ``qtforge-host audit list``."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

import click
import msgspec

from qtforge_builtin_plugins.pipelines.financial.messages import (
    AuditEntry,
    AuditListRequest,
    AuditListResponse,
    AuditVerifyRequest,
    AuditVerifyResponse,
)
from qtforge_sdk import Bus

__all__ = ["audit"]

_FAILED: Final = 1  # the host's exit code for a check that failed
_MOST_CONTENT: Final = 100


class _Session(Protocol):
    """What the host puts into ``click.Context.obj``."""

    @property
    def bus(self) -> Bus: ...


@click.group("audit")
def audit() -> None:
    """The audit trail of the financial pipeline."""


@audit.command("verify")
@click.option("--contains", metavar="HASH", help="Also ask for an entry with this hash.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
async def verify(contains: str | None, as_json: bool) -> None:
    """Check that no entry was changed, removed or put in; exit code 1 when one was.

    Note the last entry's hash elsewhere, and ask for it later with --contains: who can write
    to the trail could rewrite all of it.
    """
    ctx = click.get_current_context()
    session: _Session = ctx.obj
    found = await session.bus.request(
        "audit.verify", AuditVerifyRequest(contains=contains), response_type=AuditVerifyResponse
    )
    if as_json:
        _print_json(msgspec.to_builtins(found))
    else:
        _print_verdict(found)
    if not found.valid:
        raise click.exceptions.Exit(_FAILED)


@audit.command("list")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000),
    help="How many of the latest entries.",
)  # fmt: skip
@click.option("--event", help="Only entries of this event.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
async def list_entries(limit: int, event: str | None, as_json: bool) -> None:
    """List the latest entries, the oldest of them first."""
    session: _Session = click.get_current_context().obj
    found = await session.bus.request(
        "audit.list", AuditListRequest(limit=limit, event=event), response_type=AuditListResponse
    )
    if as_json:
        _print_json(msgspec.to_builtins(found))
        return
    for entry in found.entries:
        click.echo(f"{entry.sequence:>6}  {entry.time}  {entry.event}  {_brief(entry)}")
    if not found.entries:
        click.echo("the audit trail has no such entry" if event else "the audit trail is empty")
    elif found.total > len(found.entries):
        click.echo(f"the latest {len(found.entries)} of {found.total}", err=True)


def _print_verdict(found: AuditVerifyResponse) -> None:
    count = "1 entry holds" if found.entries == 1 else f"{found.entries:,} entries hold"
    if found.broken is None and found.contains is False:
        click.echo("✗ no entry has the hash that was asked for")
        click.echo(f"  {count} in {found.path}")
    elif found.broken is None:
        click.echo(f"✓ valid: {count} in {found.path}")
        if found.head:
            click.echo(f"  the last one's hash: {found.head}")
    else:
        click.echo(f"✗ broken at entry {found.broken.sequence} (line {found.broken.line})")
        click.echo(f"  {found.broken.reason}")
        click.echo(f"  {count} before it, in {found.path}")
    if found.torn_bytes:
        click.echo(
            f"  {found.torn_bytes} bytes at the end are an entry that a crash cut short;"
            " it was never reported as recorded"
        )


def _print_json(found: dict[str, Any]) -> None:
    click.echo(json.dumps({"schema_version": 1, **found}, ensure_ascii=False))


def _brief(entry: AuditEntry) -> str:
    pairs = ", ".join(
        f"{key}: {value}"
        for key, value in entry.content.items()
        if value is not None and not isinstance(value, (dict, list))
    )
    printable = "".join(letter if letter.isprintable() else " " for letter in pairs)
    return printable if len(printable) <= _MOST_CONTENT else printable[: _MOST_CONTENT - 1] + "…"
