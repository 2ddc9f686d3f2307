"""Durations in definitions and configuration: ``30s``, ``500ms``, ``1h30m``."""

from __future__ import annotations

import durationpy

__all__ = ["seconds"]


def seconds(text: str) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: It is not a duration, or not above zero.

    >>> seconds("1m30s"), seconds("500ms")
    (90.0, 0.5)
    """
    try:
        found = float(durationpy.from_str(text.strip()).total_seconds())
    except durationpy.DurationError as error:
        raise ValueError(f"'{text}' is not a duration: write it as 30s, 500ms or 1h30m") from error
    if found <= 0:
        raise ValueError(f"'{text}' is not above zero")
    return found
