"""``qtforge-host folder-report PATH``."""

from __future__ import annotations

import secrets
from typing import Protocol

import click
import msgspec

from qtforge_sample_report.messages import ScanRequest, ScanResponse, WriteRequest, WriteResponse
from qtforge_sample_report.reports import by_kind, in_words
from qtforge_sdk import Bus

__all__ = ["folder_report"]


class _Session(Protocol):
    """What the host puts into ``click.Context.obj``."""

    @property
    def bus(self) -> Bus: ...


@click.command("folder-report")
@click.argument("path")
@click.option("--pattern", default="*", show_default=True, help="Which names to take.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
async def folder_report(path: str, pattern: str, as_json: bool) -> None:
    """Report on the files in the folder PATH and below it."""
    session: _Session = click.get_current_context().obj
    bus = session.bus
    scanned = await bus.request(
        "folder.scan", ScanRequest(path=path, pattern=pattern), response_type=ScanResponse
    )
    request = WriteRequest(
        report_id=secrets.token_hex(8), folder=scanned.folder, files=scanned.files
    )
    written = await bus.request("report.write", request, response_type=WriteResponse)
    if as_json:
        document = {"schema_version": 1, "folder": scanned.folder, "skipped": scanned.skipped}
        document |= msgspec.to_builtins(written)
        click.echo(msgspec.json.encode(document))
        return
    click.echo(f"{in_words(written.files)}, {written.total_bytes:,} bytes in {path}")
    for kind, count, size_bytes in by_kind(scanned.files):
        click.echo(f"{kind:<10} {in_words(count):>12} {size_bytes:>15,} bytes")
    if scanned.skipped:
        click.echo(f"{scanned.skipped} folders could not be read", err=True)
    click.echo(written.report)
