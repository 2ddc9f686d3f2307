"""The form of a run's input: its fields from a JSON Schema, and the input from its fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from qtforge_host.runs.run_secrets import is_masked

__all__ = ["WHOLE", "Field", "WrongField", "fields_of", "input_of", "texts_of"]

Kind = Literal["text", "long", "number", "date", "check", "select", "secret", "json", "any"]

WHOLE: Final = ""
"""The name of the one field of a workflow that declares no inputs: all of it, as JSON."""

_YES: Final = "true"


class WrongField(ValueError):
    """A field does not hold what it must.

    Args:
        name: The field.
        what: What is wrong with it, as the predicate of its name.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(what)
        self.name = name
        self.what = what


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form.

    Attributes:
        name: The input, or `WHOLE`.
        kind: How it is entered.
        text: What it is filled in with; of a secret always "".
        is_required: Whether a run needs it.
        description: What it is, or "".
        hint: What is accepted, or "".
        options: Of a list to choose from: each value as JSON, and what is shown.
        minimum: The least number, or "".
        maximum: The largest number, or "".
        step: ``1`` for whole numbers, else ``any``.
        most: The most characters; None for any.
    """

    name: str
    kind: Kind
    text: str = ""
    is_required: bool = False
    description: str = ""
    hint: str = ""
    options: Sequence[tuple[str, str]] = ()
    minimum: str = ""
    maximum: str = ""
    step: str = "any"
    most: int | None = None


def fields_of(schema: Mapping[str, Any] | None, texts: Mapping[str, str] | None) -> list[Field]:
    """Return the fields of a form.

    Args:
        schema: The JSON Schema of the input; None where any is accepted.
        texts: What they are filled in with, by name; None for the defaults.
    """
    if schema is None:
        text = "" if texts is None else texts.get(WHOLE, "")
        return [Field(name=WHOLE, kind="json", text=text, hint='JSON, such as {"name": "value"}')]
    required = frozenset(schema.get("required", ()))
    if texts is None:
        defaults = {
            name: each["default"] for name, each in schema["properties"].items()
            if "default" in each
        }  # fmt: skip
        texts = texts_of(schema, defaults, ())
    return [
        _field(name, each, texts.get(name, ""), is_required=name in required)
        for name, each in schema["properties"].items()
    ]


def _field(name: str, schema: Mapping[str, Any], text: str, *, is_required: bool) -> Field:
    kind = _kind(schema, is_required=is_required)
    options: list[tuple[str, str]] = []
    if kind == "select":
        values = schema.get("enum", [True, False])
        options = [(json.dumps(each), _shown(each)) for each in values if each is not None]
    kind = "long" if kind == "text" and "\n" in text else kind
    bounds = [str(schema.get(each, "")) for each in ("minimum", "maximum")]
    return Field(
        name=name,
        kind=kind,
        text="" if kind == "secret" else text,
        is_required=is_required,
        description=schema.get("description", ""),
        hint=_hint(kind, schema),
        options=options,
        minimum=bounds[0],
        maximum=bounds[1],
        step="1" if "integer" in _types(schema) else "any",
        most=schema.get("maxLength"),
    )


def _types(schema: Mapping[str, Any]) -> Sequence[str]:
    said = schema.get("type", ())
    return [each for each in ([said] if isinstance(said, str) else said) if each != "null"]


def _kind(schema: Mapping[str, Any], *, is_required: bool) -> Kind:
    types = _types(schema)
    if schema.get("writeOnly"):
        return "secret"
    if "enum" in schema:
        return "select"
    if types == ["boolean"]:  # an empty box is "no": of what may be left out, that is a third
        return "check" if is_required or isinstance(schema.get("default"), bool) else "select"
    if types in (["integer"], ["number"]):
        return "number"
    if schema.get("format") == "date":
        return "date"
    if "string" in types:
        return "text"
    return "json" if types else "any"


def _hint(kind: Kind, schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "A time with its offset, such as 2026-11-30T08:00:00+01:00"
    if _types(schema) == ["string", "number"]:
        return "A length of time, such as 90s or 2h"
    if kind == "secret":
        return "It is shown nowhere."
    if kind == "json":
        is_list = _types(schema) == ["array"]
        return 'A list as JSON, such as ["a", "b"]' if is_list else "JSON"
    if kind == "any":
        return "A text, or any value as JSON"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def texts_of(
    schema: Mapping[str, Any] | None, given: Mapping[str, Any], secret: Sequence[str]
) -> dict[str, str]:
    """Return what the fields are filled in with for an input; without whatever is secret.

    Args:
        schema: The JSON Schema of the input; None where any is accepted.
        given: The input.
        secret: The keys of the input, or paths of keys, whose values are secret.
    """
    roots = {each.partition(".")[0] for each in secret}
    shown = {
        name: value for name, value in given.items()
        if name not in roots and not is_masked(value)
    }  # fmt: skip
    if schema is None:
        return {WHOLE: _json(shown)} if shown else {}
    found = {}
    for name, each in schema["properties"].items():
        if name in shown and shown[name] is not None and not each.get("writeOnly"):
            found[name] = _text(each, shown[name])
    return found


def _text(schema: Mapping[str, Any], value: Any) -> str:
    if _kind(schema, is_required=False) == "select":
        return json.dumps(value)
    if isinstance(value, str):
        types = _types(schema)
        return value if "string" in types or (not types and _read(value) is value) else _json(value)
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def input_of(schema: Mapping[str, Any] | None, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the input that the fields of a sent form make; whether it may, the workflow decides.

    Args:
        schema: The JSON Schema of the input; None where any is accepted.
        texts: The fields that are not empty, by name.

    Raises:
        WrongField: A field is not what its kind says, such as JSON.
    """
    if schema is None:
        text = texts.get(WHOLE, "").strip()
        found = _decoded(WHOLE, text) if text else {}
        if not isinstance(found, dict):
            raise WrongField(WHOLE, 'is no JSON object, such as {"name": "value"}')
        return found
    required = frozenset(schema.get("required", ()))
    given: dict[str, Any] = {}
    for name, each in schema["properties"].items():
        kind = _kind(each, is_required=name in required)
        text = texts.get(name, "").replace("\r\n", "\n")
        if kind == "check":
            given[name] = text == _YES
        elif text.strip() or (text and kind in ("text", "secret")):
            given[name] = _value(name, kind, each, text)
    return given


def _value(name: str, kind: Kind, schema: Mapping[str, Any], text: str) -> Any:
    types = _types(schema)
    match kind:
        case "number":
            found = _read(text)
            is_number = isinstance(found, int | float) and not isinstance(found, bool)
            return found if is_number else text
        case "json" | "select":
            return _decoded(name, text)
        case "any":
            return _read(text)
        case "secret" if types and "string" not in types:
            return _read(text)
        case _:
            return text


def _read(text: str) -> Any:
    """Return the value of a text that is JSON, else the text itself."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return text
    return text if isinstance(found, float) and not math.isfinite(found) else found


def _decoded(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise WrongField(name, f"is not JSON: {error}") from None
