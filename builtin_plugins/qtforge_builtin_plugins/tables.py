"""Tables that people write, such as the sources of an input: every problem with its path."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["near", "problems_of"]


def problems_of(value: Any, kind: type[msgspec.Struct], path: str) -> list[str]:
    """Return what is wrong with a table, a line for each: its path, and the nearest right key.

    Args:
        value: What somebody wrote.
        kind: What it should be; it forbids unknown fields.
        path: Where it stands, such as ``sources[2]``.
    """
    if not isinstance(value, Mapping):
        return [f"{path}: a table is expected, not {type(value).__name__}"]
    known = list(kind.__struct_encode_fields__)
    found = [f"{path}.{key}: unknown key; {near(key, known)}" for key in value if key not in known]
    if found:
        return found
    try:
        msgspec.convert(dict(value), kind)
    except msgspec.ValidationError as error:
        what, _, inner = str(error).partition(" - at `$")
        return [f"{path}{inner.rstrip('`')}: {what[:1].lower()}{what[1:]}"]
    return []


def near(name: object, known: list[str]) -> str:
    """Return what may have been meant: the nearest name, or all of them."""
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
