"""``[logs]``: what is kept of the logs of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from qtforge_host.sizes import parse_size, size_text
from qtforge_host.validation import convert_table, field_errors
from qtforge_sdk.durations import Duration, DurationError, seconds
from qtforge_sdk.run_logs import LogLevel
from qtforge_sdk.validation import FieldError

__all__ = ["LogRules", "LogsTable", "read_logs"]

_LEAST_BYTES: Final = 1024
_MOST_BYTES: Final = 1 << 50


class LogsTable(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``[logs]``.

    Attributes:
        keep: Entries of this level and higher ones are kept with their run; ``off`` for none.
        max_per_run: So much of one run, such as ``1MB``.
        max_size: About so much of all runs, such as ``1GB``; the oldest entries go first.
        keep_for: For so long, such as ``30d``.
    """

    keep: LogLevel | Literal["off"] = "info"
    max_per_run: str | int = "1MB"
    max_size: str | int = "1GB"
    keep_for: Duration = "30d"


class LogRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of the logs of runs.

    Attributes:
        keep: Of this level and higher ones; None for nothing.
        most_per_run: At most so many characters of one run.
        most_bytes: About so many bytes of all runs.
        age_s: For so long, in seconds.
    """

    keep: LogLevel | None = "info"
    most_per_run: int = 1_000_000
    most_bytes: int = 1_000_000_000
    age_s: float = 30 * 86400.0


def read_logs(table: Mapping[str, Any], path: Path) -> LogRules:
    """Return what ``[logs]`` says.

    Args:
        table: The table, as tomllib read it.
        path: The file that it is from.

    Raises:
        ConfigError: It is not valid, with every error.
    """
    found = convert_table(table, LogsTable, str(path), "logs") if table else LogsTable()
    errors: list[FieldError] = []
    age_s = 0.0
    try:
        age_s = seconds(found.keep_for)
    except DurationError as error:
        errors.append(FieldError(path="logs.keep_for", what=error.why, fix=error.fix))
    rules = LogRules(
        keep=None if found.keep == "off" else found.keep,
        most_per_run=_size("max_per_run", found.max_per_run, errors),
        most_bytes=_size("max_size", found.max_size, errors),
        age_s=age_s,
    )
    field_errors(errors, str(path))
    return rules


def _size(key: str, given: str | int, errors: list[FieldError]) -> int:
    try:
        found = parse_size(given)
        if _LEAST_BYTES <= found <= _MOST_BYTES:
            return found
        why = f"it must be at least {size_text(_LEAST_BYTES)}, not {size_text(found)}"
    except ValueError as error:
        why = str(error)
    errors.append(FieldError(path=f"logs.{key}", what=why, fix="such as 1MB"))
    return 0
