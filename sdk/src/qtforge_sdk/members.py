"""What is known of a value before there is one: the members of tables, the items of lists.

`DefinitionChecker` compares expressions with it, so that ``stages.parse.data.wrods`` is found when
a definition is validated.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import os
import types
import typing
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from qtforge_sdk.runs import AmendingAnswer
from qtforge_sdk.validation import alternatives, is_table_type, table_fields

__all__ = ["ListOf", "Members", "Scalar", "members_of"]

_MOST_ALTERNATIVES: Final = 32
_SCALARS: Final[Mapping[type, str]] = types.MappingProxyType(
    {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        bytes: "a string",
        datetime.datetime: "a timestamp",
        datetime.date: "a date",
        datetime.time: "a time",
        datetime.timedelta: "a duration",
        decimal.Decimal: "a string",
        uuid.UUID: "a string",
        os.PathLike: "a string",
    }
)
"""What a value of a type is, for a person; the first class that fits counts."""


class Scalar(msgspec.Struct, frozen=True):
    """A value without members and items.

    Attributes:
        what: What it is, such as ``a string``.
    """

    what: str


class ListOf(msgspec.Struct, frozen=True):
    """A list.

    Attributes:
        items: What is known of each item, as `Members`.
    """

    items: Any = None


Members: TypeAlias = Mapping[str, Any] | ListOf | Scalar | None
"""What is known of a value: of a table the `Members` of each member by its name, of a list those
of its items, that it is a scalar; None where nothing is known."""


def members_of(annotations: Iterable[Any]) -> Members:
    """Return what is known of values whose type is one of some annotations.

    Args:
        annotations: Types, as functions and fields are annotated. A null is left out of account.

    Returns:
        All members that one of them has, where all are tables; None where they are of different
        sorts, or a type is not known.

    >>> members_of([int | None])
    Scalar(what='a number')
    >>> members_of([list[str]])
    ListOf(items=Scalar(what='a string'))
    >>> members_of([int | list[str]]) is None
    True
    """
    found = [each for annotation in annotations for each in _sorts(annotation)]
    sorts = [each for each in found if each not in (None, types.NoneType)]
    if not 0 < len(sorts) <= _MOST_ALTERNATIVES:
        return None
    try:
        return _tables(sorts) or _mappings(sorts) or _lists(sorts) or _scalars(sorts)
    except (NameError, TypeError, AttributeError):  # annotations that can't be resolved
        return None


def _sorts(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union; of a literal, those of its values."""
    for each in alternatives(annotation):
        if isinstance(each, typing.NewType):
            yield from _sorts(each.__supertype__)
        elif typing.get_origin(each) is typing.Literal:
            yield from {type(value): None for value in typing.get_args(each)}
        else:
            yield each


def _tables(sorts: Sequence[Any]) -> Members:
    if any(not is_table_type(each) or each is AmendingAnswer for each in sorts):
        return None
    return _Table(sorts)


class _Table(Mapping[str, Any]):
    """The members of tables of some types; those below are found when they are asked for.

    A type may contain itself, so that there is no end of them.
    """

    def __init__(self, tables: Sequence[Any]) -> None:
        self._types: dict[str, list[Any]] = {}
        for table in tables:
            for name, (annotation, _) in table_fields(table).items():
                self._types.setdefault(name, []).append(annotation)

    def __getitem__(self, name: str) -> Members:
        return members_of(self._types[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __bool__(self) -> bool:
        return True  # a table without any members is one, too

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Table) and self._types == other._types

    __hash__ = None  # type: ignore[assignment]


class _AnyKeys(Mapping[str, Any]):
    """The members of a mapping: it may have each name, with a value of some types."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Members:
        return members_of(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _AnyKeys) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]


def _mappings(sorts: Sequence[Any]) -> Members:
    if not all(_is_a(each, Mapping) for each in sorts):
        return None
    return _AnyKeys([(*typing.get_args(each), Any, Any)[1] for each in sorts])


def _lists(sorts: Sequence[Any]) -> Members:
    if not all(_is_a(each, Collection) and not _is_a(each, str | bytes) for each in sorts):
        return None
    if any(_is_a(each, Mapping) for each in sorts):
        return None
    items: list[Any] = []
    for each in sorts:
        arguments = typing.get_args(each) or (Any,)
        items += arguments[:1] if arguments[1:] == (...,) else arguments
    return ListOf(members_of(items))


def _scalars(sorts: Sequence[Any]) -> Members:
    found = dict.fromkeys(_scalar(each) for each in sorts)
    if None in found:
        return None
    return Scalar(" or ".join(str(each) for each in found))


def _scalar(sort: Any) -> str | None:
    if isinstance(sort, type) and issubclass(sort, enum.Enum):
        values = {_scalar(type(each.value)) for each in sort}
        return values.pop() if len(values) == 1 else None
    return next((what for kind, what in _SCALARS.items() if _is_a(sort, kind)), None)


def _is_a(sort: Any, kind: Any) -> bool:
    origin = typing.get_origin(sort) or sort
    return isinstance(origin, type) and issubclass(origin, kind)
