"""Read configuration files, and write the file that commands manage.

Commands write ``<stem>.plugins.toml`` next to the configuration, never the configuration
itself: a TOML writer would lose the user's comments in ``config.toml``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from qtforge_sdk.errors import ConfigError
from qtforge_sdk.files import exclusive_lock, write_atomically

__all__ = ["disable", "enable", "managed_path", "prefer", "read_toml"]

_LOCK_TIMEOUT_S: Final = 5.0
_HEADING: Final = b"# Written by `qtforge-host plugins enable / disable / prefer`.\n\n"


def managed_path(config_path: Path) -> Path:
    """Return the file with which commands override this configuration.

    >>> managed_path(Path("config.toml")).name
    'config.plugins.toml'
    """
    return config_path.with_name(f"{config_path.stem}.plugins.toml")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        FileNotFoundError: It does not exist.
        PermissionError: Its folder can't be read.
        ConfigError: It can't be read, or is not TOML; the reason has line and column.
    """
    path.stat()  # its errors are about the folder, and left to the caller
    import tomllib  # late: most users have no configuration file

    from qtforge_host import toml

    try:
        return toml.read(path.read_bytes().decode("utf-8"))
    except toml.TomlLimitError as error:
        raise ConfigError(str(path), str(error), error.fix) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), f"it is not TOML: {error}", "correct that line") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"it is not UTF-8: {error}", "save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(
            str(path), f"it can't be read: {error.strerror}", "make it a readable file"
        ) from error


def enable(config_path: Path, name: str) -> None:
    """Enable a plugin.

    Args:
        config_path: The configuration to override; it need not exist.
        name: The plugin.

    Raises:
        ConfigError: The managed file can't be read or written.
    """
    _change(config_path, name, lambda table: table.update(enabled=True))


def disable(config_path: Path, name: str) -> None:
    """Disable a plugin; see `enable`.

    Raises:
        ConfigError: The managed file can't be read or written.
    """
    _change(config_path, name, lambda table: table.update(enabled=False))


def prefer(config_path: Path, name: str, distribution: str) -> None:
    """Let only one distribution provide a plugin; see `enable`.

    Raises:
        ConfigError: The managed file can't be read or written.
    """
    _change(config_path, name, lambda table: table.update(distribution=distribution))


def _change(config_path: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    import tomli_w  # late: most commands write nothing

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
