"""Convert messages to the type that a handler or a caller requires.

An object of the required type is not copied; anything else is converted and validated by
msgspec, and the error names the path of the field.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["convert", "is_untyped", "to_plain"]

_NATIVE = (bytes, bytearray, memoryview, datetime.datetime, datetime.date, datetime.time)
_SCALARS = frozenset((str, int, float, bool, type(None)))
_MAPPINGS = (dict, Mapping)


def is_untyped(target: Any) -> bool:
    """Return whether an annotation admits every message.

    >>> is_untyped(Any), is_untyped(object), is_untyped(int)
    (True, True, False)
    """
    return target is Any or target is object


def to_plain(value: Any) -> Any:
    """Return a value as dicts, lists, tuples and scalars; bytes and dates are not converted.

    >>> to_plain({"a": {1}})
    {'a': [1]}

    Raises:
        TypeError: A part of it has no plain form.
    """
    if value.__class__ in _SCALARS:
        return value
    return msgspec.to_builtins(value, builtin_types=_NATIVE, str_keys=True)


def convert(value: Any, target: Any) -> Any:
    """Return a value as an instance of a type.

    Args:
        value: A Struct, a dataclass instance, or mappings, lists and scalars.
        target: A type or an annotation that msgspec understands.

    Raises:
        msgspec.ValidationError: It does not fit; the text ends with the field's path.

    >>> class Point(msgspec.Struct):
    ...     x: int
    >>> convert({"x": 1}, Point)
    Point(x=1)
    >>> point = Point(2)
    >>> convert(point, Point) is point
    True
    >>> convert({"x": "one"}, Point)
    Traceback (most recent call last):
    msgspec.ValidationError: Expected `int`, got `str` - at `$.x`
    """
    if is_untyped(target):
        return value
    if isinstance(target, type) and isinstance(value, target):
        return value
    if (typing.get_origin(target) or target) in _MAPPINGS and _is_record(value):
        value = to_plain(value)
    try:
        return msgspec.convert(value, target, from_attributes=True)
    except msgspec.ValidationError:
        raise
    except TypeError as error:  # the annotation is one that msgspec has no rules for
        origin = typing.get_origin(target) or target
        if isinstance(origin, type) and isinstance(value, origin):
            return value
        raise msgspec.ValidationError(str(error)) from error


def _is_record(value: object) -> bool:
    return isinstance(value, msgspec.Struct) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )
