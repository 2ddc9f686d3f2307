"""The plugin: three operations, a workflow over them, and a command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from qtforge_sample_report import reports
from qtforge_sample_report.messages import (
    RemoveRequest,
    RemoveResponse,
    ScanRequest,
    ScanResponse,
    WriteRequest,
    WriteResponse,
)
from qtforge_sample_report.scanning import scan
from qtforge_sdk import OperationContext, Plugin, PluginContext, hookimpl, operation

if TYPE_CHECKING:
    import click

__all__ = ["FolderReport", "ReportConfig"]


class ReportConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plugin's configuration table.

    Attributes:
        reports: Where reports are written; None for the plugin's data folder.
        max_files: Refuse folders with more files.
        largest: How many of the largest files a report lists.
    """

    reports: str | None = None
    max_files: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    largest: Annotated[int, msgspec.Meta(ge=0)] = 10


class FolderReport(Plugin):
    """Scans folders, and writes and removes reports on them."""

    Config = ReportConfig
    config: ReportConfig = ReportConfig()

    def __init__(self) -> None:
        self._reports = Path()

    async def start(self, context: PluginContext) -> None:
        """Find out where the reports belong."""
        self._reports = Path(self.config.reports) if self.config.reports else context.data_dir

    @operation("folder.scan")
    def scan(self, request: ScanRequest, context: OperationContext) -> ScanResponse:
        """Return the files in a folder; see `scanning.scan` for the errors."""
        return scan(Path(request.path), request.pattern, self.config.max_files, context)

    @operation("report.write")
    def write(self, request: WriteRequest) -> WriteResponse:
        """Write a report; see `reports.write` for the errors."""
        text = reports.render(request.folder, request.files, self.config.largest)
        return WriteResponse(
            report=str(reports.write(self._reports, request.report_id, text)),
            files=len(request.files),
            total_bytes=sum(file.size_bytes for file in request.files),
        )

    @operation("report.remove")
    def remove(self, request: RemoveRequest) -> RemoveResponse:
        """Remove a report; see `reports.remove` for the errors."""
        return RemoveResponse(removed=reports.remove(self._reports, request.report_id))

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Contribute the workflow ``folder-report``."""
        return [Path(__file__).with_name("folder-report.toml")]

    @hookimpl
    def qtforge_commands(self) -> Iterable[click.Command]:
        """Contribute the command ``folder-report``."""
        # Here, because click is only needed where there is a command line.
        from qtforge_sample_report.command import folder_report

        return [folder_report]
