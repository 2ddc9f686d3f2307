"""A workflow and a command that report on a folder."""

from qtforge_sample_report.plugin import FolderReport, ReportConfig

__all__ = ["FolderReport", "ReportConfig"]
