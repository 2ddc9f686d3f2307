"""`Plugin`: the convenient way to implement the hooks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from qtforge_sdk.bus import Bus
from qtforge_sdk.health import Health
from qtforge_sdk.markers import hookimpl
from qtforge_sdk.secrets import Secrets

__all__ = ["Plugin", "PluginContext"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """What the host gives a plugin when it starts.

    Attributes:
        name: The plugin's name.
        version: Its distribution's version.
        bus: The message bus.
        data_dir: A folder of the plugin's own below the state directory; it may not exist yet.
        host_version: The version of what hosts it.
        secrets: Gives what stands for ``${secret.NAME}``.
        runs_dir: Where runs keep files, or None where there are no runs; see `run_dir`.
    """

    name: str
    version: str
    bus: Bus
    data_dir: Path
    host_version: str
    secrets: Secrets = field(default_factory=lambda: Secrets(lambda name: None))
    runs_dir: Path | None = None

    def run_dir(self, run_id: str | None) -> Path | None:
        """Return the folder for files that live as long as a run does; it may not exist yet.

        ``runs prune`` removes it with the run.

        Args:
            run_id: The run, from `OperationContext.run_id`.

        Returns:
            The folder; None outside a run.
        """
        return None if run_id is None or self.runs_dir is None else self.runs_dir / run_id

    @property
    def logger(self) -> logging.Logger:
        """The plugin's logger."""
        return logging.getLogger(f"qtforge.plugin.{self.name}")


class Plugin:
    """The base of a plugin; every method is optional.

    Name and version come from the distribution's metadata. The host makes one instance,
    without arguments, and sets ``config`` before `start`. Operations with
    ``execution="process"`` run on another instance, made in the worker process: it has
    ``config`` and no `start`.

    Attributes:
        requires: Plugins that must be active first, with PEP 440 specifiers, such as
            ``"document-storage >= 1.0.0"``. A literal: the host reads it without importing.
        after: Plugins that start first where they are present. A literal too.
        Config: The type of the plugin's configuration table, or None for none.
        config: An instance of ``Config``, set by the host.
    """

    requires: ClassVar[Sequence[str]] = ()
    after: ClassVar[Sequence[str]] = ()
    Config: ClassVar[type | None] = None
    config: Any = None

    async def start(self, context: PluginContext) -> None:
        """Get ready; called once, before any message."""

    async def stop(self) -> None:
        """Let go of what `start` took; called once, after the last message."""

    async def health(self) -> Health:
        """Tell how the plugin fares; asked every 30 s, and given 5 s.

        Returns:
            Healthy, unless a plugin says otherwise. Raising is being unhealthy.
        """
        return Health()

    @hookimpl
    def qtforge_start(self, context: PluginContext) -> Awaitable[None]:
        """The hook behind `start`."""
        return self.start(context)

    @hookimpl
    def qtforge_stop(self) -> Awaitable[None]:
        """The hook behind `stop`."""
        return self.stop()

    @hookimpl
    def qtforge_health(self) -> Awaitable[Health]:
        """The hook behind `health`."""
        return self.health()
