"""`Plugin`, the base class of plugins, and the context that a plugin receives."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import msgspec

from qtforge_sdk.bus import Bus
from qtforge_sdk.health import Health
from qtforge_sdk.markers import hookimpl
from qtforge_sdk.placement import ANY_NODE
from qtforge_sdk.secrets import Secrets

if TYPE_CHECKING:  # it imports asyncio, which worker processes do without
    from qtforge_sdk.plugin_files import PluginFiles

__all__ = ["Plugin", "PluginContext"]

_IN_DATA_DIR: Final = cast("PluginFiles", None)  # stands for the plugin's own folder


class PluginContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the host offers a plugin; `Plugin.start` receives it.

    Attributes:
        name: The plugin's name.
        version: Its distribution's version.
        bus: The message bus.
        data_dir: The plugin's own folder in the state directory; it may not exist yet. Of several
            machines, each has its own.
        files: The plugin's files: in ``data_dir``, or where ``[host] files`` says, and then the
            same on all machines.
        host_version: The version of the host.
        secrets: Replaces ``${secret.NAME}`` by the secret's value.
        runs_dir: The folder for files of runs, or None where there are no runs; see `run_dir`.
    """

    name: str
    version: str
    bus: Bus
    data_dir: Path
    host_version: str
    secrets: Secrets = msgspec.field(default_factory=lambda: Secrets(lambda name: None))
    runs_dir: Path | None = None
    files: PluginFiles = _IN_DATA_DIR

    def __post_init__(self) -> None:
        """Keep files in the plugin's own folder, unless a place was given."""
        if self.files is _IN_DATA_DIR:
            from qtforge_sdk.plugin_files import LocalFiles  # see above

            msgspec.structs.force_setattr(self, "files", LocalFiles(self.data_dir))

    def run_dir(self, run_id: str | None) -> Path | None:
        """Return the folder for files that are deleted together with a run.

        ``runs prune`` removes it with the run.

        Args:
            run_id: The run, from `OperationContext.run_id`.

        Returns:
            The folder, which may not exist yet; None outside a run.
        """
        return None if run_id is None or self.runs_dir is None else self.runs_dir / run_id

    @property
    def logger(self) -> logging.Logger:
        """The plugin's logger."""
        return logging.getLogger(f"qtforge.plugin.{self.name}")


class Plugin:
    """The base class of a plugin; every method is optional.

    Name and version come from the distribution's metadata. The host makes one instance,
    without arguments, and sets ``config`` before `start`. Operations with
    ``execution="process"`` run on another instance, made in the worker process: it has
    ``config``, but `start` is not called on it.

    Attributes:
        requires: Plugins that must be active, with PEP 440 specifiers, such as
            ``"document-storage >= 1.0.0"``. A literal: the host reads it without importing.
        after: Plugins that start before this one, where they are present. A literal too.
        workflows: The TOML files of the workflows that it contributes, as names or patterns such as
            ``"*.toml"``, in the folder of its module. A literal too, so that the definitions are
            read without importing the plugin.
        placement: ``"one node"`` where it keeps data in ``data_dir`` that all nodes are to see: of
            several nodes, one answers with it. ``"any node"`` otherwise. A literal too.
        Config: The type of the plugin's configuration table; None if it takes none.
        config: The configuration, an instance of ``Config``; the host sets it.
    """

    requires: ClassVar[Sequence[str]] = ()
    after: ClassVar[Sequence[str]] = ()
    workflows: ClassVar[Sequence[str]] = ()
    placement: ClassVar[str] = ANY_NODE
    Config: ClassVar[type | None] = None
    config: Any = None

    async def start(self, context: PluginContext) -> None:
        """Acquire what the plugin needs; called once, before any message reaches it.

        Args:
            context: What the host offers the plugin.

        Raises:
            Exception: The plugin is ``broken``, and is not used.
        """

    async def stop(self) -> None:
        """Release what `start` acquired; called once, after the last message."""

    async def health(self) -> Health:
        """Return the plugin's health; called every 30 s while runs are executed.

        Returns:
            Healthy, unless a plugin overrides this.

        Raises:
            Exception: The plugin is ``unhealthy``, as one that does not return within 5 s.
        """
        return Health()

    @hookimpl
    def qtforge_start(self, context: PluginContext) -> Coroutine[Any, Any, None]:
        """Implement the hook of this name by `start`."""
        return self.start(context)

    @hookimpl
    def qtforge_stop(self) -> Coroutine[Any, Any, None]:
        """Implement the hook of this name by `stop`."""
        return self.stop()

    @hookimpl
    def qtforge_health(self) -> Coroutine[Any, Any, Health]:
        """Implement the hook of this name by `health`."""
        return self.health()
