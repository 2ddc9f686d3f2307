"""What is wrong with a definition: where, what, and the nearest right name."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Problem", "line_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        source: The file, or who contributed the definition.
        line: Counted from 1; None where it is not known.
        path: The key's path, such as ``stages[2].when``; "" for the whole file.
        what: What is wrong.
        fix: The nearest right name, or what to do; may be "".
    """

    source: str
    line: int | None
    path: str
    what: str
    fix: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        text = f"{place}: {self.path}: {self.what}" if self.path else f"{place}: {self.what}"
        return f"{text} (fix: {self.fix})" if self.fix else text


def line_of(text: str, path: str) -> int | None:
    r"""Return the line on which a key stands, as far as headers and key lines tell.

    >>> line_of('name = "a"\n[[stages]]\nname = "b"\ntimeout = "3"', "stages[0].timeout")
    4
    """
    words = re.findall(r"([\w-]+)(?:\[(\d+)\])?", path)
    lines = text.splitlines()
    start, end = 0, len(lines)
    found: int | None = None
    for name, index in words:
        header = _header(lines, start, end, name, int(index) if index else 0)
        if header is not None:
            found, start = header + 1, header + 1
            end = _next_header(lines, start)
            continue
        key = re.compile(rf"\s*(?:\"{re.escape(name)}\"|{re.escape(name)})\s*=")
        line = next((at for at in range(start, end) if key.match(lines[at])), None)
        if line is None:
            break
        found, start, end = line + 1, line, line + 1
    return found


def _header(lines: list[str], start: int, end: int, name: str, index: int) -> int | None:
    header = re.compile(rf"\s*\[\[?\s*(?:[\w.\"-]+\.)?{re.escape(name)}\s*\]\]?\s*(?:#.*)?$")
    places = [at for at in range(start, len(lines)) if header.match(lines[at])]
    return places[index] if index < len(places) else None


def _next_header(lines: list[str], start: int) -> int:
    after = (at for at in range(start, len(lines)) if re.match(r"\s*\[\[", lines[at]))
    return next(after, len(lines))
