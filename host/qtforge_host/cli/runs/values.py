"""Inputs and results of runs for people: a line for each key, or the whole as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from qtforge_host.cli.tables import shortened, terminal_width, text_width
from qtforge_host.cli.terminal import clean_line
from qtforge_sdk.conversion import to_json

__all__ = ["value_lines"]

_MOST_KEYS: Final = 12
_REDIRECTED: Final = 100  # the width of a line in a file
_LEAST: Final = 20


def value_lines(title: str, value: Any, *, full: bool) -> Iterator[str]:
    """Give a value's lines; none for a value that says nothing.

    Args:
        title: What it is, such as ``input``.
        value: Plain values.
        full: Whether all of it is given, as JSON; else a line for each key, shortened.
    """
    if value is None or value == {}:
        return
    if full:
        yield title
        text = msgspec.json.format(to_json(value, str), indent=2).decode()
        yield from (f"  {line}" for line in text.splitlines())
        return
    width = terminal_width() or _REDIRECTED
    if not isinstance(value, Mapping):
        yield f"{title}  {_briefly(value, width - len(title) - 2)}"
        return
    yield title
    shown = [(clean_line(str(key)), each) for key, each in list(value.items())[:_MOST_KEYS]]
    keys = min(max(text_width(key) for key, _ in shown), width // 3)
    for key, each in shown:
        name = shortened(key, keys)
        padding = " " * (keys - text_width(name))
        yield f"  {name}{padding}  {_briefly(each, width - keys - 4)}"
    if len(value) > _MOST_KEYS:
        yield f"  and {len(value) - _MOST_KEYS:,} more; see --full"


def _briefly(value: Any, most: int) -> str:
    most = max(most, _LEAST)
    if isinstance(value, str):  # a long text isn't encoded for the few characters shown
        value = value[: most + 1]
    return shortened(clean_line(to_json(value, str).decode()), most)
