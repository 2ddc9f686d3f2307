"""Read an aggregation's table: a method, and that method's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.aggregation.messages import (
    Aggregation,
    Intersect,
    Merge,
    Statistical,
    Union,
)
from qtforge_sdk.errors import OperationError
from qtforge_sdk.validation import did_you_mean, validation_errors

__all__ = ["METHODS", "names_of", "read_aggregation"]

METHODS: Final[tuple[type[Aggregation], ...]] = (Merge, Union, Intersect, Statistical)


def read_aggregation(given: Any) -> Aggregation:
    """Return the table as its method's type.

    Raises:
        OperationError: ``aggregation.unknown_method`` or ``aggregation.invalid``.
    """
    if not isinstance(given, Mapping):
        why = f"it is {type(given).__name__}, not a table"
        raise _invalid(why, 'write it as { method = "union" }')
    kinds = {kind.method: kind for kind in METHODS}
    method = given.get("method")
    if method not in kinds:
        what = "the aggregation has no method" if method is None else ""
        raise OperationError(
            "aggregation.unknown_method",
            what or f"there is no aggregation '{method}'",
            "",
            did_you_mean(method or "", kinds),
            retryable=False,
        )
    kind = kinds[method]
    options = {key: value for key, value in given.items() if key != "method"}
    problems = validation_errors(options, kind, "aggregation")
    if problems:
        raise _invalid("\n".join(map(str, problems)))
    found: Aggregation = msgspec.convert(options, kind)
    problem = _problem_of(found)
    if problem:
        raise _invalid(f"aggregation.{problem}")
    return found


def names_of(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns, which may be written as one."""
    return (given,) if isinstance(given, str) else given


def _problem_of(given: Aggregation) -> str:
    if isinstance(given, Statistical):
        outside = [each for each in given.quantiles if not 0 <= each <= 1]
        return f"quantiles: {outside[0]:g} is not a share from 0 to 1" if outside else ""
    if isinstance(given, Union) and names_of(given.key) and not given.distinct:
        return "key: it is used with distinct = true only"
    if isinstance(given, Merge) and given.prefer and given.conflict == "last":
        return "prefer: it has no effect with conflict = 'last'; use conflict = 'first'"
    if isinstance(given, Merge) and not names_of(given.key):
        idle = [
            name for name in ("conflict", "prefer") if getattr(given, name) not in ("first", ())
        ]
        return f"{idle[0]}: without a key no rows are merged" if idle else ""
    return ""


def _invalid(why: str, fix: str = "") -> OperationError:
    what = "the aggregation can't be read"
    return OperationError("aggregation.invalid", what, why, fix, retryable=False)
