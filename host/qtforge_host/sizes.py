"""Sizes of memory: numbers of bytes, and texts such as ``2 GiB``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["parse_size", "size_text"]

_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SIZE: Final = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([a-z]{0,3})\s*", re.ASCII | re.I)


def parse_size(value: int | str) -> int:
    """Return a number of bytes.

    Args:
        value: That number, or a text: a number and ``B``, ``kB``, ``MB``, ``GB``, ``TB``, or
            ``KiB``, ``MiB``, ``GiB``, ``TiB``.

    Raises:
        ValueError: It is neither.

    >>> parse_size("1.5 GiB"), parse_size("20 MB"), parse_size(4096)
    (1610612736, 20000000, 4096)
    """
    if isinstance(value, int):
        return value
    found = _SIZE.fullmatch(value)
    if found is None or found[2].lower() not in _UNITS:
        raise ValueError(f"{value[:80]!r} is not a size; write it as 512 MiB or 2 GiB")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def size_text(size_bytes: int) -> str:
    """Return a size for people, in the largest binary unit that it has one of.

    >>> size_text(2 << 30), size_text(1_500_000), size_text(12)
    ('2 GiB', '1.4 MiB', '12 bytes')
    """
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return f"{round(size_bytes / factor, 1):g} {unit}"
    return f"{size_bytes} bytes"
