"""Rows of JSON, JSON Lines and TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.settings import FileParameters
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance, opened, read_text
from qtforge_sdk.validation import decoded

__all__ = ["json_lines_rows", "json_rows", "toml_rows"]

_MAX_LINE_BYTES: Final = 16 * 2**20
_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


def json_rows(
    file: FoundFile, parameters: FileParameters, allowance: Allowance, interrupt: Interrupt
) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list in a JSON file, or its one object.

    Raises:
        OperationError: ``file.invalid``, and those of `read_text`.
    """
    data = read_text(file, parameters.encoding, allowance, interrupt).encode()
    try:
        content = decoded(msgspec.json.decode, data)
    except msgspec.DecodeError as error:
        found = _BYTE.search(str(error))
        line = data.count(b"\n", 0, int(found[1])) + 1 if found else None
        raise invalid(file, _BYTE.sub("", str(error)), line) from error
    yield from _rows_in(content, file, parameters.path)


def toml_rows(
    file: FoundFile, parameters: FileParameters, allowance: Allowance, interrupt: Interrupt
) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of an array in a TOML file, or its one table.

    Raises:
        OperationError: ``file.invalid``, and those of `read_text`.
    """
    text = read_text(file, None, allowance, interrupt)
    try:
        content = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found[1]) if found else None
        raise invalid(file, _LINE.sub("", str(error)), line) from error
    yield from _rows_in(content, file, parameters.path)


def json_lines_rows(
    file: FoundFile, parameters: FileParameters, allowance: Allowance, interrupt: Interrupt
) -> Iterator[Mapping[str, Any]]:
    """Yield the object on each line; empty lines are skipped.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``, ``file.unreadable``.
    """
    decoder = msgspec.json.Decoder(dict[str, Any])
    encoding = parameters.encoding
    with opened(file) as stream:
        number = 0
        while line := stream.readline(_MAX_LINE_BYTES + 1):
            number += 1
            allowance.take(len(line), file)
            if len(line) > _MAX_LINE_BYTES:
                raise invalid(file, f"it has more than {_MAX_LINE_BYTES} bytes", number)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                yield decoded(decoder.decode, line.decode(encoding) if encoding else line)
            except (msgspec.DecodeError, UnicodeError) as error:
                why = _BYTE.sub("", str(error)).replace("`", "")
                raise invalid(file, why, number) from error


def _rows_in(content: Any, file: FoundFile, path: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield the rows at a path of keys."""
    walked: list[str] = []
    for key in path.split(".") if path else ():
        walked.append(key)
        if not isinstance(content, dict) or key not in content:
            known = ", ".join(content) if isinstance(content, dict) else ""
            fix = f"the keys are {known}" if known else "set path to the keys that lead to the rows"
            raise invalid(file, f"there is nothing at {'.'.join(walked)}", None, fix)
        content = content[key]
    if isinstance(content, dict):
        content = [content]
    where = path or "the top level"
    if not isinstance(content, list):
        raise invalid(file, f"{where} is neither a list of objects nor one object")
    for position, row in enumerate(content):
        if not isinstance(row, dict):
            fix = "" if path else "set path to the keys that lead to the rows, such as data.items"
            raise invalid(file, f"item {position} at {where} is not an object", None, fix)
        yield row
