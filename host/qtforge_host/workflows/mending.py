"""Make a definition with wrong keys readable, to find what else is wrong with it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from qtforge_sdk.validation import FieldError, validation_errors

__all__ = ["mended"]

_MOST_ERRORS: Final = 50
_INDEX: Final = re.compile(r"\[(\d+)\]\.?")

Edit = Callable[[Any, Any], None]


def mended(table: dict[str, Any], kind: Any) -> dict[str, Any] | None:
    """Return a table that a type accepts, as near to a wrong one as is easy to find.

    A misspelt key gets its name, a single value where a list is wanted becomes one, a number
    where a text is wanted becomes one, a text that is missing or has the wrong form becomes an
    example, or its key in angle brackets, and what is wrong otherwise is left out. The result is
    good for further checks only: what the author meant is not known.

    Args:
        table: As tomllib read it; it stays as it is.
        kind: The type.

    Returns:
        The table; None where the type accepts nothing that is near, or too much is wrong.

    >>> import msgspec
    >>> class Stage(msgspec.Struct, forbid_unknown_fields=True):
    ...     name: str
    ...     needs: list[str] = []
    >>> mended({"nam": "a", "needs": "b", "colour": 1}, Stage)
    {'needs': ['b'], 'name': 'a'}
    """
    errors = validation_errors(table, kind)
    if len(errors) > _MOST_ERRORS:
        return None
    while errors:
        for changed in _candidates(table, errors[0]):
            left = validation_errors(changed, kind)
            if len(left) < len(errors):
                table, errors = changed, left
                break
        else:
            return None
    return table


def _candidates(table: dict[str, Any], error: FieldError) -> Iterator[dict[str, Any]]:
    """Yield tables without an error, or with another one in its place."""
    for edit in _edits(error):
        changed = copy.deepcopy(table)
        try:
            edit(*_place(changed, error.path))
        except (KeyError, IndexError, TypeError):  # it has another form than the edit is for
            continue
        yield changed


def _edits(error: FieldError) -> Iterator[Edit]:
    def rename(inner: Any, key: Any) -> None:
        inner[error.near] = inner.pop(key)

    def write_as_text(inner: Any, key: Any) -> None:
        inner[key] = str(inner[key])

    def write_as_list(inner: Any, key: Any) -> None:
        inner[key] = [inner[key]]

    def add(inner: Any, key: Any) -> None:
        if not isinstance(inner, dict):
            raise TypeError(key)
        inner.setdefault(key, f"<{key}>")

    def write_example(inner: Any, key: Any) -> None:
        if not isinstance(inner, dict):
            raise TypeError(key)
        inner[key] = error.example

    def leave_out(inner: Any, key: Any) -> None:
        del inner[key]

    if error.near is not None:
        yield rename
    if error.example is not None:
        yield write_example
    yield from (write_as_text, write_as_list, add, leave_out)


def _place(table: Any, path: str) -> tuple[Any, Any]:
    """Return the table or list that holds what a path names, and its key in it."""
    inner, rest = table, path
    while True:
        index = _INDEX.match(rest)
        if index is not None:
            key: Any = int(index[1])
            rest = rest[index.end() :]
        else:
            if not isinstance(inner, dict):
                raise TypeError(path)
            fitting = [
                each for each in inner if rest == each or rest.startswith((f"{each}.", f"{each}["))
            ]
            key = max(fitting, key=len, default=rest)
            rest = rest[len(key) :].removeprefix(".")
        if not rest:
            return inner, key
        inner = inner[key]
