"""Hides secrets in rows and errors: a server may send back what it was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtforge_sdk.errors import OperationError

__all__ = ["errors_masked", "masked"]


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value as JSON knows it, with the secrets in its texts and keys hidden.

    Args:
        value: Null, true and false, numbers, texts, lists and mappings of these.
        mask: Returns a text without secrets.

    A number that is a secret as a whole becomes text.
    """
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): masked(each, mask) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each, mask) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        hidden = mask(text)
        # A short secret stands within many numbers; one that is nothing else is the secret.
        return hidden if hidden != text and not any(each.isdigit() for each in hidden) else value
    return value


@contextmanager
def errors_masked(mask: Callable[[str], str]) -> Iterator[None]:
    """Hide the secrets in the texts of an `OperationError` that leaves the block.

    The names of an answer's fields, a redirect's host and a library's words about a header
    all may hold one.
    """
    try:
        yield
    except OperationError as error:
        error.what, error.why, error.fix = map(mask, (error.what, error.why, error.fix))
        error.args = (error.code, error.what, error.why, error.fix)
        raise
