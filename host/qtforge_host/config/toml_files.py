"""Reads configuration files, and writes the one that commands manage.

Commands write ``<stem>.plugins.toml`` beside the configuration, never the configuration
itself: TOML writers lose comments, and those in ``config.toml`` are the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from qtforge_host.atomic_file import exclusive_lock, write_atomically
from qtforge_host.plugins.candidates import canonical_name
from qtforge_sdk.errors import ConfigError

__all__ = ["disable", "enable", "managed_path", "prefer", "read_toml"]

_LOCK_TIMEOUT_S: Final = 5.0
_HEADING: Final = b"# Written by `qtforge-host plugins enable / disable / prefer`.\n\n"


def managed_path(config_path: Path) -> Path:
    """Return where commands write what overrides this configuration.

    >>> managed_path(Path("config.toml")).name
    'config.plugins.toml'
    """
    return config_path.with_name(f"{config_path.stem}.plugins.toml")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file.

    Raises:
        FileNotFoundError: There is none.
        PermissionError: Its folder can't be looked into.
        ConfigError: It can't be read, or is not TOML; the reason has line and column.
    """
    path.stat()  # its errors speak of the folder, and are the caller's
    import tomllib  # after it: most users have no configuration file

    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), f"it is not TOML: {error}", "correct that line") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"it is not UTF-8: {error}", "save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(
            str(path), f"it can't be read: {error.strerror}", "make it a readable file"
        ) from error


def enable(config_path: Path, name: str) -> None:
    """Let a plugin load.

    Args:
        config_path: The configuration that is overridden; it need not exist.
        name: The plugin.

    Raises:
        ConfigError: The managed file can't be read or written.
    """
    _change(config_path, name, lambda table: table.update(enabled=True))


def disable(config_path: Path, name: str) -> None:
    """Keep a plugin from loading; see `enable`.

    Raises:
        ConfigError: The managed file can't be read or written.
    """
    _change(config_path, name, lambda table: table.update(enabled=False))


def prefer(config_path: Path, name: str, distribution: str) -> None:
    """Let only this distribution provide a plugin; see `enable`.

    Raises:
        ConfigError: The managed file can't be read or written.
    """
    preferred = canonical_name(distribution)
    _change(config_path, name, lambda table: table.update(distribution=preferred))


def _change(config_path: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    import tomli_w  # only here: listings write nothing

    path = managed_path(config_path)
    try:
        with exclusive_lock(path, _LOCK_TIMEOUT_S):
            try:
                document = read_toml(path)
            except FileNotFoundError:
                document = {}
            change(_table(_table(document, "plugins", path), name, path))
            write_atomically(path, _HEADING + tomli_w.dumps(document).encode())
    except TimeoutError as error:
        raise ConfigError(str(path), str(error), "try again when it has ended") from error
    except OSError as error:
        raise ConfigError(
            str(path),
            f"it can't be written: {error.strerror or error}",
            "make its folder writable, or name another file with --config",
        ) from error


def _table(parent: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    table = parent.setdefault(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {key}", "it must be a table", f"write it as [{key}]")
    return table
