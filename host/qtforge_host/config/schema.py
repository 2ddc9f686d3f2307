"""JSON Schema of the configuration, with the options of the installed plugins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from qtforge_host.config.alerts import AlertTable
from qtforge_host.config.logs import LogsTable
from qtforge_host.config.retention import RetentionTable
from qtforge_host.config.settings import HostTable, PluginTable, ScheduleSettings, Settings
from qtforge_host.config.telemetry import TelemetrySettings
from qtforge_host.plugin_code import is_interruption
from qtforge_host.toml_schema import DIALECT, documented, toml_schema, with_defs
from qtforge_sdk.policies import TopicPolicy

__all__ = ["config_schema"]

_UNITS: Final = ("", "_s", "_bytes")  # with which `Settings` has what the file says without


def config_schema(plugins: Mapping[str, type[Any] | None], topics: Collection[str]) -> Any:
    """Return the JSON Schema of ``config.toml``.

    Args:
        plugins: The installed plugins, each with the type of its options; None for none.
        topics: The topics that plugins handle; others are allowed, as their plugin may come.
    """
    defs: dict[str, Any] = {}

    def part(name: str, target: type[Any]) -> dict[str, Any]:
        found, more = with_defs(toml_schema(target, title=name), f"{name}.")
        defs.update(more)
        return found

    defs["topic"] = part("topics", TopicPolicy)
    defs["schedule"] = part("schedules", ScheduleSettings)
    alert = part("alerts", AlertTable)
    topic, schedule = {"$ref": "#/$defs/topic"}, {"$ref": "#/$defs/schedule"}
    plugin = part("plugins", PluginTable)
    own = {
        name: {
            **plugin,
            "title": f"plugins.{name}",
            "properties": {
                **plugin["properties"],
                "config": _options(f"plugins.{name}.config", options, defs),
            },
        }
        for name, options in sorted(plugins.items())
    }
    return {
        "$schema": DIALECT,
        "title": "The configuration of QtForge Host",
        "type": "object",
        "properties": {
            "alerts": _tables("Who is told of failures, by name.", {}, alert),
            "host": _described(part("host", HostTable)),
            "logs": part("logs", LogsTable),
            "plugins": _tables("Plugins by name.", own, plugin),
            "retention": part("retention", RetentionTable),
            "schedules": _tables("What serve starts by the clock, by name.", {}, schedule),
            "telemetry": part("telemetry", TelemetrySettings),
            "topics": _tables("Policies by topic.", dict.fromkeys(sorted(topics), topic), topic),
        },
        "additionalProperties": False,
        "$defs": defs,
    }


def _tables(text: str, known: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": text,
        "properties": dict(known),
        "additionalProperties": others,
    }


def _options(title: str, options: type[Any] | None, defs: dict[str, Any]) -> dict[str, Any]:
    if options is None:
        return {"type": "object", "maxProperties": 0, "description": "It takes no options."}
    try:
        found, more = with_defs(toml_schema(options, title=title), f"{title}.")
    except BaseException as error:  # a plugin's type: its annotations can hold anything
        if is_interruption(error):
            raise
        return {"type": "object", "additionalProperties": True}
    defs.update(more)
    return found


def _described(host: dict[str, Any]) -> dict[str, Any]:
    """Return ``[host]`` with what `Settings` says of each key."""
    _, attributes = documented(Settings.__doc__ or "")
    properties = {}
    for name, each in host["properties"].items():
        texts = [attributes[name + unit] for unit in _UNITS if name + unit in attributes]
        properties[name] = {**({"description": texts[0]} if texts else {}), **each}
    return {**host, "properties": properties}
