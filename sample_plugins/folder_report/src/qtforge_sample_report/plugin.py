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
from qtforge_sdk.plugin_files import LocalFiles, PluginFiles

if TYPE_CHECKING:
    import click

__all__ = ["FolderReport", "ReportConfig"]


class ReportConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plugin's configuration table.

    Attributes:
        reports: The folder for reports; None for the plugin's files, which all machines may share.
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

    _files: PluginFiles

    async def start(self, context: PluginContext) -> None:
        """Find out where the reports belong."""
        folder = self.config.reports
        self._files = LocalFiles(Path(folder)) if folder else context.files

    @operation("folder.scan")
    def scan(self, request: ScanRequest, context: OperationContext) -> ScanResponse:
        """Return the files in a folder; see `scanning.scan` for the errors."""
        return scan(Path(request.path), request.pattern, self.config.max_files, context)

    @operation("report.write")
    async def write(self, request: WriteRequest) -> WriteResponse:
        """Write a report; see `reports.write` for the errors."""
        text = reports.render(request.folder, request.files, self.config.largest)
        return WriteResponse(
            report=await reports.write(self._files, request.report_id, text),
            files=len(request.files),
            total_bytes=sum(file.size_bytes for file in request.files),
        )

    @operation("report.remove")
    async def remove(self, request: RemoveRequest) -> RemoveResponse:
        """Remove a report; see `reports.remove` for the errors."""
        return RemoveResponse(removed=await reports.remove(self._files, request.report_id))

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
