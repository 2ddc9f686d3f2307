"""Read the parameters of a source strictly, and report every error in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from qtforge_sdk import Duration, durations
from qtforge_sdk.errors import OperationError
from qtforge_sdk.validation import nearest, validation_errors

__all__ = ["invalid_parameter", "read_parameters", "seconds"]

T = TypeVar("T", bound=msgspec.Struct)


def read_parameters(
    given: Mapping[str, Any], kind: type[T], subject: str, unknown_hint: str = ""
) -> T:
    """Return the parameters as their type.

    Args:
        given: The source's parameters; numbers may be text, as in the original.
        kind: A Struct that forbids unknown fields.
        subject: The first word of the error's code, such as ``http``.
        unknown_hint: Added to the fix of an unknown parameter that resembles no known one.

    Raises:
        OperationError: ``<subject>.invalid_parameters``, with every error.
    """
    errors = validation_errors(given, kind, strict=False)
    if unknown_hint:
        known = kind.__struct_encode_fields__
        errors = [
            msgspec.structs.replace(error, fix=f"{error.fix}; {unknown_hint}")
            if error.path in given and error.path not in known and not nearest(error.path, known)
            else error
            for error in errors
        ]
    if len(errors) == 1:
        (error,) = errors
        why = f"{error.path}: {error.what}" if error.path else error.what
        raise invalid_parameter(subject, why, error.fix)
    if errors:
        raise invalid_parameter(subject, "\n".join(map(str, errors)))
    return msgspec.convert(given, kind, strict=False)


def invalid_parameter(subject: str, why: str, fix: str = "") -> OperationError:
    """Return the error of a parameter that can't be used."""
    what = "the source's parameters can't be used"
    return OperationError(f"{subject}.invalid_parameters", what, why, fix, retryable=False)


def seconds(duration: Duration, name: str, subject: str) -> float:
    """Return a parameter's duration, such as ``30s`` or ``1m30s``, in seconds.

    Raises:
        OperationError: ``<subject>.invalid_parameters``: it is not a duration above zero.
    """
    try:
        return durations.seconds(duration)
    except durations.DurationError as error:
        raise invalid_parameter(subject, f"{name}: {error.why}", error.fix) from error
