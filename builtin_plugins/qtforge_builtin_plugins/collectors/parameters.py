"""Reads the parameters of a source strictly; a misspelt one is told with the right one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import durationpy
import msgspec

from qtforge_sdk.errors import OperationError

__all__ = ["invalid_parameter", "read_parameters", "seconds"]

T = TypeVar("T", bound=msgspec.Struct)


def read_parameters(given: Mapping[str, Any], kind: type[T], subject: str) -> T:
    """Return the parameters as their type.

    Args:
        given: What the source says; numbers may be text, as in the original.
        kind: A Struct that forbids unknown fields.
        subject: The error's first word, such as ``http``.

    Raises:
        OperationError: ``<subject>.invalid_parameters``, with the nearest right name.
    """
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            fix = f"did you mean '{near[0]}'?" if near else f"the parameters are {', '.join(known)}"
            raise invalid_parameter(subject, f"there is no parameter '{name}'", fix)
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_parameter(subject, _in_words(str(error))) from error


def invalid_parameter(subject: str, why: str, fix: str = "") -> OperationError:
    """Return the error of a parameter that can't be used."""
    what = "the source's parameters can't be used"
    return OperationError(f"{subject}.invalid_parameters", what, why, fix, retryable=False)


def seconds(text: str, name: str, subject: str) -> float:
    """Return a parameter's duration, such as ``30s`` or ``1m30s``, in seconds.

    Raises:
        OperationError: ``<subject>.invalid_parameters``: it is none, or not above zero.
    """
    try:
        found = float(durationpy.from_str(text.strip()).total_seconds())
    except durationpy.DurationError as error:
        fix = "write it as 30s, 500ms or 1h30m"
        raise invalid_parameter(subject, f"{name}: '{text}' is not a duration", fix) from error
    if found <= 0:
        raise invalid_parameter(subject, f"{name}: '{text}' is not above zero")
    return found


def _in_words(text: str) -> str:
    what, _, path = text.partition(" - at `$.")
    return f"{path.rstrip('`')}: {what}" if path else what
