"""The options before the command, and what commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qtforge_host.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from qtforge_host.api.client import RunClient
    from qtforge_host.app import Host
    from qtforge_host.bus.message_bus import MessageBus

__all__ = ["Session"]


@dataclass(slots=True)
class Session:
    """The object in every command's ``click.Context.obj``.

    Attributes:
        config: ``--config``, or None.
        state_dir: ``--state-dir``, or None.
        safe_mode: ``--safe-mode``.
        debug: ``--debug``.
        host: The running host, for the commands that plugins contribute; else None.
    """

    config: Path | None = None
    state_dir: Path | None = None
    safe_mode: bool = False
    debug: bool = False
    host: Host | None = None
    _settings: Settings | None = field(default=None, repr=False)

    @property
    def settings(self) -> Settings:
        """The configuration, read once.

        Raises:
            ConfigError: It can't be read, or is not valid.
        """
        if self._settings is None:
            self._settings = load_settings(
                self.config,
                environ=os.environ,
                state_dir=self.state_dir,
                safe_mode=self.safe_mode,
            )
        return self._settings

    def client(self, *, in_memory: bool = False) -> AbstractAsyncContextManager[RunClient]:
        """Give a client of the state directory; it starts the host when it is first needed.

        Args:
            in_memory: Whether runs are kept in memory only, and forgotten with the client.
        """
        from qtforge_host.api.client import RunClient  # heavy: a listing does without it

        settings = self.settings
        if in_memory:
            settings = msgspec.structs.replace(settings, journal="memory")
        return RunClient.of_settings(settings, by="the command line")

    @property
    def bus(self) -> MessageBus:
        """The running host's bus, for the commands that plugins contribute."""
        if self.host is None:
            raise RuntimeError("this command was not given a running host")
        return self.host.bus
