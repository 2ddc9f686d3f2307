"""The parts of a host with the plugins of a test: added by hand, never discovered."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.app import HostParts, Instruments
from qtforge_host.cancellation import DeadlineExceeded, run_before
from qtforge_host.config.settings import PluginSettings, Settings, plugin_config
from qtforge_host.plugins.lifecycle import start_plugin
from qtforge_host.plugins.wiring import Wired
from qtforge_host.testing.traffic import Traffic
from qtforge_sdk import PluginContext
from qtforge_sdk.errors import ConfigError, PluginError
from qtforge_sdk.secrets import Secrets
from qtforge_sdk.testing import VirtualClock

__all__ = ["LIFECYCLE_TIMEOUT_S", "Bench", "default_name"]

LIFECYCLE_TIMEOUT_S: Final = 10.0
_GIVEN: Final = Path("host.add")  # where a configuration is said to be from


class Bench:
    """Real hooks, bus and wiring on a virtual clock, and a way to add plugins.

    Process operations run in threads, since a worker process can't import what a test module
    defines.

    Args:
        data_dir: The plugins' folders are made below it.

    Attributes:
        clock: The time of policies and runs.
        traffic: What was sent.
        parts: The host's parts.
        settings: The configuration; ``plugins`` is not used.
        secrets: What plugins added from now on are given.
    """

    def __init__(self, data_dir: Path) -> None:
        self.clock = VirtualClock()
        self.traffic = Traffic(self.clock.monotonic, time.monotonic)
        self.settings = Settings(
            config_path=data_dir / "config.toml",
            state_dir=data_dir,
            worker_processes=0,
            expression_loop_cost=50_000_000,  # all that is evaluated, without worker processes
        )
        self.secrets = Secrets(lambda name: None)
        self.parts = HostParts(
            self.settings,
            clock=self.clock,
            secrets=self.secrets,
            instruments=Instruments(
                exchange=self.traffic.around,
                on_delivery=self.traffic.delivered,
            ),
        )
        self._added: dict[str, tuple[object, str, object]] = {}

    @property
    def versions(self) -> dict[str, str]:
        """The version of each plugin, by name."""
        return {name: version for name, (_, version, _) in self._added.items()}

    @property
    def added(self) -> list[tuple[object, str, str, object]]:
        """The plugins, their names and versions, and how they were configured, in order."""
        return [
            (plugin, name, version, config)
            for name, (plugin, version, config) in self._added.items()
        ]

    async def add(self, plugin: object, name: str, version: str, config: object = None) -> None:
        """Register a plugin, configure it, start it and connect it to the bus.

        Args:
            plugin: A `qtforge_sdk.Plugin`, or any object with hook implementations.
            name: Its name.
            version: Its version.
            config: An instance of its ``Config``, or a mapping that is validated as one.

        Raises:
            ConfigError: The configuration does not fit.
            PluginError: ``plugin.conflict``, ``plugin.invalid_hook``,
                ``plugin.invalid_handler``, ``plugin.invalid_condition``, or
                ``plugin.broken`` when its start failed.
        """
        if name in self._added or any(plugin is added for added, *_ in self._added.values()):
            raise PluginError(
                name, "plugin.conflict", "a plugin of that name, or this very object, is added",
                "give add(...) another name",
            )  # fmt: skip
        self._configure(plugin, name, config)
        kind = type(plugin)
        wired = Wired(
            plugin=plugin,
            name=name,
            version=version,
            target=f"{kind.__module__}:{kind.__qualname__}",
        )
        hooks, wiring = self.parts.hooks, self.parts.wiring
        hooks.register(plugin, name)
        try:
            for hook in hooks.unknown(plugin):
                raise PluginError(
                    name, "plugin.invalid_hook", f"there is no hook '{hook}'",
                    "see qtforge_sdk.hookspecs for their names",
                )  # fmt: skip
            wiring.prepare(wired)
            await self._start(plugin, name, version)
            wiring.connect(wired)
        except BaseException:
            self.disconnect(plugin)
            raise
        self._added[name] = plugin, version, config

    def connect(self, plugin: object, key: str, name: str, version: str) -> None:
        """Register what has no life of its own, such as a fake, and connect it to the bus.

        Args:
            plugin: The object.
            key: Its name among the hooks, unique.
            name: The plugin that it answers for.
            version: That plugin's version.
        """
        wired = Wired(plugin=plugin, name=name, version=version, target="")
        self.parts.hooks.register(plugin, key)
        self.parts.wiring.prepare(wired)
        self.parts.wiring.connect(wired)

    def disconnect(self, plugin: object) -> None:
        """Take a plugin off the bus."""
        self.parts.hooks.unregister(plugin)
        self.parts.wiring.disconnect(plugin)

    async def close(self) -> list[PluginError]:
        """Stop the plugins, last first; return what went wrong."""
        await self.parts.bus.drain(LIFECYCLE_TIMEOUT_S)
        errors = []
        while self._added:
            name, (plugin, *_) = self._added.popitem()
            try:
                await self._stop(plugin)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's; reported below
                why = f"its stop failed: {type(error).__name__}: {error}"
                failure = PluginError(name, "plugin.broken", why)
                failure.__cause__ = error
                errors.append(failure)
            self.disconnect(plugin)
        await self.parts.bus.close()
        await self.parts.wiring.close()
        await self.parts.expression_workers.close()
        self.parts.threads.close()
        return errors

    async def _start(self, plugin: object, name: str, version: str) -> None:
        context = PluginContext(
            name=name,
            version=version,
            bus=self.parts.bus,
            data_dir=self.settings.state_dir / name,
            host_version="0.0.0",
            secrets=self.secrets,
            runs_dir=self.settings.state_dir / "run-files",
        )
        try:
            await start_plugin(self.parts.hooks, plugin, context, LIFECYCLE_TIMEOUT_S)
        except (Exception, SystemExit) as error:
            why = f"its start failed: {type(error).__name__}: {error}"
            raise PluginError(name, "plugin.broken", why) from error

    async def _stop(self, plugin: object) -> None:
        stopped = self.parts.hooks.call_one(plugin, "qtforge_stop")
        if inspect.iscoroutine(stopped):
            try:
                await run_before(time.monotonic() + LIFECYCLE_TIMEOUT_S, stopped)
            except DeadlineExceeded:
                raise TimeoutError(f"not done within {LIFECYCLE_TIMEOUT_S:g} s") from None

    def _configure(self, plugin: object, name: str, config: object) -> None:
        config_type = getattr(plugin, "Config", None)
        if config_type is None or not isinstance(config, config_type):
            if not isinstance(config, Mapping | None):
                raise ConfigError(
                    f"plugins.{name}.config", f"it is of type {type(config).__name__}",
                    "give a mapping or an instance of the plugin's Config",
                )  # fmt: skip
            said = PluginSettings(file=_GIVEN, config={} if config is None else dict(config))
            settings = msgspec.structs.replace(self.settings, plugins={name: said})
            config = plugin_config(name, config_type, settings)
        if config_type is not None:
            plugin.config = config  # type: ignore[attr-defined]  # a class with Config has config


def default_name(plugin: object) -> str:
    """Return a plugin's name: its class's name in words.

    >>> class AuditLog: ...
    >>> default_name(AuditLog())
    'audit-log'
    """
    name = type(plugin).__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
