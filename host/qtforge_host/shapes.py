"""Every way in which a TOML table does not fit a Struct, each with its key's path.

msgspec stops at the first; a person who edits a file wants them all, and the nearest
right key.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["Misfit", "misfits"]

_AT = re.compile(r" - at `\$([^`]*)`$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One key that does not fit: its path, what is wrong, the nearest right key or ""."""

    path: str
    what: str
    fix: str = ""


def misfits(value: Any, annotation: Any, path: str = "") -> Iterator[Misfit]:
    """Give every misfit of plain values with an annotation; nothing when they fit.

    >>> class Stage(msgspec.Struct, forbid_unknown_fields=True):
    ...     name: str
    ...     timeout: str = "30s"
    >>> [(each.path, each.what, each.fix) for each in misfits({"name": 1, "timout": "3s"}, Stage)]
    [('timout', 'unknown key', "did you mean 'timeout'?"), ('name', 'expected str, got int', '')]
    """
    struct = _struct_of(annotation)
    item = _item_of(annotation)
    if struct is not None and isinstance(value, Mapping):
        yield from _of_table(value, struct, path)
    elif item is not None and isinstance(value, list):
        for position, each in enumerate(value):
            yield from misfits(each, item, f"{path}[{position}]")
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
            yield from misfits(value[name], hints[field.name], _join(path, name))
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
