"""The plugins of a test, in a pluggy manager that refuses to look for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import pluggy

from qtforge_sdk.errors import PluginError, QtForgeError
from qtforge_sdk.hookspecs import PROJECT, HookSpecs
from qtforge_sdk.testing._handlers import Handler, Listener, compile_handler, compile_listener

__all__ = ["LocalPlugins"]


class _NoDiscovery(pluggy.PluginManager):
    def load_setuptools_entrypoints(self, group: str, name: str | None = None) -> NoReturn:
        raise PluginError(
            name or group, "plugin.no_discovery", "the test host does not look for plugins",
            "host.add(...) the plugins that the test needs",
        )  # fmt: skip


class LocalPlugins:
    """Who is registered, and who answers a topic."""

    def __init__(self) -> None:
        self._manager = _NoDiscovery(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._handlers: dict[pluggy.HookImpl, Handler] = {}
        self._listeners: dict[str, list[Listener]] = {}

    @property
    def hook(self) -> Any:
        """Pluggy's hooks, by name."""
        return self._manager.hook

    def register(self, plugin: object, name: str, version: str) -> None:
        """Add a plugin; when it can't be added, nothing has changed.

        Raises:
            PluginError: Its name is taken (``plugin.conflict``), or a hook or a handler of
                it is not well formed (``plugin.invalid_hook``, ``plugin.invalid_handler``).
            ExpressionError: An ``accepts`` or a ``where`` does not compile.
        """
        try:
            self._manager.register(plugin, name)
        except ValueError as error:
            raise PluginError(
                name, "plugin.conflict", "a plugin of that name, or this very object, is added",
                "give host.add(...) another name",
            ) from error  # fmt: skip
        except pluggy.PluginValidationError as error:
            raise PluginError(name, "plugin.invalid_hook", str(error)) from error
        try:
            handlers, listeners = self._compile(plugin, name, version)
        except QtForgeError:
            self._manager.unregister(plugin)
            raise
        self._handlers.update(handlers)
        self._listeners[name] = listeners

    def unregister(self, name: str) -> None:
        """Take a plugin out again."""
        self._manager.unregister(name=name)
        self._listeners.pop(name, None)

    def implementations(self, plugin: object, hook: str) -> list[pluggy.HookImpl]:
        """Return one plugin's implementations of a hook."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [each for each in caller.get_hookimpls() if each.plugin is plugin]

    def listeners(self, name: str) -> Sequence[Listener]:
        """Return a plugin's subscribers."""
        return self._listeners[name]

    def topics(self) -> list[str]:
        """Return every topic that has a handler, in alphabetical order."""
        live = {
            implementation
            for plugin in self._manager.get_plugins()
            for caller in self._manager.get_hookcallers(plugin) or ()
            for implementation in caller.get_hookimpls()
        }
        return sorted({each.spec.topic for key, each in self._handlers.items() if key in live})

    def route(self, topic: str) -> list[Handler]:
        """Return a topic's handlers in pluggy's calling order, wrappers first."""
        caller: pluggy.HookCaller | None = getattr(self._manager.hook, topic, None)
        if caller is None:
            return []
        return [self._handlers[each] for each in reversed(caller.get_hookimpls())]

    def _compile(
        self, plugin: object, name: str, version: str
    ) -> tuple[dict[pluggy.HookImpl, Handler], list[Listener]]:
        handlers: dict[pluggy.HookImpl, Handler] = {}
        listeners: list[Listener] = []
        for caller in self._manager.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                handler = compile_handler(implementation.function, name, version)
                listener = compile_listener(implementation.function, name)
                if handler is not None:
                    handlers[implementation] = handler
                elif listener is not None:
                    listeners.append(listener)
                elif not caller.has_spec():
                    raise PluginError(
                        name, "plugin.invalid_hook", f"there is no hook '{caller.name}'",
                        "see qtforge_sdk.hookspecs for their names",
                    )  # fmt: skip
        return handlers, listeners
