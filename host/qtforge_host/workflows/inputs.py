"""Typed inputs: whether values are what ``[inputs.NAME]`` of a definition accepts.

Values are those of JSON; TOML's dates become text. `accept` gives each value the form in which
a run keeps it: a date is ``2026-11-30``, a timestamp ISO 8601 with an offset, a duration stays as
it is written.
"""

from __future__ import annotations

import datetime
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qtforge_host import toml
from qtforge_sdk.durations import DurationError, signed_seconds
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.inputs import InputSpec
from qtforge_sdk.members import ListOf, Members, members_of
from qtforge_sdk.validation import did_you_mean

if TYPE_CHECKING:  # the command line reads texts without it
    from qtforge_host.expressions.evaluator import Evaluator

__all__ = [
    "NotAcceptedError",
    "accept",
    "json_schema",
    "members",
    "of_text",
    "problems",
    "shown",
    "wants",
]

_LIST: Final = re.compile(r"list\[(.*)\]", re.DOTALL)
_DEEPEST: Final = 8
_PYTHON: Final[Mapping[str, type]] = MappingProxyType(
    {
        "string": str,
        "integer": int,
        "number": float,
        "boolean": bool,
        "date": datetime.date,
        "timestamp": datetime.datetime,
        "duration": datetime.timedelta,
    }
)
_SHOWN: Final = 60  # characters of a value that an error repeats
_LEAST_INTEGER: Final = -(2**63)  # as the journal keeps them
_MOST_INTEGER: Final = 2**64 - 1
_LONGEST_PATTERN: Final = 200
_MOST_SHOWN: Final = 20  # values that an error names


class NotAcceptedError(ValueError):
    """A value is not accepted.

    Args:
        why: What is wrong with it, as the predicate of the input's name.
    """

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise NotAcceptedError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotAcceptedError
    if not _LEAST_INTEGER <= value <= _MOST_INTEGER:
        raise NotAcceptedError("has more than 64 bits")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotAcceptedError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotAcceptedError
    return value


def _date(value: Any) -> str:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    try:  # of a time, its date where it was
        found = value if isinstance(value, datetime.datetime) else _moment(value)
    except ValueError:
        raise NotAcceptedError from None
    return found.date().isoformat()


def _timestamp(value: Any) -> str:
    try:
        found = value if isinstance(value, datetime.datetime) else _moment(value)
    except ValueError:
        raise NotAcceptedError from None
    if found.tzinfo is None:
        raise NotAcceptedError("has no offset from UTC")
    return found.isoformat()


def _moment(value: Any) -> datetime.datetime:
    return datetime.datetime.fromisoformat(_text(value))


def _duration(value: Any) -> float | str:
    try:
        signed_seconds(value)
    except DurationError:
        raise NotAcceptedError from None
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value


def _table(value: Any) -> Any:
    if not isinstance(value, Mapping | msgspec.Struct):
        raise NotAcceptedError
    return value


class _Type(msgspec.Struct, frozen=True):
    """A type that is no list.

    Attributes:
        read: Returns a value in its kept form; raises `NotAcceptedError`.
        noun: What is accepted, with its article.
        schema: Its JSON Schema.
        order: Returns what kept values are compared by; None where there is no order.
    """

    read: Callable[[Any], Any]
    noun: str
    schema: Mapping[str, Any]
    order: Callable[[Any], Any] | None = None


_TYPES: Final[Mapping[str, _Type]] = MappingProxyType(
    {
        "string": _Type(_text, "a string", {"type": "string"}),
        "integer": _Type(_integer, "an integer", {"type": "integer"}, lambda value: value),
        "number": _Type(_number, "a number", {"type": "number"}, lambda value: value),
        "boolean": _Type(_boolean, "true or false", {"type": "boolean"}),
        "date": _Type(
            _date,
            "a date such as 2026-11-30",
            {"type": "string", "format": "date"},
            datetime.date.fromisoformat,
        ),
        "timestamp": _Type(
            _timestamp,
            "a time with an offset, such as 2026-11-30T09:00:00Z",
            {"type": "string", "format": "date-time"},
            datetime.datetime.fromisoformat,
        ),
        "duration": _Type(
            _duration,
            "a duration (text such as 1h30m, or seconds)",
            {"type": ["string", "number"]},
            signed_seconds,
        ),
        "table": _Type(_table, "a table", {"type": "object"}),
        "any": _Type(lambda value: value, "a value", {}),
    }
)


