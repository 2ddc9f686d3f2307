"""The messages of this plugin's topics, all frozen.

==================  ====================  =====================
topic               request               response
==================  ====================  =====================
folder.scan         `ScanRequest`         `ScanResponse`
report.write        `WriteRequest`        `WriteResponse`
report.remove       `RemoveRequest`       `RemoveResponse`
==================  ====================  =====================
"""

from __future__ import annotations

import msgspec

__all__ = [
    "FoundFile",
    "RemoveRequest",
    "RemoveResponse",
    "ScanRequest",
    "ScanResponse",
    "WriteRequest",
    "WriteResponse",
]


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in a folder.

    Attributes:
        path: Relative to the folder, with ``/``.
        size_bytes: Its size.
    """

    path: str
    size_bytes: int


class ScanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks what is in a folder and below it.

    Attributes:
        path: The folder.
        pattern: Which names to take, as in a shell: ``*.md``.
    """

    path: str
    pattern: str = "*"


class ScanResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a folder.

    Attributes:
        folder: Its absolute path.
        files: By path; may be empty.
        skipped: How many folders could not be read.
    """

    folder: str
    files: list[FoundFile]
    skipped: int = 0


class WriteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a report; the same ``report_id`` again replaces it.

    Attributes:
        report_id: Letters, digits, ``_`` and ``-``, at most 100.
        folder: Where the files are.
        files: What to report on.
    """

    report_id: str
    folder: str
    files: list[FoundFile]


class WriteResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Where the report is.

    Attributes:
        report: The report's path.
        files: How many files it is about.
        total_bytes: Their size together.
    """

    report: str
    files: int
    total_bytes: int


class RemoveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to take a report away; one that is not there is as good.

    Attributes:
        report_id: As it was written under.
    """

    report_id: str


class RemoveResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        removed: Whether the report was there.
    """

    removed: bool
