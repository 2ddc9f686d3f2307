"""Hides secrets in rows: a server may send back what it was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["concealed"]


def concealed(value: Any, conceal: Callable[[str], str]) -> Any:
    """Return a value as JSON knows it, with the secrets in its texts and keys hidden.

    Args:
        value: Null, true and false, numbers, texts, lists and mappings of these.
        conceal: Returns a text without secrets.

    A number that is a secret as a whole becomes text.
    """
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, dict):
        return {conceal(key): concealed(each, conceal) for key, each in value.items()}
    if isinstance(value, list):
        return [concealed(each, conceal) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        hidden = conceal(text)
        # A short secret stands within many numbers; one that is nothing else is the secret.
        return hidden if hidden != text and not any(each.isdigit() for each in hidden) else value
    return value
