"""Every setting in force, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from qtforge_host.config.settings import HostTable, Settings
from qtforge_host.config.toml_files import managed_path, read_toml
from qtforge_host.workflows.definitions import line_of

__all__ = ["SettingInForce", "settings_in_force"]

_DEFAULT: Final = "default"
_SECRET: Final = re.compile(
    r"passw|secret|token|credential|api_?key|access_?key|private_?key|(^|_)auth", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"\$\{secret\.\w+\}")
# User and password of an address, up to the last @: a password may contain what separates it.
_LOGIN: Final = re.compile(r"(?<=://)[^/\s]*@|(?<=://)\S*@")
_HIDDEN: Final = "***"


class SettingInForce(NamedTuple):
    """A setting.

    Attributes:
        key: Its tables and its key, such as ``("host", "journal")``.
        value: Its value, as a file has it; what may be a secret is ``***``.
        source: ``FILE:LINE``, an option, a variable, or ``default``.
    """

    key: tuple[str, ...]
    value: Any
    source: str


def settings_in_force(settings: Settings) -> Iterator[SettingInForce]:
    """Give every setting in force, table by table.

    The defaults of a plugin's own options are its own, and not among them.

    Args:
        settings: The configuration.
    """
    found: dict[tuple[str, ...], tuple[Any, str]] = {
        ("host", each.name): (None if each.default is msgspec.NODEFAULT else each.default, _DEFAULT)
        for each in msgspec.structs.fields(HostTable)
    }
    for path in (settings.config_path, managed_path(settings.config_path)):
        found.update(_written(path))
    for name, shown, option in (
        ("journal", settings.shown_journal, settings.journal_option),
        ("bus", settings.shown_bus, settings.bus_option),
        ("files", settings.shown_files, ""),
    ):
        found["host", name] = (shown, option or found["host", name][1])
    for key, (value, source) in sorted(found.items(), key=lambda each: each[0][:-1]):
        if value is not None:
            yield SettingInForce(key, _masked(key[-1], value), source)


def _written(path: Path) -> Iterator[tuple[tuple[str, ...], tuple[Any, str]]]:
    try:
        table, text = read_toml(path), path.read_text(encoding="utf-8")
    except OSError:  # it need not exist; the settings have been read without it
        return
    for key, value in _leaves(table):
        line = line_of(text, ".".join(re.sub(r"\s", "", each) for each in key))
        yield key, (value, str(path) if line is None else f"{path}:{line}")


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Any]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(name, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, each) for each in value]
    if not isinstance(value, str):
        return value
    if _SECRET.search(key) and key != "secrets" and not _REFERENCE.fullmatch(value):
        return _HIDDEN
    return _LOGIN.sub(f"{_HIDDEN}@", value)
