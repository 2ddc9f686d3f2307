"""The plugin: hooks and a subscriber that hand entries to the writer."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from qtforge_sample_audit.entries import AuditEntry, error_of, plain_or_none
from qtforge_sample_audit.writer import AuditWriter
from qtforge_sdk import Plugin, PluginContext, hookimpl, subscriber
from qtforge_sdk.errors import ConfigError

__all__ = ["AuditConfig", "AuditLog"]

_PATTERN: Final = "document.>"


class AuditConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plugin's configuration table.

    Attributes:
        path: Where to write; None for ``audit.jsonl`` in the plugin's data folder.
        capacity: How many entries may wait; further ones are dropped and counted.
    """

    path: str | None = None
    capacity: Annotated[int, msgspec.Meta(ge=1)] = 10_000


class AuditLog(Plugin):
    """Writes a line for every request and every document message."""

    Config = AuditConfig
    config: AuditConfig = AuditConfig()

    def __init__(self) -> None:
        self._writer: AuditWriter | None = None

    async def start(self, context: PluginContext) -> None:
        """Open the file and start the writer.

        Raises:
            ConfigError: The file can't be opened.
        """
        path = Path(self.config.path) if self.config.path else context.data_dir / "audit.jsonl"
        try:
            self._writer = AuditWriter(path, self.config.capacity, context.logger)
        except OSError as error:
            raise ConfigError(
                f"plugins.{context.name}.config.path", f"{path} can't be opened: {error.strerror}",
                "name a file in a folder that may be written to",
            ) from error  # fmt: skip

    async def stop(self) -> None:
        """Write what waits, and close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.stop)

    @hookimpl
    def qtforge_after_request(
        self, topic: str, message: object, plugin: str, duration_s: float
    ) -> None:
        """Write an entry for a response."""
        self._note(
            AuditEntry(
                at=_now(),
                event="answered",
                topic=topic,
                plugin=plugin,
                duration_s=round(duration_s, 6),
                message_type=type(message).__name__,
            )
        )

    @hookimpl
    def qtforge_on_request_error(
        self, topic: str, message: object, error: BaseException, plugin: str, duration_s: float
    ) -> None:
        """Write an entry for a failure, with its reason."""
        self._note(
            AuditEntry(
                at=_now(),
                event="failed",
                topic=topic,
                plugin=plugin or None,
                duration_s=round(duration_s, 6),
                message_type=type(message).__name__,
                error=error_of(error),
            )
        )

    @subscriber(_PATTERN)
    async def on_document(self, event: Any) -> None:
        """Note what was published about a document."""
        self._note(
            AuditEntry(
                at=_now(),
                event="published",
                topic=_PATTERN,
                message_type=type(event).__name__,
                message=plain_or_none(event),
            )
        )

    def _note(self, entry: AuditEntry) -> None:
        if self._writer is not None:
            self._writer.note(entry)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
