"""Checks tables of a configuration file against types; errors name file, key and nearest key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect

from qtforge_sdk.errors import ConfigError

__all__ = ["check_keys", "convert_table"]

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