def accept(spec: InputSpec, value: Any, evaluator: Evaluator) -> Any:
    """Return a value in the form in which a run keeps it.

    Args:
        spec: What is accepted.
        value: The value; None where none is given.
        evaluator: Evaluates the pattern.

    Raises:
        NotAcceptedError: It is not accepted.
        ExpressionError: The pattern is too costly for it.
    """
    if value is None and spec.default is not msgspec.UNSET:
        value = spec.default
    if value is None:
        if spec.is_required:
            raise NotAcceptedError
        return None
    kept = _read(spec.type, value)
    order = _order(spec.type)
    if order is not None:
        low, high = spec.min, spec.max
        if low is not None and order(kept) < order(_read(spec.type, low)):
            raise NotAcceptedError
        if high is not None and order(kept) > order(_read(spec.type, high)):
            raise NotAcceptedError
    if isinstance(kept, str) and not _has_room(len(kept), spec.min_length, spec.max_length):
        raise NotAcceptedError(f"has {len(kept):,} characters")
    if isinstance(kept, list) and not _has_room(len(kept), spec.min_items, spec.max_items):
        raise NotAcceptedError(f"has {len(kept):,} items")
    if spec.enum is not None and kept not in [_read(spec.type, each) for each in spec.enum]:
        raise NotAcceptedError
    if spec.pattern is not None and not _matches(kept, spec.pattern, evaluator):
        raise NotAcceptedError
    return kept


def of_text(spec: InputSpec, text: str) -> Any:
    """Return what a text of the command line stands for; `accept` decides whether it may.

    A text that is written in TOML as a value of the type is that value, and any other is taken
    as it is; where a list is wanted, one item will do.

    >>> of_text(InputSpec(type="string"), "5"), of_text(InputSpec(type="integer"), "5")
    ('5', 5)
    >>> of_text(InputSpec(type="list[string]"), "Ada")
    ['Ada']
    """
    return _of_text(spec.type, text)


def _of_text(name: str, text: str) -> Any:
    try:
        table = toml.read(f"value = {text}")
    except (tomllib.TOMLDecodeError, toml.TomlLimitError):
        table = {}
    value = table["value"] if len(table) == 1 else text
    if item := _item(name):
        return value if isinstance(value, list) else [_of_text(item, text)]
    try:
        _read(name, value)
    except NotAcceptedError:
        return text
    return value


def members(spec: InputSpec) -> Members:
    """Return what is known of an input that is accepted.

    >>> members(InputSpec(type="list[date]"))
    ListOf(items=Scalar(what='a date'))
    """
    return None if spec.secret else _members_of(spec.type)


def _members_of(kind: str) -> Members:
    if item := _item(kind):
        return ListOf(_members_of(item))
    return members_of([_PYTHON[kind]]) if kind in _PYTHON else None


def wants(spec: InputSpec) -> str:
    """Return what is accepted, as the object of "give".

    >>> wants(InputSpec(type="integer", min=1))
    'an integer of at least 1'
    >>> wants(InputSpec(type="list[string]", min_items=1))
    'a list of strings with at least 1 item'
    """
    if spec.enum is not None:
        values = ", ".join(shown(each) for each in spec.enum[:_MOST_SHOWN])
        left = len(spec.enum) - _MOST_SHOWN
        return f"one of {values}" + (f", or one of {left:,} others" if left > 0 else "")
    said = _noun(spec.type)
    low, high = spec.min, spec.max
    if low is not None and high is not None:
        said += f" from {_plain(low)} to {_plain(high)}"
    elif low is not None:
        said += f" of at least {_plain(low)}"
    elif high is not None:
        said += f" of at most {_plain(high)}"
    said += _room_text("character", spec.min_length, spec.max_length)
    said += _room_text("item", spec.min_items, spec.max_items)
    if spec.pattern is not None:
        said += f" that matches {_short(spec.pattern, _LONGEST_PATTERN)}"
    return said


def problems(name: str, spec: InputSpec, evaluator: Evaluator) -> Iterator[tuple[str, str, str]]:
    """Give the problems of a declaration, each with its path, what is wrong, and the fix.

    Args:
        name: The input.
        spec: Its declaration.
        evaluator: Evaluates the pattern.
    """
    path = f"inputs.{name}"
    inner = spec.type
    for _ in range(_DEEPEST):
        inner = _item(inner) or inner
    if inner not in _TYPES:
        fix = did_you_mean(inner, _TYPES, f"use {', '.join(_TYPES)}, or list[...] of one")
        yield f"{path}.type", f"'{_short(spec.type)}' is not a type of inputs", fix
        return
    is_list = bool(_item(spec.type))
    has_order = _order(spec.type) is not None
    for key, fits, of in (
        ("min", has_order, "numbers, dates, timestamps and durations"),
        ("max", has_order, "numbers, dates, timestamps and durations"),
        ("min_length", spec.type == "string", "strings"),
        ("max_length", spec.type == "string", "strings"),
        ("min_items", is_list, "lists"),
        ("max_items", is_list, "lists"),
        ("pattern", spec.type == "string", "strings"),
    ):
        value = getattr(spec, key)
        if value is None:
            continue
        if not fits:
            yield f"{path}.{key}", f"'{key}' is for {of}, and this is {_noun(spec.type)}", ""
        elif key in ("min", "max"):
            yield from _unreadable(f"{path}.{key}", spec, value)
    yield from _crossed(path, spec)
    if spec.pattern is not None and spec.type == "string":
        try:
            _matches("", spec.pattern, evaluator)
        except ExpressionError as error:
            pattern, why = _short(spec.pattern), error.why.rpartition("error: ")[2]
            if error.code == "expression.too_costly":
                yield f"{path}.pattern", f"'{pattern}' is too costly: {why}", "write a shorter one"
            else:
                what = f"'{pattern}' is not a regular expression: {_short(why)}"
                yield f"{path}.pattern", what, "write it as RE2 does"
            return
    for place, value in enumerate(spec.enum or ()):
        yield from _unreadable(f"{path}.enum[{place}]", spec, value)
    if spec.enum is not None and not spec.enum:
        yield f"{path}.enum", "no value is accepted", "name some, or remove 'enum'"
    if spec.default is msgspec.UNSET:
        return
    if spec.secret:
        what = f"'{name}' is secret and has a default, which everybody can read in the definition"
        yield f"{path}.default", what, "remove the default, or use ${secret.NAME} instead"
        return
    try:
        accept(spec, spec.default, evaluator)
    except (NotAcceptedError, ExpressionError):
        what = f"the default {shown(spec.default)} is not accepted"
        yield f"{path}.default", what, f"give {wants(spec)}"


