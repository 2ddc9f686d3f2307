"""Mask secrets in rows and errors: a server may send them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtforge_sdk.errors import OperationError

__all__ = ["errors_masked", "masked"]


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a JSON value with the secrets in its texts and keys masked.

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
        # A short secret is within many numbers; only a number that equals it is masked.
        return hidden if hidden != text and not any(each.isdigit() for each in hidden) else value
    return value


@contextmanager
def errors_masked(mask: Callable[[str], str]) -> Iterator[None]:
    """Mask the secrets in the texts of an `OperationError` that leaves the block.

    The names of an answer's fields, a redirect's host and a library's error about a header
    may all contain one.
    """
    try:
        yield
    except OperationError as error:
        error.what, error.why, error.fix = map(mask, (error.what, error.why, error.fix))
        error.args = (error.code, error.what, error.why, error.fix)
        raise
