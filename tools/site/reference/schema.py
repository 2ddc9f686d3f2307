"""JSON Schema as words and tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tools.site.reference.markdown import attributes, cell, table

__all__ = ["properties", "type_words"]


def type_words(schema: Mapping[str, Any], link: Callable[[str], str]) -> str:
    """Return a type in words, with a link to each named one."""
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "anyOf" in schema:
        words = [type_words(each, link) for each in schema["anyOf"]]
        return " or ".join(dict.fromkeys(each for each in words if each))
    kind = schema.get("type")
    if kind == "array":
        inner = type_words(schema.get("items", {}), link) if schema.get("items") else "anything"
        return f"list of {inner}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"table of {type_words(values, link)}" if values else "table"
    if isinstance(kind, list):
        return " or ".join(kind)
    return str(kind) if kind else "anything"


def properties(
    schema: Mapping[str, Any],
    link: Callable[[str], str],
    described: Mapping[str, str] | None = None,
) -> str:
    """Return the table of an object's members; "" where it has none.

    Args:
        schema: The object's schema; its description has a section ``Attributes``.
        link: Gives the link to a named type.
        described: More descriptions, by name.
    """
    words = {**(described or {}), **attributes(schema.get("description"))}
    rows = []
    for name, each in schema.get("properties", {}).items():
        default = "" if name in schema.get("required", ()) else "optional"
        if each.get("default") is not None:
            default = f"`{cell(json.dumps(each['default']))}`"
        about = words.get(name, words.get(f"{name}_", each.get("description", "")))
        rows.append((f"`{name}`", type_words(each, link), default, about))
    if not rows and "anyOf" in schema:
        return f"One of {type_words(schema, link)}.\n"
    return table(("key", "type", "default", "meaning"), rows)
