"""The keys of definitions and of the configuration, from the schemas of their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.orchestrators.conditional import ConditionalDefinition
from qtforge_builtin_plugins.orchestrators.graph import GraphDefinition
from qtforge_builtin_plugins.orchestrators.parallel import ParallelDefinition
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.sequential import SequentialDefinition
from qtforge_host.config import alerts, retention, settings
from qtforge_host.toml_schema import key_texts
from qtforge_sdk.policies import TopicPolicy
from tools.site.reference.markdown import attributes, first_paragraph
from tools.site.reference.schema import properties

__all__ = ["KINDS", "key_pages"]

KINDS: Final[Mapping[str, type]] = {
    "sequential": SequentialDefinition,
    "graph": GraphDefinition,
    "parallel": ParallelDefinition,
    "conditional": ConditionalDefinition,
    "reactive": ReactiveDefinition,
}
_TABLES: Final[Mapping[str, type]] = {
    "[host]": settings.HostTable,
    "[topics.TOPIC]": TopicPolicy,
    "[plugins.NAME]": settings.PluginTable,
    "[schedules.NAME]": settings.ScheduleSettings,
    "[alerts.NAME]": alerts.AlertTable,
    "[retention]": retention.RetentionTable,
}
_TITLES: Final = {"_Rule": "Rule of retention"}
_REF: Final = "#/components/schemas/{name}"


def key_pages(path: str) -> dict[str, str]:
    """Return the page of all keys."""
    types = [*KINDS.values(), *_TABLES.values()]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    name_of = {
        one: schema["$ref"].rpartition("/")[2] for one, schema in zip(types, schemas, strict=True)
    }
    parts = [
        "# TOML keys",
        "Every key of a workflow's definition and of the configuration, from the types that read"
        " them. [Workflows](../workflows.md) and [the command line](../command-line.md) explain"
        " them.",
        "## Definitions",
        "What a definition of any kind has is repeated in each table.",
    ]
    described = _host_words()
    shown = set(name_of.values())
    for kind, definition in KINDS.items():
        parts += _entry(f'kind = "{kind}"', name_of[definition], components, {})
    parts.append("## Configuration")
    for title, one in _TABLES.items():
        parts += _entry(title, name_of[one], components, described)
    parts.append("## Tables within them")
    for name in sorted(set(components) - shown):
        parts += _entry(_TITLES.get(name, name), name, components, {})
    return {path: "\n\n".join(part for part in parts if part) + "\n"}


def _entry(
    title: str, name: str, components: Mapping[str, Any], described: Mapping[str, str]
) -> Iterator[str]:
    schema = components[name]
    yield f"({_label(name)})=\n### {title}"
    yield first_paragraph(schema.get("description")).replace("``", "`")
    yield properties(schema, _link, {**described, **_inherited(name)})


def _inherited(name: str) -> dict[str, str]:
    """Return what the docstrings of a type and of its bases say about its fields."""
    words: dict[str, str] = {}
    for one in _structs(msgspec.Struct):
        if one.__name__ == name:
            words.update(key_texts(one)[name])
    return words


def _structs(parent: type[Any]) -> Iterator[type[Any]]:
    heirs: list[type[Any]] = parent.__subclasses__()
    for each in heirs:
        if each.__module__.startswith("qtforge"):
            yield each
        yield from _structs(each)


def _host_words() -> dict[str, str]:
    """Return what the keys of ``[host]`` mean, from the settings that they become."""
    words = attributes(settings.Settings.__doc__)
    units = ("_s", "_bytes")
    return {
        **words,
        **{
            name.removesuffix(unit): text
            for name, text in words.items()
            for unit in units
            if name.endswith(unit)
        },
    }


def _label(name: str) -> str:
    # Two types may differ in the underscore alone.
    return f"toml-{name.replace('_', 'x-').lower()}"


def _link(name: str) -> str:
    return f"[{_TITLES.get(name, name)}](#{_label(name)})"
