"""JSON Schema of TOML files, for editors: a type's keys, with what its docstring says of them.

Draft 2020-12, self-contained: taplo follows no reference to another file. What msgspec leaves
out is added: a table of a type has no other keys, TOML has no null, and a length of time is a
number or a text such as ``1h30m``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from qtforge_sdk.durations import UNITS

__all__ = ["DIALECT", "documented", "key_texts", "toml_schema", "with_defs"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The version of JSON Schema."""

_REF: Final = "#/$defs/{name}"
_NUMBER: Final = r"([0-9]{1,15}(\.[0-9]{0,9})?|\.[0-9]{1,9})"
# A length of time, the word of `[retention]` for none, or a template that gives one.
_DURATION: Final = rf"^([+-]?({_NUMBER}({'|'.join(UNITS)}))+|[+-]?0|forever|.*\$\{{.*)$"
_DURATION_TYPES: Final = ({"type": "number"}, {"type": "string"})
_KIND: Final = "Which of several kinds the table is of; the other keys depend on it."
_ATTRIBUTE: Final = re.compile(r"^    (\w+)(?: \([^)]*\))?:\s*(.*)$")
_NULL: Final = {"type": "null"}
_SAY_A_TYPE: Final = frozenset({"type", "anyOf", "$ref", "enum", "const"})


def toml_schema(target: Any, *, title: str, **constants: str) -> dict[str, Any]:
    """Return the schema of a file that holds a table of a type.

    Args:
        target: A Struct, a dataclass or a TypedDict.
        title: What the file is.
        constants: Keys that have one value only, such as ``kind``.

    Raises:
        TypeError: msgspec has no rules for the type.
    """
    (schema,), definitions = msgspec.json.schema_components([target], ref_template=_REF)
    texts = key_texts(target)
    defs = {
        name: _described(_mended(each), texts.get(name, {})) for name, each in definitions.items()
    }
    found = _mended(schema)
    root = defs.get(str(found.get("$ref", "")).rpartition("/")[2])
    if root is not None:  # a root that is a reference gives taplo no title
        found = {**root, "properties": {**root.get("properties", {})}}
    for key, value in constants.items():
        found["properties"][key] = {**found["properties"].get(key, {}), "const": value}
    return {"$schema": DIALECT, **found, "title": title, "$defs": defs}


def _described(schema: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return a table's schema with a description of each key that had none."""
    if "properties" not in schema:
        return schema
    properties = {
        key: {"description": texts[key], **each} if key in texts else each
        for key, each in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def key_texts(target: Any) -> dict[str, dict[str, str]]:
    """Return what docstrings say of the keys of a type and of all within it, by type and key.

    Those of bases count too, of which msgspec gives none; keys are as a file has them.
    """
    found: dict[str, dict[str, str]] = {}
    waiting: list[Any] = [msgspec.inspect.type_info(target)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, list | tuple):
            waiting += info
        elif isinstance(info, msgspec.inspect.Field):
            waiting.append(info.type)
        elif isinstance(info, msgspec.inspect.Type):
            cls = getattr(info, "cls", None)
            if cls is not None and hasattr(info, "fields"):
                if cls.__name__ in found:
                    continue
                found[cls.__name__] = _keys_of(info)
            waiting += [getattr(info, name) for name in info.__struct_fields__]
    return found


def _keys_of(info: Any) -> dict[str, str]:
    texts: dict[str, str] = {}
    for base in reversed(info.cls.__mro__):
        texts |= documented(base.__dict__.get("__doc__") or "")[1]
    keys = {each.encode_name: texts[each.name] for each in info.fields if each.name in texts}
    tag = getattr(info, "tag_field", None)
    return keys if tag is None else {**keys, tag: _KIND}


def with_defs(schema: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a schema as a part of another, and its definitions, with a prefix to their names.

    Args:
        schema: What `toml_schema` has returned.
        prefix: What no other part's definitions begin with.
    """
    part = {key: each for key, each in schema.items() if key not in ("$schema", "$defs")}
    renamed: dict[str, Any] = _renamed({"part": part, "defs": schema.get("$defs", {})}, prefix)
    return renamed["part"], {f"{prefix}{name}": each for name, each in renamed["defs"].items()}


def _renamed(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {
            key: f"#/$defs/{prefix}{each[8:]}"
            if key == "$ref" and isinstance(each, str)
            else _renamed(each, prefix)
            for key, each in value.items()
        }
    return [_renamed(each, prefix) for each in value] if isinstance(value, list) else value


def _mended(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of msgspec's as TOML and editors need it."""
    found = {key: each for key, each in schema.items() if key != "default" or each is not None}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _mended(found[key])
    if "anyOf" in found:
        found = _alternatives(found)
    if found.get("type") == "object" and "properties" in found:
        return _table(found)
    if found.get("type") == "object" or not found.keys() & _SAY_A_TYPE:
        found.setdefault("additionalProperties", True)  # else tombi warns of every key
    return found


def _alternatives(schema: dict[str, Any]) -> dict[str, Any]:
    kept = [each for each in schema["anyOf"] if each != _NULL]
    if all(each in kept for each in _DURATION_TYPES):
        number, text = _DURATION_TYPES
        kept = [each for each in kept if each not in _DURATION_TYPES]
        kept += [number, {**text, "pattern": _DURATION, "examples": ["30s", "1h30m"]}]
    rest = {key: each for key, each in schema.items() if key != "anyOf"}
    kept = [_mended(each) for each in kept]
    return {**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept}


def _table(schema: dict[str, Any]) -> dict[str, Any]:
    text, attributes = documented(str(schema.get("description", "")))
    properties = {}
    for name, each in schema["properties"].items():
        described = {"description": attributes[name]} if name in attributes else {}
        properties[name] = {**described, **_mended(each)}
    described = {"description": text} if text else {}
    return {
        **{key: each for key, each in schema.items() if key != "description"},
        **described,
        "properties": properties,
        "additionalProperties": False,
    }


def documented(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's beginning, and what its section ``Attributes`` says of each."""
    text, _, section = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    return text.strip(), dict(_attributes(section))


def _attributes(section: str) -> Iterator[tuple[str, str]]:
    name = ""
    words: list[str] = []
    for line in section.splitlines():
        if line.strip() and not line.startswith("    "):  # the next section
            break
        found = _ATTRIBUTE.match(line)
        if found:
            if name:
                yield name, " ".join(words)
            name, words = found[1], [found[2]]
        elif line.strip():
            words.append(line.strip())
    if name:
        yield name, " ".join(words)
