"""Every way in which a TOML table does not fit a Struct, each with its key's path.

msgspec stops at the first; a person who edits a file wants them all, and the nearest
right key.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect

from qtforge_sdk.errors import ConfigError

__all__ = ["Misfit", "check_keys", "convert_table", "validation_errors"]

T = TypeVar("T")


_PATH: Final = re.compile(r"\s*-? at `\$(?P<path>.*)`$")


def convert_table(table: Mapping[str, Any], target: type[T], file: str, path: str) -> T:
    """Return the table as an instance of the target type; nothing is coerced.

    Args:
        table: As tomllib read it.
        target: A Struct, a dataclass or a TypedDict. An unknown key is an error, also
            where the type itself would let it pass.
        file: The file that it is from.
        path: The table's key path in that file, such as ``plugins.acme.config``.

    Raises:
        ConfigError: It does not fit, or msgspec has no rules for the type.
    """
    try:
        info = msgspec.inspect.type_info(target)
        _check_fields(table, info, file, path)
        return msgspec.convert(table, target)
    except msgspec.ValidationError as error:
        text = str(error)
        match = _PATH.search(text)
        where = f"{path}{match['path']}" if match else path
        raise ConfigError(f"{file}: {where}", _PATH.sub("", text)) from error
    except ConfigError:
        raise
    except Exception as error:  # a plugin's type: its annotations can hold anything
        name = getattr(target, "__qualname__", repr(target))
        raise ConfigError(
            f"{file}: {path}",
            f"the type {name} can't describe a table: {type(error).__name__}: {error}",
            "its author must make Config a msgspec Struct or a dataclass",
        ) from error


def check_keys(table: Mapping[str, Any], known: Iterable[str], file: str, path: str) -> None:
    """Check that a table has only known keys.

    Raises:
        ConfigError: For the first unknown one, with the nearest known one as the fix.
    """
    names = sorted(known)
    for key in table:
        if key not in names:
            import difflib  # only here: most keys are right

            near = difflib.get_close_matches(key, names, n=1)
            fix = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(names)}"
            where = f"{path}.{key}" if path else key
            raise ConfigError(f"{file}: {where}", "there is no such key", fix)


def _check_fields(value: Any, info: msgspec.inspect.Type, file: str, path: str) -> None:
    match info:
        case (
            msgspec.inspect.StructType(fields=fields)
            | msgspec.inspect.DataclassType(fields=fields)
            | msgspec.inspect.TypedDictType(fields=fields)
        ) if isinstance(value, Mapping):
            types = {field.encode_name: field.type for field in fields}
            check_keys(value, types, file, path)
            for key, item in value.items():
                _check_fields(item, types[key], file, f"{path}.{key}")
        case (
            msgspec.inspect.ListType(item_type=item_type)
            | msgspec.inspect.VarTupleType(item_type=item_type)
        ) if isinstance(value, list):
            for position, item in enumerate(value):
                _check_fields(item, item_type, file, f"{path}[{position}]")
        case msgspec.inspect.DictType(value_type=value_type) if isinstance(value, Mapping):
            for key, item in value.items():
                _check_fields(item, value_type, file, f"{path}.{key}")
        case _:
            return


_AT = re.compile(r" - at `\$([^`]*)`$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One key that does not fit: its path, what is wrong, the nearest right key or ""."""

    path: str
    what: str
    fix: str = ""


def validation_errors(value: Any, annotation: Any, path: str = "") -> Iterator[Misfit]:
    """Give every misfit of plain values with an annotation; nothing when they fit.

    >>> class Stage(msgspec.Struct, forbid_unknown_fields=True):
    ...     name: str
    ...     timeout: str = "30s"
    >>> given = {"name": 1, "timout": "3s"}
    >>> [(each.path, each.what, each.fix) for each in validation_errors(given, Stage)]
    [('timout', 'unknown key', "did you mean 'timeout'?"), ('name', 'expected str, got int', '')]
    """
    struct = _struct_of(annotation)
    item = _item_of(annotation)
    if struct is not None and isinstance(value, Mapping):
        yield from _of_table(value, struct, path)
    elif item is not None and isinstance(value, list):
        for position, each in enumerate(value):
            yield from validation_errors(each, item, f"{path}[{position}]")
    else:
        try:
            msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            yield _misfit(str(error), path)


def _of_table(
    value: Mapping[str, Any], struct: type[msgspec.Struct], path: str
) -> Iterator[Misfit]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    if struct.__struct_config__.forbid_unknown_fields:
        for key in value:
            if key not in fields:
                near = difflib.get_close_matches(key, fields, n=1)
                fix = f"did you mean '{near[0]}'?" if near else "known are " + ", ".join(fields)
                yield Misfit(path=_join(path, key), what="unknown key", fix=fix)
    hints = typing.get_type_hints(struct, include_extras=True)
    for name, field in fields.items():
        if name in value:
            yield from validation_errors(value[name], hints[field.name], _join(path, name))
        elif field.required:
            yield Misfit(path=_join(path, name), what="is missing", fix=f"add '{name}'")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _struct_of(annotation: Any) -> type[msgspec.Struct] | None:
    for each in _alternatives(annotation):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _item_of(annotation: Any) -> Any:
    for each in _alternatives(annotation):
        if typing.get_origin(each) in (list, tuple):
            return typing.get_args(each)[0]
    return None


def _misfit(text: str, path: str) -> Misfit:
    found = _AT.search(text)
    inner = found[1] if found else ""
    what = _AT.sub("", text).replace("`", "")
    return Misfit(path=path + inner, what=what[:1].lower() + what[1:])
