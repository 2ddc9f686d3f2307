"""Small parts of Markdown that all generated pages have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["attributes", "cell", "first_paragraph", "table"]


def cell(text: str) -> str:
    """Return a text as it may stand in a table's cell, reStructuredText's ``code`` as `code`."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"``([^`]+)``", r"`\1`", flat)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; "" without rows."""
    lines = [f"| {' | '.join(cell(each) for each in row)} |" for row in rows]
    if not lines:
        return ""
    rule = "|".join("---" for _ in head)
    return "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *lines]) + "\n"


def first_paragraph(docstring: str | None) -> str:
    """Return what a docstring says before its first empty line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def attributes(docstring: str | None) -> dict[str, str]:
    r"""Return the descriptions in a docstring's sections ``Attributes`` and ``Args``.

    >>> attributes("A box.\n\n    Attributes:\n        width: In metres,\n            if known.\n")
    {'width': 'In metres, if known.'}
    """
    found: dict[str, str] = {}
    name, indent = "", None
    for line in (docstring or "").splitlines():
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if text in ("Attributes:", "Args:"):
            indent = depth + 4
        elif indent is None or not text:
            continue
        elif depth < indent:
            indent = None
        elif depth == indent and (start := re.match(r"\*{0,2}(\w+):\s*(.*)", text)):
            name = start[1]
            found[name] = start[2]
        elif name:
            found[name] = f"{found[name]} {text}".strip()
    return found
