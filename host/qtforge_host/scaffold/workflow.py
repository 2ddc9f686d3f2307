"""Write a workflow's definition to begin with, in the folder beside the configuration."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from qtforge_host.scaffold.errors import ScaffoldError
from qtforge_host.scaffold.fragments import template
from qtforge_host.schema_files import kind_header, kind_schema_path, refresh_schema
from qtforge_sdk.files import write_atomically
from qtforge_sdk.validation import alternatives, did_you_mean, is_table_type, table_fields

__all__ = ["KINDS", "write_workflow"]

KINDS: Final = ("sequential", "graph", "conditional", "parallel", "reactive")
"""The kinds that have a template; of another, the keys that its schema requires are written."""

_NAME: Final = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*(?!\n)\Z")
_TYPES: Final = {
    str: "string", int: "integer", float: "number", bool: "boolean",
    list[str]: "list[string]", list[int]: "list[integer]",
}  # fmt: skip
_OF_STAGES: Final = ("sequential", "graph")
_MAY_HAVE_STAGES: Final = (*_OF_STAGES, "conditional")
_RULED_INPUTS: Final = {  # what the rules of the template look at, and pass on
    "document": '{ type = "any", description = "The document: name and path" }',
    "importance": '{ type = "integer", default = 0 }',
}
_COMMENT_AT: Final = 40
_EMPTY: Final = {  # to begin with, by the type in a JSON Schema
    "array": "[]", "boolean": "false", "integer": "0", "number": "0.0", "object": "{}",
}  # fmt: skip


def write_workflow(
    name: str,
    kind: str,
    messages: Mapping[str, Any],
    folder: Path,
    taken: Sequence[str],
    schema: Mapping[str, Any],
) -> Path:
    """Write a definition, and return its path.

    Args:
        name: The workflow's name, and the file's.
        kind: One of `KINDS`, or another with a schema.
        messages: The type of each topic's message, None where it has none; a stage for each.
        folder: The folder of definitions.
        taken: The workflows that are there.
        schema: The kind's JSON Schema, which the definition names for editors; {} where there is
            no such kind.

    Raises:
        ScaffoldError: The name can't be used or is taken, there is no such kind, the topics do
            not go with the kind, or the file can't be written.
        SchemaFileError: The schema can't be written.
    """
    if not _NAME.match(name):
        near = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
        why = "a name has lower-case words, of letters and digits, joined by - _ or ."
        raise ScaffoldError(f"'{name}' is not a workflow's name", why,
                            f"such as '{near or 'my-workflow'}'")  # fmt: skip
    if kind not in KINDS and not schema:
        fix = did_you_mean(kind, KINDS)
        raise ScaffoldError(f"there is no template for the kind '{kind}'", "", fix)
    if kind in _OF_STAGES and not messages:
        what, why = "no operation is given", f"a workflow of the kind {kind} has stages"
        raise ScaffoldError(what, why, "--operation TOPIC; qtforge-host bus topics lists them")
    if messages and kind not in _MAY_HAVE_STAGES:
        what, why = "--operation is for stages", f"a workflow of the kind {kind} has none"
        raise ScaffoldError(what, why, f"leave it out, or --kind {' or '.join(_MAY_HAVE_STAGES)}")
    if name in taken:
        fix = "choose another name"
        raise ScaffoldError(f"there is a workflow '{name}' already", "", fix)
    path = folder / f"{name}.toml"
    if path.exists() or path.is_symlink():
        raise ScaffoldError(f"{path} exists", "it was not changed", "choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refresh_schema(kind_schema_path(folder, kind), schema)
        text = _text(name, kind, messages) if kind in KINDS else _required(name, kind, schema)
        text = f"{kind_header(kind)}\n{text}"
        write_atomically(path, text.encode())
    except OSError as error:
        why = error.strerror or str(error)
        raise ScaffoldError(f"{path} can't be written", why, "choose another --config") from error
    return path


def _required(name: str, kind: str, schema: Mapping[str, Any]) -> str:
    """Return a definition with an empty value for each key that a kind of a plugin's requires."""
    lines = [
        f"# Fill it in, and check it: qtforge-host workflows validate {name}",
        f'name = "{name}"',
        f'kind = "{kind}"',
    ]
    properties = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in ("name", "kind"):
            described = properties.get(key, {})
            type_ = "object" if "$ref" in described else described.get("type", "")
            value = _EMPTY.get(type_, '""')
            said = " ".join(described.get("description", "").split())
            line = f"{_key(key)} = {value}"
            lines.append(f"{line:<{_COMMENT_AT}}  # {said}" if said else line)
    return "\n".join(lines) + "\n"


def _text(name: str, kind: str, messages: Mapping[str, Any]) -> str:
    if kind not in _MAY_HAVE_STAGES:
        return Template(template(f"kind-{kind}")).substitute(name=name)
    inputs: dict[str, str] = {}
    stages: list[str] = []
    names: list[str] = []
    for topic, message in messages.items():
        stage = _stage_name(topic, names)
        lines = ["[[stages]]", f'name = "{stage}"']
        if kind == "graph":
            lines.append(f"needs = [{_quoted(names[-1:])}]")
        lines += [f'operation = "{topic}"', *_message(topic, message, inputs)]
        names.append(stage)
        stages.append("\n".join(lines))
    given = {each: f'{{ type = "{type_}" }}' for each, type_ in inputs.items()}
    if kind == "conditional":
        given |= _RULED_INPUTS
    lines = [f"{each} = {text}" for each, text in given.items()]
    text = Template(template("kind-stages" if kind in _OF_STAGES else f"kind-{kind}")).substitute(
        name=name,
        kind=kind,
        inputs="".join(f"{line}\n" for line in ("[inputs]", *lines, "")) if lines else "",
        stages="".join(f"{stage}\n\n" for stage in stages),
    )
    return text.rstrip("\n") + "\n"


def _stage_name(topic: str, taken: Sequence[str]) -> str:
    name = re.sub(r"\W", "_", topic.rpartition(".")[2])
    number = sum(re.fullmatch(rf"{name}(_\d+)?", each) is not None for each in taken)
    return f"{name}_{number + 1}" if number else name


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{each}"' for each in names)


def _message(topic: str, message: Any, inputs: dict[str, str]) -> list[str]:
    """Return a stage's message with a line for each key, and note the inputs that it needs."""
    fields = _fields(message)
    if not fields:
        return [f'# The message of {topic} has no type: message = {{ key = "${{input.key}}" }}']
    lines = ["", "[stages.message]"]
    for key, (annotation, required) in fields.items():
        text = f'{_key(key)} = "${{input.{key}}}"' if required else f"# {_key(key)} ="
        optional = "" if required else ", optional"
        lines.append(f"{text:<{_COMMENT_AT}}  # {_type_text(annotation)}{optional}")
        if required:
            kind = _TYPES.get(annotation, "any")
            inputs[key] = kind if inputs.get(key, kind) == kind else "any"
    return lines


def _fields(message: Any) -> dict[str, tuple[Any, bool]]:
    for each in alternatives(message):
        if is_table_type(each):
            try:
                return table_fields(each)
            except (NameError, TypeError, AttributeError):  # annotations that can't be resolved
                return {}
    return {}


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else f'"{key}"'


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__name__
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(annotation)).replace("\n", " ")
