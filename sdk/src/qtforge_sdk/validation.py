"""Check plain values, such as a TOML table, against a type, and report every error.

msgspec stops at the first error. A person who edits a file wants all of them, each with the
path of its key, and the known key that a misspelt one resembles.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

__all__ = [
    "UNKNOWN_KEY",
    "FieldError",
    "alternatives",
    "decoded",
    "did_you_mean",
    "is_table_type",
    "nearest",
    "table_fields",
    "validation_errors",
]

T = TypeVar("T")

_AT: Final = re.compile(r" - at `\$([^`]*)`$")
UNKNOWN_KEY: Final = "unknown key"
"""What is wrong, according to `FieldError.what`, with a key that its table does not have."""

_REGEX: Final = " matching regex "
_SHOWN: Final = 60  # characters of a wrong text
_LONGEST_NAME: Final = 200  # characters; the comparison's time grows with their square
_MOST_COMPARED: Final = 1000
_MOST_LISTED: Final = 12
_TO_BLANKS: Final = str.maketrans("-_.", "   ")  # what is between the words of a name
_PRESENCE: Final = {typing.Required: True, typing.NotRequired: False}


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One error of a value.

    Attributes:
        path: Where it is, such as ``stages[2].timeout``; "" for the value itself.
        what: What is wrong, such as ``expected str, got int``.
        fix: How to fix it, or "".
        near: The known key that an unknown one resembles; None where there is none.
        example: A value that its type has as an example, where one is missing or has the wrong
            form; None where there is none.
    """

    path: str
    what: str
    fix: str = ""
    near: str | None = None
    example: object = None

    def __str__(self) -> str:
        text = f"{self.path}: {self.what}" if self.path else self.what
        return f"{text}; {self.fix}" if self.fix else text


def validation_errors(
    value: object,
    target: Any,
    path: str = "",
    *,
    strict: bool = True,
    forbid_unknown: bool = False,
) -> list[FieldError]:
    """Return every error of a plain value; none when msgspec can convert it to the type.

    Args:
        value: Mappings, lists and scalars.
        target: A type or an annotation that msgspec understands.
        path: The value's own path, with which the paths of all errors begin.
        strict: Whether text is no number; see `msgspec.convert`.
        forbid_unknown: Whether a key that the type does not name is an error also where the
            type itself ignores it.

    Raises:
        TypeError: msgspec has no rules for the type.

    >>> class Stage(msgspec.Struct, forbid_unknown_fields=True):
    ...     name: str
    ...     timeout: str = "30s"
    >>> for error in validation_errors({"name": 1, "timout": "3s"}, Stage, "stages[0]"):
    ...     print(error)
    stages[0].timout: unknown key; did you mean 'timeout'?
    stages[0].name: expected str, got int
    """
    return list(_errors(value, target, path, strict, forbid_unknown))


def decoded(decode: Callable[[Any], T], data: Any) -> T:
    """Return what msgspec decodes; data that is nested too deeply is wrong like any other.

    Args:
        decode: Decodes it, such as the method of a `msgspec.json.Decoder`.
        data: What may come from anywhere.

    Raises:
        msgspec.DecodeError: It can't be decoded.

    >>> decoded(msgspec.json.decode, b"[" * 5000)
    Traceback (most recent call last):
        ...
    msgspec.DecodeError: it is nested too deeply
    """
    try:
        return decode(data)
    except RecursionError:  # msgspec descends once for each level, also of what it leaves out
        raise msgspec.DecodeError("it is nested too deeply") from None


