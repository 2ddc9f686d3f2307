"""Look up secrets, and mask them in log records."""

from __future__ import annotations

import logging
import os
import stat
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from qtforge_host.config.toml_files import read_toml
from qtforge_host.plugin_code import valid_text
from qtforge_sdk.errors import ConfigError, OperationError
from qtforge_sdk.secrets import Secrets

__all__ = ["MaskedStream", "MaskingFilter", "SecretStore", "revealed_address"]

_PREFIX: Final = "QTFORGE_SECRET_"


class SecretStore:
    """Looks up a secret in the variable ``QTFORGE_SECRET_<NAME>``, then in a TOML file.

    Args:
        path: The file, with ``NAME = "value"`` on each line; it need not exist. No other user
            may be able to read it.
        environ: The environment variables.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ

    def find(self, name: str) -> str | None:
        """Return a secret, or None; the file is read each time, so a change needs no restart.

        Raises:
            ConfigError: The file can't be read, others may read it, or the value is not text
                in UTF-8.
        """
        from_environment = self._environ.get(_PREFIX + name)
        if from_environment is not None:
            if valid_text(from_environment) != from_environment:
                raise ConfigError(
                    _PREFIX + name, "it is not text in UTF-8", "encode it, such as with Base64"
                )
            return from_environment
        try:
            mode = self._path.stat().st_mode
            table = read_toml(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            why = f"it can't be opened: {error.strerror or error}"
            raise ConfigError(str(self._path), why, "check who owns it") from error
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            why = f"others may read it: its mode is {stat.S_IMODE(mode):o}"
            raise ConfigError(str(self._path), why, f"chmod 600 {self._path}")
        value = table.get(name)
        if value is not None and not isinstance(value, str):
            why = f"a secret is a text, not {type(value).__name__}"
            raise ConfigError(f"{self._path}: {name}", why, "put it in quotes")
        return value


def revealed_address(url: str, secrets: Secrets, where: str) -> str:
    """Return an address with the secrets that it refers to, each quoted for it.

    Args:
        url: The address.
        secrets: The secrets.
        where: What named the address, for errors.

    Raises:
        ConfigError: It refers to a secret that there is not.
    """
    try:
        revealed: str = secrets.reveal(url, encode=_quoted)
        return revealed
    except OperationError as error:
        raise ConfigError(where, error.what, error.fix) from error


def _quoted(secret: str) -> str:
    return urllib.parse.quote(secret, safe="")


@runtime_checkable
class MaskedStream(Protocol):
    """A stream of text that removes secrets from what is written.

    Attributes:
        masks: Functions that remove them.
    """

    masks: list[Callable[[str], str]]


class MaskingFilter(logging.Filter):
    """Masks secrets in log records' messages and tracebacks, and in what is printed.

    Args:
        mask: Returns a text without secrets.
    """

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask
        self._streams: list[MaskedStream] = []
        self._format = logging.Formatter().formatException

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask secrets in a record, in place; no record is dropped."""
        message = record.getMessage()
        masked = self._mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info:
            # A formatter uses this text when it is set, and otherwise formats the exception.
            text = record.exc_text or self._format(record.exc_info)
            record.exc_text = self._mask(valid_text(text))
        return True

    def attach(self) -> None:
        """Add the filter to every handler of the root logger, and to the streams of prints."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, MaskedStream) and self._mask not in stream.masks:
                stream.masks.append(self._mask)
                self._streams.append(stream)

    def detach(self) -> None:
        """Remove the filter from the handlers of the root logger, and from the streams."""
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self)
        while self._streams:
            self._streams.pop().masks.remove(self._mask)
