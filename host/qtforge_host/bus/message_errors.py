"""Say why a message does not fit the type of a handler, a subscriber or a caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qtforge_sdk.validation import validation_errors

__all__ = ["message_errors"]

_MOST_ERRORS: Final = 5
_MOST_VALUES: Final = 1000  # of a larger message the first error alone is named


def message_errors(message: Any, target: Any, error: msgspec.ValidationError) -> str:
    """Return the errors of a message, each with its path, in one line.

    Args:
        message: The message.
        target: The type that it does not fit.
        error: The first error, for a message whose errors are not looked for.
    """
    if not isinstance(message, Mapping) or not _is_small(message):
        return str(error)
    try:
        found = validation_errors(message, target)
    except Exception:  # noqa: BLE001 - a type of a plugin, whose annotations can hold anything
        found = []
    shown = [str(each) for each in found[:_MOST_ERRORS]]
    if len(found) > _MOST_ERRORS:
        shown.append(f"and {len(found) - _MOST_ERRORS} more")
    return "; ".join(shown) or str(error)


def _is_small(value: Any) -> bool:
    count, waiting = 0, [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping | list | tuple):
            count += len(value)
            if count > _MOST_VALUES:
                return False
            waiting += value.values() if isinstance(value, Mapping) else value
    return True