def json_schema(inputs: Mapping[str, InputSpec]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a run's input."""
    return {
        "type": "object",
        "properties": {name: _schema(spec) for name, spec in inputs.items()},
        "required": [name for name, spec in inputs.items() if spec.is_required],
        "additionalProperties": False,
    }


def shown(value: Any) -> str:
    """Return a value as an error shows it."""
    return _short(repr(_plain(value)))


def _short(text: str, most: int = _SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _schema(spec: InputSpec) -> dict[str, Any]:
    found = _type_schema(spec.type)
    if not spec.is_required and isinstance(found.get("type"), str) and spec.enum is None:
        found["type"] = [found["type"], "null"]
    is_number = spec.type in ("integer", "number")
    for key, value in (
        ("description", spec.description or None),
        ("enum", None if spec.enum is None else [_plain(each) for each in spec.enum]),
        ("minimum", spec.min if is_number else None),
        ("maximum", spec.max if is_number else None),
        ("minLength", spec.min_length),
        ("maxLength", spec.max_length),
        ("minItems", spec.min_items),
        ("maxItems", spec.max_items),
        ("pattern", spec.pattern),
        ("writeOnly", spec.secret or None),
    ):
        if value is not None:
            found[key] = value
    if spec.default is not msgspec.UNSET:
        found["default"] = _plain(spec.default)
    return found


def _type_schema(name: str) -> dict[str, Any]:
    if item := _item(name):
        return {"type": "array", "items": _type_schema(item)}
    return dict(_TYPES[name].schema)


def _item(name: str) -> str:
    """Return the type of a list's items; "" for what is no list."""
    found = _LIST.fullmatch(name)
    return "" if found is None else found[1]


def _read(name: str, value: Any) -> Any:
    if item := _item(name):
        if not isinstance(value, list | tuple):
            raise NotAcceptedError
        return [_read(item, each) for each in value]
    return _TYPES[name].read(value)


def _order(name: str) -> Callable[[Any], Any] | None:
    return None if _item(name) else _TYPES[name].order


def _noun(name: str) -> str:
    if item := _item(name):
        plain = {"boolean": "booleans", "any": "any values"}
        return f"a list of {plain.get(item, f'{item}s')}" if not _item(item) else "a list of lists"
    return _TYPES[name].noun


def _unreadable(path: str, spec: InputSpec, value: Any) -> Iterator[tuple[str, str, str]]:
    try:
        _read(spec.type, value)
    except NotAcceptedError:
        yield path, f"{shown(value)} is not {_noun(spec.type)}", f"give {_noun(spec.type)}"


def _crossed(path: str, spec: InputSpec) -> Iterator[tuple[str, str, str]]:
    """Give the limits between which there is no value."""
    for low, high in (("min_length", "max_length"), ("min_items", "max_items")):
        least, most = getattr(spec, low), getattr(spec, high)
        for key, limit in ((low, least), (high, most)):
            if limit is not None and limit < 0:
                yield f"{path}.{key}", f"{limit} is below zero", "give 0 or more"
        if least is not None and most is not None and least > most:
            yield f"{path}.{low}", f"{least} is above '{high}', {most}", "exchange them"
    order = _order(spec.type)
    if order is None or spec.min is None or spec.max is None:
        return
    try:
        is_crossed = order(_read(spec.type, spec.min)) > order(_read(spec.type, spec.max))
    except NotAcceptedError:
        return  # said already
    if is_crossed:
        what = f"{shown(spec.min)} is above 'max', {shown(spec.max)}"
        yield f"{path}.min", what, "exchange them"


def _has_room(count: int, least: int | None, most: int | None) -> bool:
    return (least is None or count >= least) and (most is None or count <= most)


def _room_text(noun: str, least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return ""
    if most is None:
        return f" with at least {least:,} {noun}{'' if least == 1 else 's'}"
    if least is None:
        return f" with at most {most:,} {noun}{'' if most == 1 else 's'}"
    return f" with {least:,} to {most:,} {noun}s"


def _matches(text: str, pattern: str, evaluator: Evaluator) -> bool:
    names = {"input": {"text": text, "pattern": pattern}}
    return evaluator.evaluate("input.text.matches(input.pattern)", names)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)
