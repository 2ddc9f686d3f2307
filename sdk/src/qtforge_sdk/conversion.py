"""Convert messages to the type that a handler or a caller requires.

An object of the required type is not copied; anything else is converted and validated by
msgspec, and the error names the path of the field.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final

import msgspec

__all__ = ["check_keys", "convert", "is_untyped", "to_json", "to_plain"]

_NATIVE = (bytes, bytearray, memoryview, datetime.datetime, datetime.date, datetime.time)
_SCALARS = frozenset((str, int, float, bool, type(None)))
_MAPPINGS = (dict, Mapping)
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=str)
# How msgpack begins a float without a number; others, and bytes, may begin alike.
_MAYBE_NO_NUMBER: Final = (b"\xcb\x7f", b"\xcb\xff")


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


def check_keys(value: Any) -> None:
    """Refuse mappings of which two keys would become the same text, such as 1 and "1".

    Args:
        value: What `to_plain` takes.

    Raises:
        TypeError: There is one; the text has its path and the keys.

    >>> check_keys({"rows": [{1: "a", "1": "b"}]})
    Traceback (most recent call last):
    TypeError: the keys 1 and '1' are the same text - at `$.rows[0]`
    """
    for path, mapping in _mappings(value, "$"):
        texts: dict[str, Any] = {}
        for key in mapping:
            text = key if isinstance(key, str) else _key_text(key)
            if text in texts:
                raise TypeError(
                    f"the keys {texts[text]!r} and {key!r} are the same text - at `{path}`"
                )
            texts[text] = key


def to_json(value: Any, enc_hook: Callable[[Any], Any] | None = None) -> bytes:
    """Return a value as JSON, in which there are no numbers for NaN and infinity.

    They become the texts that Protocol Buffers write: ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``.

    Args:
        value: What `to_plain` takes.
        enc_hook: Returns a plain value for a part that has no plain form.

    Raises:
        TypeError: A part of it has no plain form.

    >>> to_json([1.5, float("nan"), -float("inf"), None])
    b'[1.5,"NaN","-Infinity",null]'
    """
    encoded = msgspec.json.encode(value, enc_hook=enc_hook)
    if b"null" not in encoded:  # which msgspec writes for them
        return encoded
    try:
        packed = _ENCODER.encode(value)
    except (ValueError, OverflowError):  # such as an integer of more than 64 bits
        packed = _MAYBE_NO_NUMBER[0]
    if not any(each in packed for each in _MAYBE_NO_NUMBER):
        return encoded
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=enc_hook)
    return msgspec.json.encode(_without_numberless(plain))


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


def _mappings(value: Any, path: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Return the mappings within a value, each with its path."""
    if isinstance(value, Mapping):
        yield path, value
        for key, each in value.items():
            yield from _mappings(each, f"{path}.{key}")
    elif isinstance(value, list | tuple | Set):
        for place, each in enumerate(value):
            yield from _mappings(each, f"{path}[{place}]")
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _mappings(getattr(value, name, None), f"{path}.{name}")
    elif _is_record(value):
        for field in dataclasses.fields(value):
            yield from _mappings(getattr(value, field.name, None), f"{path}.{field.name}")


def _key_text(key: Any) -> str:
    texts: dict[str, None] = msgspec.to_builtins({key: None}, str_keys=True)
    return next(iter(texts))


def _without_numberless(value: Any) -> Any:
    """Return a plain value with a text for each float that JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _without_numberless(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_numberless(each) for each in value]
    return value
