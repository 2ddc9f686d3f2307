"""Collect rows: few stay in memory, many go to a file."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec

from qtforge_builtin_plugins.collectors.source_warnings import SourceWarnings
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Collected, Dataset

__all__ = ["INLINE_BYTES", "INLINE_ROWS", "OddValue", "RowSink", "plain_value"]

INLINE_ROWS: Final = 10_000
INLINE_BYTES: Final = 1 << 20
_BUFFER_BYTES: Final = 1 << 20
_LEAST, _MOST = -(2**63), 2**64 - 1
_AS_THEY_ARE: Final = frozenset({str, bool, type(None)})
_SHOWN: Final = 60
_NOT_FINITE: Final = "rows.not_finite"
_NULL: Final = "JSON has no such number, became null"
_DATES: Final = (datetime.date, datetime.time)  # a datetime is a date


class OddValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value that is not in a row as the source has it; the answer warns of it.

    Attributes:
        plain: What is in the row instead.
        code: The warning's code.
        reason: Why it is odd, and what it became.
        shown: The value, for the warning; None for ``plain``.
    """

    plain: Any
    code: str
    reason: str
    shown: str | None = None


class RowSink:
    """Collects rows; a context manager, which removes an unfinished file.

    Args:
        folder: The folder for many rows, such as `PluginContext.run_dir`; None outside a run:
            then rows that do not fit into an answer are dropped, and it is ``truncated``.
        name: The file's name without its suffix; anything but letters, digits, ``-`` and ``_``
            in it is replaced.
        limit: The most rows to take, or None.

    Attributes:
        warnings: The warnings of the answer; it adds its own.
        count: The number of rows.
        truncated: Whether it refused a row.
    """

    def __init__(self, folder: Path | None, name: str, limit: int | None = None) -> None:
        self._folder = folder
        self._name = _file_name(name)
        self._limit = limit
        self._encoder = msgspec.json.Encoder()
        self._lines: list[bytes] = []
        self._size_bytes = 0
        self._buffered = 0
        self._file: IO[bytes] | None = None
        self._partial: Path | None = None
        self._hash = hashlib.sha256()
        self._odd: list[OddValue] = []  # of the row at hand
        self.warnings = SourceWarnings()
        self.count = 0
        self.truncated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any]) -> bool:
        """Add a row with its values made plain; return False when it takes no more.

        Raises:
            OperationError: ``rows.not_plain``: a value has no JSON form; or
                ``rows.not_writable``: the disk is full.
        """
        if self._limit is not None and self.count >= self._limit:
            self.truncated = True
            return False
        odd = self._odd
        line = self._encoder.encode({str(key): plain_value(row[key], odd) for key in row})
        if odd:
            self._warn(row)
        outgrown = self.count >= INLINE_ROWS or self._size_bytes + len(line) > INLINE_BYTES
        if self._folder is None and outgrown:
            self.truncated = True
            return False
        self.count += 1
        self._size_bytes += len(line) + 1
        self._buffered += len(line) + 1
        self._lines.append(line)
        if outgrown and (self._file is None or self._buffered >= _BUFFER_BYTES):
            self._flush()
        return True

    def finish(self, details: Mapping[str, Any] | None = None) -> Collected:
        """Return the collected rows; the file is synced to the disk."""
        dataset = self._dataset() if self._file is not None else None
        rows = None if dataset else [msgspec.json.decode(line) for line in self._lines]
        return Collected(
            rows=rows,
            dataset=dataset,
            count=self.count,
            truncated=self.truncated,
            details=dict(details or {}),
            warnings=self.warnings.listed(),
        )

    def _warn(self, row: Mapping[str, Any]) -> None:
        """Tell which columns of a row have values that are not as they were."""
        self._odd.clear()
        for key in row:
            odd: list[OddValue] = []
            plain_value(row[key], odd)
            for each in odd:
                shown = f"{each.plain if each.shown is None else each.shown}"[:_SHOWN]
                message = f"row {self.count + 1}, {key}: '{shown}': {each.reason}"
                self.warnings.add(each.code, message, about=str(key))

    def _dataset(self) -> Dataset:
        self._flush()
        assert self._file is not None  # noqa: S101 - checked by the caller
        assert self._partial is not None  # noqa: S101
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            final = self._partial.with_suffix(".jsonl")
            self._partial.replace(final)
        except OSError as error:
            raise self._not_writable(error) from error
        self._partial = None
        return Dataset(
            path=str(final),
            format="jsonl",
            rows=self.count,
            size_bytes=self._size_bytes,
            sha256=self._hash.hexdigest(),
        )

    def _flush(self) -> None:
        chunk = b"\n".join(self._lines) + b"\n" if self._lines else b""
        self._lines.clear()
        self._buffered = 0
        try:
            if self._file is None:
                assert self._folder is not None  # noqa: S101 - `add` has checked it
                self._folder.mkdir(parents=True, exist_ok=True)
                self._partial = self._folder / f"{self._name}.partial"
                self._file = self._partial.open("wb")
            self._file.write(chunk)
        except OSError as error:
            raise self._not_writable(error) from error
        self._hash.update(chunk)

    def _not_writable(self, error: OSError) -> OperationError:
        return OperationError(
            "rows.not_writable",
            f"the rows can't be written to {self._folder}",
            error.strerror or str(error),
            "free space on the disk of the state directory",
        )


def plain_value(value: Any, odd: list[OddValue] | None = None) -> Any:
    """Return a value in its JSON form.

    Dates and times become ISO 8601 text, durations seconds, decimals numbers, bytes
    hexadecimal text, and NaN and infinity null. A whole number of more than 64 bits, which
    the journal can't store, becomes the nearest floating point number.

    Args:
        value: The value.
        odd: Values that are not what they were are added to it.

    Raises:
        OperationError: ``rows.not_plain``: the value has no JSON form.
    """
    if type(value) in _AS_THEY_ARE:  # nearly all are: first, since it is the fastest check
        return value
    if isinstance(value, (bool, str)):  # a tuple: a union would be built for each call
        return value
    if isinstance(value, int):
        return value if _LEAST <= value <= _MOST else _floating(value, odd)
    if isinstance(value, float | decimal.Decimal):
        number = value if isinstance(value, float) else _number(value)
        if isinstance(number, int) or math.isfinite(number):
            return number
        if odd is not None:
            odd.append(OddValue(plain=None, code=_NOT_FINITE, reason=_NULL, shown=str(value)))
        return None
    if isinstance(value, _DATES):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): plain_value(each, odd) for key, each in value.items()}
    if isinstance(value, OddValue):
        if odd is not None:
            odd.append(value)
        return plain_value(value.plain)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_value(each, odd) for each in value]
    try:
        return msgspec.to_builtins(value, str_keys=True)
    except TypeError as error:
        why = f"{type(value).__name__} has no JSON form"
        raise OperationError("rows.not_plain", "a value can't be put into a row", why) from error


def _number(value: decimal.Decimal) -> int | float:
    if value.is_finite() and value.as_tuple().exponent == 0 and _LEAST <= value <= _MOST:
        return int(value)
    return math.nan if value.is_nan() else float(value)  # a signalling NaN is no float


def _floating(value: int, odd: list[OddValue] | None) -> float | None:
    try:
        return float(value)
    except OverflowError:
        if odd is not None:
            odd.append(OddValue(plain=None, code=_NOT_FINITE, reason=_NULL, shown="a large number"))
        return None


def _file_name(name: str) -> str:
    kept = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)
    return kept[:100] or "rows"
