"""A plugin that finds passwords and keys that were left in files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click
import msgspec

from qtforge_sdk import OperationError, Plugin, PluginContext, hookimpl, operation, subscriber

__all__ = ["FileRequest", "Findings", "FolderRequest", "Leak", "LeakScanner", "ScannerConfig"]

_PATTERNS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "AWS key": r"\bAKIA[0-9A-Z]{16}\b",
    "password": r"(?i)\bpassword\s*[=:]\s*['\"][^'\"\s]{6,}['\"]",
}


class ScannerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.leak-scanner.config]``.

    Attributes:
        max_bytes: A larger file is refused.
        patterns: Further regular expressions, by the name of what they find.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    patterns: dict[str, str] = {}


class FolderRequest(msgspec.Struct, frozen=True):
    """Ask which files are in a folder.

    Attributes:
        folder: Its path.
    """

    folder: str


class FileRequest(msgspec.Struct, frozen=True):
    """Ask what leaks in a file.

    Attributes:
        path: Its path.
    """

    path: str


class Leak(msgspec.Struct, frozen=True):
    """A place that should not be there; what it holds is not repeated.

    Attributes:
        line: Its line, from 1.
        kind: What it looks like.
    """

    line: int
    kind: str


class Findings(msgspec.Struct, frozen=True):
    """What was found in a file.

    Attributes:
        path: The file.
        leaks: The places, by line.
    """

    path: str
    leaks: tuple[Leak, ...] = ()


class LeakScanner(Plugin):
    """Answers ``leaks.list`` and ``leaks.find``, and publishes ``leaks.found``.

    Attributes:
        warned: The files of stored documents in which something was found.
    """

    workflows = ("leak-check.toml",)  # beside this module; read without importing it
    Config = ScannerConfig
    config: ScannerConfig

    def __init__(self) -> None:
        self.warned: list[str] = []

    async def start(self, context: PluginContext) -> None:
        """Compile the patterns: a bad one makes the plugin broken, with the pattern's name."""
        self._bus = context.bus
        self._patterns = {}
        for kind, pattern in {**_PATTERNS, **self.config.patterns}.items():
            try:
                self._patterns[kind] = re.compile(pattern)
            except re.error as error:
                raise OperationError(
                    "leaks.bad_pattern", f"the pattern '{kind}' is not valid", str(error),
                    "fix it in [plugins.leak-scanner.config.patterns]",
                ) from error  # fmt: skip

    @operation("leaks.list")
    def list_files(self, request: FolderRequest) -> list[str]:
        """Return the files of a folder and of those within it, in order.

        Raises:
            OperationError: ``leaks.no_folder``.
        """
        folder = Path(request.folder)
        if not folder.is_dir():
            raise OperationError(
                "leaks.no_folder", f"{folder} is no folder", "", "name one", retryable=False
            )
        return sorted(str(path) for path in folder.rglob("*") if path.is_file())

    @operation("leaks.find")
    def find(self, request: FileRequest) -> Findings:
        """Return what leaks in a file; a ``def``, since reading a file blocks.

        Raises:
            OperationError: ``leaks.unreadable`` or ``leaks.too_large``.
        """
        path = Path(request.path)
        try:
            size = path.stat().st_size
            text = path.read_text("utf-8", "replace") if size <= self.config.max_bytes else None
        except OSError as error:
            raise OperationError(
                "leaks.unreadable", f"{path} can't be read", error.strerror or "", retryable=False
            ) from error
        if text is None:
            raise OperationError(
                "leaks.too_large", f"{path} has {size} bytes", f"the limit is "
                f"{self.config.max_bytes}", "raise max_bytes", retryable=False,
            )  # fmt: skip
        leaks = tuple(
            Leak(number, kind)
            for number, line in enumerate(text.splitlines(), 1)
            for kind, pattern in self._patterns.items()
            if pattern.search(line)
        )
        return Findings(request.path, leaks)

    @subscriber("document.stored")
    async def on_stored(self, event: dict[str, object]) -> None:
        """Look at each document that is stored, and say when something is in it."""
        path = event.get("path")
        if isinstance(path, str):
            found = await self._bus.request("leaks.find", {"path": path}, response_type=Findings)
            if found.leaks:
                self.warned.append(path)
                await self._bus.publish("leaks.found", found)

    @hookimpl
    def qtforge_commands(self) -> Sequence[click.Command]:
        """Contribute ``qtforge-host leaks FILE...``."""
        return [leaks]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
async def leaks(files: tuple[str, ...]) -> None:
    """Print what leaks in FILES; exit with 1 when something does."""
    bus = click.get_current_context().obj.bus
    count = 0
    for path in files:
        found = await bus.request("leaks.find", {"path": path}, response_type=Findings)
        for leak in found.leaks:
            count += 1
            click.echo(f"{path}:{leak.line}: {leak.kind}")
    if count:
        click.get_current_context().exit(1)
