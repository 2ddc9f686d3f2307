"""Convert an answer's body to rows."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_sdk.errors import OperationError

__all__ = ["NOT_JSON", "as_row", "at_path", "decoded", "lines_of", "rows_in", "take"]

NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of msgspec for bytes that are not JSON, or are nested too deeply."""

_MISSING: Final = object()


def decoded(body: bytes, label: str, content_type: str) -> Any:
    """Return the value of a JSON body; None for an empty one.

    Raises:
        OperationError: ``http.invalid_answer``.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body)
    except NOT_JSON as error:
        why = f"{error}; its content type is {content_type or 'not given'}"
        fix = 'use format = "text" for text, or "jsonl" for JSON lines'
        what = f"the answer of {label} is not JSON"
        raise OperationError("http.invalid_answer", what, why, fix, retryable=False) from error


def at_path(value: Any, path: str) -> Any:
    """Return the value at a path of keys and positions joined by dots, or None.

    >>> at_path({"data": [{"id": 1}]}, "data.0.id")
    1
    """
    found = _walk(value, path)
    return None if found is _MISSING else found


def rows_in(value: Any, path: str | None, label: str) -> Iterable[dict[str, Any]]:
    """Return the rows of a JSON answer.

    The objects of a list are rows, and its other values rows ``{"value": ...}``; an object or
    another value is one row; null is no row.

    Args:
        value: The answer.
        path: The path to the rows, or None for the whole answer.
        label: The source, without secrets.

    Raises:
        OperationError: ``http.no_rows``: the path does not exist.
    """
    if path is not None and value is not None:
        found = _walk(value, path)
        if found is _MISSING:
            keys = ", ".join(map(str, value)) if isinstance(value, dict) else "no object"
            why = f"the answer has {keys or 'no keys'}"[:200]
            what = f"{label} has nothing at '{path}'"
            fix = "set rows to the path of the list of rows, such as data.items"
            raise OperationError("http.no_rows", what, why, fix, retryable=False)
        value = found
    if value is None:
        return []
    if isinstance(value, list):
        return map(as_row, value)
    return [as_row(value)]


def take(
    rows: Iterable[Any], sink: RowSink, hide: Callable[[Any], Any] | None, interrupt: Interrupt
) -> bool:
    """Put rows into the sink; return False when it takes no more.

    Args:
        rows: Mappings.
        sink: The sink.
        hide: Masks the secrets in a row; None when none were used.
        interrupt: Cancels it.

    Raises:
        Interrupted: The caller no longer waits.
        OperationError: ``http.invalid_answer``: a row is nested too deeply.
    """
    for row in rows:
        interrupt.check()
        try:
            wanted = sink.add(row if hide is None else hide(row))
        except RecursionError as error:
            what = f"row {sink.count + 1} can't be read"
            why = "it is nested too deeply"
            raise OperationError("http.invalid_answer", what, why, retryable=False) from error
        if not wanted:
            return False
    return True


def lines_of(lines: Iterable[bytes], first: int, label: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSON lines; blank lines are skipped.

    Args:
        lines: The lines without their line endings.
        first: The number of the first line, for errors.
        label: The source, without secrets.

    Raises:
        OperationError: ``http.invalid_answer``, with the line's number.
    """
    for number, line in enumerate(lines, first):
        line = line if number > 1 else line.removeprefix(codecs.BOM_UTF8)
        if line.strip():
            try:
                yield as_row(msgspec.json.decode(line))
            except NOT_JSON as error:
                what = f"line {number} of {label} is not JSON"
                raise OperationError(
                    "http.invalid_answer", what, str(error), retryable=False
                ) from error


def as_row(value: Any) -> dict[str, Any]:
    """Return an object unchanged, and any other value as ``{"value": ...}``."""
    return value if isinstance(value, dict) else {"value": value}


def _walk(value: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
    return value
