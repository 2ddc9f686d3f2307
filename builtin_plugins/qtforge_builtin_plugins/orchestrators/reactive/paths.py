"""Paths of values in a machine's data, such as ``order.items[0].count``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from qtforge_sdk.errors import OperationError

__all__ = ["first_key", "is_path", "with_value"]

_MOST_PARTS: Final = 32
_LONGEST: Final = 1_000  # characters
_PATH: Final = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[[0-9]{1,9}\])*(?!\n)\Z")
_PART: Final = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def is_path(text: str) -> bool:
    """Whether a text is the name of a key, or a path that begins with one."""
    return len(text) <= _LONGEST and _PATH.match(text) is not None and _count(text) <= _MOST_PARTS


def first_key(path: str) -> str:
    """Return the key of the data with which a path begins.

    >>> first_key("order.items[0].count")
    'order'
    """
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def with_value(data: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return data with a value at a path; what lies on the path is copied, and not changed.

    A key that the path ends with may be new; everything above it must be there.

    >>> with_value({"a": {"b": [1, 2]}}, "a.b[1]", 3)
    {'a': {'b': [1, 3]}}

    Raises:
        OperationError: ``machine.path``: it is no path, or leads nowhere in the data.
    """
    if "." not in path and "[" not in path and "]" not in path:
        return {**data, path: value}
    if not is_path(path):
        raise _refused(path, "it is not a path", "write names and places: order.items[0].count")
    parts = [name or int(place) for name, place in _PART.findall(path)]
    found: Any = data
    above = []
    for part in parts[:-1]:
        above.append(found)
        found = found[_checked(found, part, path, may_be_new=False)]
    for part in reversed(parts):
        key = _checked(found, part, path, may_be_new=True)
        if isinstance(found, Mapping):
            value = {**found, key: value}
        else:
            value = [*found[:key], value, *found[key + 1 :]]
        found = above.pop() if above else None
    whole: dict[str, Any] = value
    return whole


def _checked(holder: Any, part: str | int, path: str, *, may_be_new: bool) -> Any:
    """Return the key or the place that a part of a path names."""
    if isinstance(part, str):
        if not isinstance(holder, Mapping):
            raise _refused(path, f"what should have a key '{part}' is {_kind(holder)}")
        if part not in holder and not may_be_new:
            raise _refused(path, f"there is no '{part}'", "set what is above it first")
    elif not isinstance(holder, list | tuple):
        raise _refused(path, f"what should have a place [{part}] is {_kind(holder)}")
    elif part >= len(holder):
        fix = "a place of a list is from 0 to its length less one; '${data.list + [value]}' adds"
        raise _refused(path, f"there is no place [{part}] in a list of {len(holder)}", fix)
    return part


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _refused(path: str, why: str, fix: str = "") -> OperationError:
    what = f"{path[:_LONGEST]!r} can't be set in the data"
    return OperationError("machine.path", what, why, fix, retryable=False)


def _count(path: str) -> int:
    return path.count(".") + path.count("[") + 1