def did_you_mean(name: object, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return the fix of a name that is not known.

    Args:
        name: What was given.
        known: The names that are known.
        otherwise: The fix where no known name is near; by default it lists them, of many those
            that resemble it most.

    >>> did_you_mean("timout", ["name", "timeout"])
    "did you mean 'timeout'?"
    >>> did_you_mean("colour", ["name", "timeout"])
    'use one of name, timeout'
    >>> did_you_mean("dir", ["name", "state_dir"])
    "did you mean 'state_dir'?"
    """
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean '{near}'?"
    if otherwise is not None:
        return otherwise
    listed = ", ".join(_most_similar(str(name), names, _MOST_LISTED))
    more = len(names) - _MOST_LISTED
    return f"use one of {listed}" + (f" or {more} more" if more > 0 else "") if names else ""


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that resembles a name most, or None.

    A name that is whole words of one known name resembles this one, however long it is.
    """
    text = str(name)
    if len(text) > _LONGEST_NAME:
        return None
    import difflib  # only here: most names are right

    compared = list(known)[:_MOST_COMPARED]
    near = difflib.get_close_matches(text, compared, n=1)
    if near:
        return near[0]
    words = _words(text)
    having = [each for each in compared if words in _words(each)]
    return having[0] if words.strip() and len(having) == 1 else None


def _most_similar(text: str, names: Sequence[str], most: int) -> Sequence[str]:
    if len(names) <= most or len(text) > _LONGEST_NAME:
        return names[:most]
    import difflib  # see `nearest`

    matcher = difflib.SequenceMatcher(b=text)

    def difference(name: str) -> float:
        matcher.set_seq1(name)
        return -matcher.ratio()

    return sorted(names[:_MOST_COMPARED], key=difference)[:most]  # else in their own order


def _words(name: str) -> str:
    """Return the words of a name, each between blanks."""
    return f" {' '.join(name.lower().translate(_TO_BLANKS).split())} "


def _errors(
    value: object, target: Any, path: str, strict: bool, forbid_unknown: bool
) -> Iterator[FieldError]:
    failure = _failure(value, target, path, strict)
    if failure is None and not forbid_unknown:
        return
    found = False
    for error in _inner_errors(value, target, path, strict, forbid_unknown):
        found = True
        yield error
    # Its parts fit, but not the whole: such as the length of a list.
    if not found and failure is not None:
        yield failure


def _failure(value: object, target: Any, path: str, strict: bool) -> FieldError | None:
    try:
        msgspec.convert(value, target, strict=strict)
    except msgspec.ValidationError as error:
        text = str(error)
        at = _AT.search(text)
        what = _AT.sub("", text).replace("`", "")
        where = path + at[1] if at else path
        example = None if at else _example(target)
        if isinstance(value, str) and example is not None and _REGEX in what:
            fix = f"write it as in {example!r}"
            shown = f"{value[:_SHOWN]!r}{'…' if len(value) > _SHOWN else ''}"
            what = f"{shown} has the wrong form"
            place = where.removeprefix(".")
            return FieldError(path=place, what=what, fix=fix, example=example)
        choices = [] if at or not isinstance(value, str) else _choices(target)
        fix = did_you_mean(value, choices) if choices else ""
        return FieldError(path=where.removeprefix("."), what=what[:1].lower() + what[1:], fix=fix)
    return None


def _inner_errors(
    value: object, target: Any, path: str, strict: bool, forbid_unknown: bool
) -> Iterator[FieldError]:
    if isinstance(value, Mapping):
        kind = _table_type(target, value)
        if kind is None:
            return
        if not is_table_type(kind):  # a mapping of any keys
            item = (*typing.get_args(kind), Any, Any)[1]
            for key, each in value.items():
                yield from _errors(each, item, _join(path, key), strict, forbid_unknown)
        else:
            yield from _table_errors(value, kind, path, strict, forbid_unknown)
    elif isinstance(value, list | tuple):
        for position, (each, item) in enumerate(_items(value, target)):
            yield from _errors(each, item, f"{path}[{position}]", strict, forbid_unknown)


def _table_errors(
    value: Mapping[Any, Any], kind: Any, path: str, strict: bool, forbid_unknown: bool
) -> Iterator[FieldError]:
    fields = table_fields(kind)
    tag = _tag(kind)
    meant = set()
    if forbid_unknown or _forbids_unknown(kind):
        for key in value:
            if key not in fields and (tag is None or key != tag[0]):
                near = nearest(key, fields)
                meant.add(near)
                fix = did_you_mean(key, fields)
                yield FieldError(path=_join(path, key), what=UNKNOWN_KEY, fix=fix, near=near)
    for name, (annotation, required) in fields.items():
        if name in value:
            inner = _join(path, name)
            yield from _errors(value[name], annotation, inner, strict, forbid_unknown)
        elif required and name not in meant:  # one that is misspelt is not missing as well
            near = nearest(name, [str(key) for key in value if key not in fields])
            fix = f"rename '{near}'" if near else f"add '{name}'"
            example = _example(annotation)
            yield FieldError(path=_join(path, name), what="is missing", fix=fix, example=example)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def is_table_type(kind: Any) -> bool:
    """Return whether a type is a Struct, a dataclass or a TypedDict, whose fields are known."""
    origin = typing.get_origin(kind) or kind
    if not isinstance(origin, type):
        return False
    is_struct = issubclass(origin, msgspec.Struct) or dataclasses.is_dataclass(origin)
    return is_struct or hasattr(origin, "__required_keys__")


def table_fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field by its key, and whether it must be given.

    Args:
        kind: A type for which `is_table_type` holds.

    Raises:
        NameError: An annotation can't be resolved.
    """
    origin = typing.get_origin(kind) or kind
    if issubclass(origin, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return {field.encode_name: (field.type, field.required) for field in fields}
    hints = typing.get_type_hints(origin, include_extras=True)
    if dataclasses.is_dataclass(origin):
        return {
            field.name: (
                hints[field.name],
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(origin)
            if field.init
        }
    required: frozenset[str] = getattr(origin, "__required_keys__", frozenset())
    found = {}
    for name, hint in hints.items():
        # A hint that was text when the class was made is not in `__required_keys__`.
        presence = _PRESENCE.get(typing.get_origin(hint))
        annotation = hint if presence is None else typing.get_args(hint)[0]
        found[name] = (annotation, name in required if presence is None else presence)
    return found


def _forbids_unknown(kind: Any) -> bool:
    config = getattr(typing.get_origin(kind) or kind, "__struct_config__", None)
    return config is not None and bool(config.forbid_unknown_fields)


def _tag(kind: Any) -> tuple[str, object] | None:
    """Return the key and the value by which a tagged Struct is recognised."""
    config = getattr(typing.get_origin(kind) or kind, "__struct_config__", None)
    if config is None or config.tag is None:
        return None
    return config.tag_field, config.tag


def _example(target: Any) -> object:
    """Return an example of the text that an annotation's pattern accepts, or None.

    A person reads an example more easily than a regular expression.
    """
    args = typing.get_args(target)
    if typing.get_origin(target) is typing.Annotated:
        for each in args[1:]:
            if isinstance(each, msgspec.Meta) and each.pattern is not None and each.examples:
                return each.examples[0]
        return _example(args[0])
    if typing.get_origin(target) in (typing.Union, types.UnionType):
        return next((found for each in args if (found := _example(each)) is not None), None)
    return None


def _choices(target: Any) -> list[str]:
    """Return the texts that an annotation accepts; none where it also accepts others."""
    found: list[str] = []
    for kind in alternatives(target):
        if typing.get_origin(kind) is typing.Literal:
            found += [each for each in typing.get_args(kind) if isinstance(each, str)]
        elif isinstance(kind, type) and issubclass(kind, enum.Enum):
            found += [each.value for each in kind if isinstance(each.value, str)]
        elif kind is str:
            return []
    return found


def alternatives(target: Any) -> Iterator[Any]:
    """Yield the types of a union, or the type itself, without what `Annotated` adds.

    >>> list(alternatives(int | None))
    [<class 'int'>, <class 'NoneType'>]
    """
    origin = typing.get_origin(target)
    if origin is typing.Annotated:
        yield from alternatives(typing.get_args(target)[0])
    elif origin in (typing.Union, types.UnionType):
        for each in typing.get_args(target):
            yield from alternatives(each)
    else:
        yield target


def _table_type(target: Any, value: Mapping[Any, Any]) -> Any:
    """Return the one alternative that a table can be meant for, or None."""
    found = []
    for each in alternatives(target):
        origin = typing.get_origin(each) or each
        if not isinstance(origin, type):
            continue
        if issubclass(origin, Mapping) or hasattr(origin, "__required_keys__"):
            found.append(each)
        elif issubclass(origin, msgspec.Struct) or dataclasses.is_dataclass(origin):
            tag = _tag(each)
            if tag is None or value.get(tag[0]) == tag[1]:
                found.append(each)
    return found[0] if len(found) == 1 else None


def _items(value: list[Any] | tuple[Any, ...], target: Any) -> Iterator[tuple[Any, Any]]:
    """Give each item of a list with its type, where there is one alternative that has any."""
    found = []
    for each in alternatives(target):
        arguments = typing.get_args(each)
        origin = typing.get_origin(each)
        if not arguments or not isinstance(origin, type) or issubclass(origin, Mapping):
            continue
        if origin is not tuple or arguments[1:] == (...,):
            found.append([arguments[0]] * len(value))
        elif len(arguments) == len(value):
            found.append(list(arguments))
    if len(found) == 1:
        yield from zip(value, found[0], strict=True)
